//! What `covey map --wait` shows on stderr: a bar on a terminal, otherwise a line at every tenth of the way.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use proto::v1::Progress;

/// The way so far, as it is shown.
#[derive(Debug)]
pub(super) enum Shown {
    Nothing,
    Bar(ProgressBar),
    Lines {
        /// Tenths that have been told.
        tenths: u64,
    },
}

impl Shown {
    pub(super) fn new(quiet: bool) -> Shown {
        match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Shown::Nothing,
            (false, true) => {
                let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {elapsed} {msg}");
                Shown::Bar(ProgressBar::new(0).with_style(style.expect("the template is a constant")))
            }
            (false, false) => Shown::Lines { tenths: 0 },
        }
    }

    pub(super) fn update(&mut self, progress: &Progress) {
        match self {
            Shown::Nothing => {}
            Shown::Bar(bar) => {
                bar.set_length(progress.total);
                bar.set_position(ended(progress));
                bar.set_message(state(progress));
            }
            Shown::Lines { tenths } => {
                if let Some(line) = line(progress, tenths) {
                    eprintln!("covey map: {line}");
                }
            }
        }
    }

    /// Leaves the last word on the screen.
    pub(super) fn end(self, last: &Progress) {
        if let Shown::Bar(bar) = &self {
            bar.finish_and_clear();
        }
        if !matches!(self, Shown::Nothing) {
            let Progress { total, completed, failed, cancelled, .. } = last;
            eprintln!("covey map: {completed} of {total} tasks completed, {failed} failed, {cancelled} cancelled");
        }
    }
}

fn ended(progress: &Progress) -> u64 {
    progress.completed + progress.failed + progress.cancelled
}

/// The line to print when a new tenth is reached before the end.
fn line(progress: &Progress, tenths: &mut u64) -> Option<String> {
    let reached = (ended(progress) * 10).checked_div(progress.total).unwrap_or(0);
    let is_new = reached > *tenths && !progress.done;
    *tenths = reached.max(*tenths);
    is_new.then(|| format!("{}/{} {}", ended(progress), progress.total, state(progress)))
}

/// What is on its way, and why the rest waits.
fn state(progress: &Progress) -> String {
    let failed = if progress.failed > 0 { format!(", {} failed", progress.failed) } else { String::new() };
    match (progress.running, progress.reason.as_str()) {
        (0, "" | "None") => format!("waiting{failed}"),
        (0, reason) => format!("waiting ({reason}){failed}"),
        (running, _) => format!("{running} running{failed}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tenth_is_told_once() {
        let mut tenths = 0;
        let told = (0..=40).filter_map(|completed| {
            let progress = Progress { total: 40, completed, running: 2, done: completed == 40, ..Progress::default() };
            line(&progress, &mut tenths)
        });
        let told: Vec<String> = told.collect();
        assert_eq!((told.len(), told[0].as_str()), (9, "4/40 2 running"));
        let empty = Progress { total: 0, ..Progress::default() };
        assert_eq!(line(&empty, &mut 0), None);
    }

    #[test]
    fn the_reason_is_told_while_nothing_runs() {
        let waiting = Progress { reason: "Resources".into(), failed: 1, ..Progress::default() };
        assert_eq!(state(&waiting), "waiting (Resources), 1 failed");
    }
}
