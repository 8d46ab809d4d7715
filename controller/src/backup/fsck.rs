//! Looks at a journal, by way of a copy, or at a backup: what is whole, what is damaged, how far all of it can be followed, and what to do.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use sched::cluster::Cluster;
use serde::Serialize;

use super::save::{Moment, save};
use super::scratch::Scratch;
use super::{BackupError, restore};
use crate::clock;
use crate::error_chain::chain;
use crate::journal::{Examined, Journal, JournalError, SledJournal};
use crate::pack::{UnpackError, unpack_cluster, unpack_record};

/// Problems that are told; of more there is only the number.
const PROBLEMS_MAX: usize = 100;

/// What was found, in the words of `--json`.
#[derive(Debug, Default, Serialize)]
pub(super) struct Findings {
    pub(super) path: String,
    pub(super) verdict: Verdict,
    /// Every record before this one can be followed.
    pub(super) whole_to: u64,
    /// The next record that a controller would write.
    pub(super) next_sequence: u64,
    pub(super) epoch: u64,
    pub(super) jobs: u64,
    pub(super) nodes: u64,
    pub(super) blobs: u64,
    pub(super) history_rows: u64,
    pub(super) checkpoints: Vec<Checkpoint>,
    pub(super) problems: Vec<String>,
    /// How many more there are.
    pub(super) problems_left_out: u64,
    pub(super) advice: String,
}

/// A checkpoint of the journal.
#[derive(Debug, Serialize)]
pub(super) struct Checkpoint {
    pub(super) sequence: u64,
    pub(super) whole: bool,
}

/// What it comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// Nothing is wrong.
    #[default]
    Whole,
    /// A controller goes on with it, and something in it is damaged.
    Usable,
    /// A controller refuses it, or a backup cannot be restored.
    Damaged,
}

impl Findings {
    fn problem(&mut self, verdict: Verdict, what: String) {
        if self.verdict != Verdict::Damaged {
            self.verdict = verdict;
        }
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(what);
        } else {
            self.problems_left_out += 1;
        }
    }
}

/// Looks at a backup.
pub(super) fn backup(path: &Path) -> Result<Findings, BackupError> {
    let mut findings = Findings { path: path.display().to_string(), ..Findings::default() };
    match restore::read(path, |_| Ok(()), |_| Ok(())) {
        Ok(restore::Contents { head, counts, missing, .. }) => {
            for (hash, job) in missing {
                findings
                    .problem(Verdict::Usable, format!("blob {hash} of job {job} is not in it: that job cannot start"));
            }
            (findings.whole_to, findings.next_sequence, findings.epoch) = (head.sequence, head.sequence, head.epoch);
            (findings.jobs, findings.nodes) = (counts.jobs, counts.nodes);
            (findings.blobs, findings.history_rows) = (counts.blobs, counts.history_rows);
            "covey restore makes a journal of it".clone_into(&mut findings.advice);
        }
        Err(error @ (BackupError::Damaged { .. } | BackupError::Meaning { .. } | BackupError::Recover(_))) => {
            findings.problem(Verdict::Damaged, chain(&error));
            "use another backup".clone_into(&mut findings.advice);
        }
        Err(error) => return Err(error),
    }
    Ok(findings)
}

/// Looks at the journal of a stopped controller; what is left of it goes into a backup, if one is named.
pub(super) fn journal(dir: &Path, scratch: &Path, keep: Option<&Path>) -> Result<Findings, BackupError> {
    let copy = Scratch::copy_of(dir, scratch)?;
    let mut findings = Findings { path: dir.display().to_string(), ..Findings::default() };
    let Examined { journal, mark, flaws } = match SledJournal::examine(copy.dir()) {
        Ok(examined) => examined,
        Err(JournalError::NewerFormat { found, known, .. }) => {
            return Err(JournalError::NewerFormat { dir: dir.to_owned(), found, known }.into());
        }
        Err(error) => {
            let why = match &error {
                JournalError::Open { source, .. } => source.to_string(),
                error => chain(error),
            };
            findings.problem(Verdict::Damaged, format!("nothing of it can be read: {why}"));
            "move the folder journal away, and restore a backup (covey restore)".clone_into(&mut findings.advice);
            return Ok(findings);
        }
    };
    (findings.next_sequence, findings.epoch) = (journal.next_sequence(), journal.epoch());
    for flaw in flaws {
        findings.problem(Verdict::Damaged, flaw);
    }
    let cluster = follow(&journal, mark, &mut findings)?;
    if let Some(cluster) = &cluster {
        (findings.jobs, findings.nodes) = (cluster.job_count() as u64, cluster.nodes().count() as u64);
        look_at_blobs(&journal, cluster, &mut findings);
    }
    for row in journal.history(0..u32::MAX) {
        match row {
            Ok(_) => findings.history_rows += 1,
            Err(error) => findings.problem(Verdict::Usable, chain(&error)),
        }
    }
    findings.advice = advice(&findings, keep.is_some() && cluster.is_some());
    if let (Some(keep), Some(cluster)) = (keep, &cluster) {
        save_what_is_left(&journal, cluster, &findings, keep)?;
    }
    Ok(findings)
}

