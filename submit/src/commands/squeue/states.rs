//! The states that `-t` asks for.

use proto::v1::{JobRow, JobState};

use crate::failure::{Failure, Outcome};
use crate::show::{FLAGS, STATES, items};

/// Which states were asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Whether there is a choice at all; without one, the controller lists what has not ended.
    chosen: bool,
    states: Vec<JobState>,
    completing: bool,
}

impl Wanted {
    /// Reads a list such as `pd,RUNNING,cg`, or `all`.
    pub(super) fn read(list: &str) -> Outcome<Wanted> {
        let items = items(list);
        let mut wanted = Wanted { chosen: !items.is_empty(), ..Wanted::default() };
        for item in items {
            let is = |name: &str| name.eq_ignore_ascii_case(&item);
            if is("all") {
                let states = STATES.iter().map(|(state, ..)| *state).collect();
                return Ok(Wanted { chosen: true, states, completing: true });
            }
            let state = STATES.iter().find(|(_, long, short)| is(long) || is(short));
            let flag = FLAGS.iter().any(|(long, short)| is(long) || is(short));
            match state {
                Some((state, ..)) => wanted.states.push(*state),
                None if flag => wanted.completing |= is("COMPLETING") || is("CG"),
                None => return Err(bad_state(&item)),
            }
        }
        Ok(wanted)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.states.iter().any(|state| !matches!(state, JobState::Pending | JobState::Running | JobState::Suspended))
    }

    pub(super) fn may_wait(&self) -> bool {
        !self.chosen || self.states.contains(&JobState::Pending)
    }

    pub(super) fn keeps(&self, row: &JobRow) -> bool {
        !self.chosen || self.states.contains(&row.state()) || (self.completing && row.completing)
    }
}

/// Slurm's text, which ends in an empty line.
fn bad_state(item: &str) -> Failure {
    let known: Vec<&str> = STATES.iter().map(|(_, long, _)| *long).chain(FLAGS.iter().map(|(long, _)| *long)).collect();
    Failure::new(format_args!("squeue: error: Invalid job state specified: {item}"))
        .line(format_args!("squeue: error: Valid job states include: {}", known.join(",")))
        .line("")
}