/// From the newest whole checkpoint as far as records can be followed; `None` where there is no beginning.
///
/// # Errors
/// A newer program wrote it.
fn follow(
    journal: &SledJournal,
    mark: Option<(u64, u64)>,
    findings: &mut Findings,
) -> Result<Option<Cluster>, BackupError> {
    let begin = newest_checkpoint(journal, findings)?;
    let begins_with_nothing = begin.is_none() && !findings.checkpoints.is_empty();
    let (mut next, mut cluster) = begin.unwrap_or_default();
    for row in journal.read(next) {
        let followed = match row.map_err(|error| chain(&error)) {
            Ok((_, bytes)) => apply(&mut cluster, &bytes, &findings.path)?,
            Err(why) => Err(why),
        };
        if let Err(why) = followed {
            let end = journal.next_sequence().max(mark.map_or(0, |(next, _)| next));
            findings.problem(Verdict::Damaged, format!("records {next} to {} are lost: {why}", end.saturating_sub(1)));
            break;
        }
        next += 1;
    }
    findings.whole_to = next;
    if next == 0 && (begins_with_nothing || journal.next_sequence() > 0) {
        findings.problem(Verdict::Damaged, "no checkpoint is whole, and the first records are gone".to_owned());
        return Ok(None);
    }
    if let Err(broken) = cluster.check() {
        findings.problem(Verdict::Damaged, format!("it leads to a state that cannot be: {broken}"));
        return Ok(None);
    }
    Ok(Some(cluster))
}

fn newest_checkpoint(journal: &SledJournal, findings: &mut Findings) -> Result<Option<(u64, Cluster)>, BackupError> {
    let checkpoints = journal.checkpoints().unwrap_or_else(|error| {
        findings.problem(Verdict::Damaged, format!("the checkpoints cannot be listed: {error}"));
        Vec::new()
    });
    let mut newest = None;
    for (sequence, bytes) in checkpoints {
        let damage = match bytes.as_deref().map(unpack_cluster) {
            Some(Ok(state)) => {
                newest = Some((sequence, state));
                None
            }
            Some(Err(error)) => Some(not_newer(error, &findings.path)?),
            None => Some("it is not what was written".to_owned()),
        };
        findings.checkpoints.push(Checkpoint { sequence, whole: damage.is_none() });
        if let Some(damage) = damage {
            findings.problem(Verdict::Usable, format!("the checkpoint at record {sequence} is damaged: {damage}"));
        }
    }
    Ok(newest)
}

/// Applies a record, or says why it cannot be.
fn apply(cluster: &mut Cluster, bytes: &[u8], path: &str) -> Result<Result<(), String>, BackupError> {
    let record = match unpack_record(bytes) {
        Ok(record) => record,
        Err(error) => return Ok(Err(not_newer(error, path)?)),
    };
    // Facts that do not fit the state end in a failed assertion, which ends a controller; here it is what was asked for.
    let applied = catch_unwind(AssertUnwindSafe(|| {
        record.events.iter().for_each(|event| cluster.apply(record.at, event));
    }));
    Ok(applied.map_err(|_| "its facts do not fit the state before it".to_owned()))
}

/// Why bytes cannot be unpacked, unless that is because a newer program has written them: then nothing is wrong with them.
fn not_newer(error: UnpackError, path: &str) -> Result<String, BackupError> {
    match error {
        UnpackError::Newer { .. } => Err(BackupError::Meaning { path: path.into(), source: error }),
        error => Ok(chain(&error)),
    }
}

fn look_at_blobs(journal: &SledJournal, cluster: &Cluster, findings: &mut Findings) {
    for (job, hash) in cluster.blobs() {
        match journal.get_blob(&hash) {
            Ok(Some(_)) => findings.blobs += 1,
            Ok(None) => findings.problem(Verdict::Usable, format!("blob {hash} of job {job} is missing")),
            Err(error) => findings.problem(Verdict::Usable, format!("{} (job {job})", chain(&error))),
        }
    }
}

fn save_what_is_left(
    journal: &SledJournal,
    cluster: &Cluster,
    findings: &Findings,
    path: &Path,
) -> Result<(), BackupError> {
    let file = |source| BackupError::File { path: path.to_owned(), source };
    let mut out = BufWriter::new(File::create_new(path).map_err(file)?);
    let (sequence, epoch) = (findings.whole_to, findings.epoch);
    // The epoch of a lost tail is above this; a restore goes far beyond both.
    let moment = Moment { cluster, name: "", at: clock::now(), sequence, epoch };
    save(&moment, journal, &mut out, true, true, || ())?;
    out.flush().and_then(|()| out.get_ref().sync_all()).map_err(file)
}

fn advice(findings: &Findings, kept: bool) -> String {
    let whole_to = findings.whole_to;
    match findings.verdict {
        Verdict::Whole => "nothing; covey backup keeps a copy".to_owned(),
        Verdict::Usable => {
            "a controller goes on with it: start it, then make a backup. Jobs whose blobs are damaged must be \
                            submitted again, damaged days of history come back only with a backup"
                .to_owned()
        }
        Verdict::Damaged if kept => format!(
            "restore your newest backup (covey restore) if it is from record {whole_to} or later; else the one that was made now"
        ),
        Verdict::Damaged => format!(
            "restore a backup (covey restore). Without one, covey fsck --save FILE keeps what is whole (all before record \
             {whole_to}), of which covey restore makes a journal; what came later is lost"
        ),
    }
}
