//! How far the job is: a bar where stdout is a terminal, else a line for each quarter.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use proto::v1::Progress;

/// Lines that are written where there is no terminal, at most.
const LINES_MAX: u64 = 4;

/// Shows progress until it is cleared.
pub(super) struct Bar {
    bar: Option<ProgressBar>,
    lines: Lines,
}

impl Bar {
    pub(super) fn new(tasks: usize) -> Bar {
        let bar = io::stdout().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:40} {pos}/{len}  {msg}").expect("a good template");
            ProgressBar::with_draw_target(Some(tasks as u64), ProgressDrawTarget::stdout()).with_style(style)
        });
        Bar { bar, lines: Lines::default() }
    }

    pub(super) fn show(&mut self, progress: &Progress) {
        match &self.bar {
            Some(bar) => {
                bar.set_message(message(progress));
                bar.set_position(ended(progress));
            }
            None => {
                if let Some(line) = self.lines.next(progress) {
                    // Whoever does not read the progress still gets the result.
                    let _ = writeln!(io::stdout(), "{line}");
                }
            }
        }
    }

    pub(super) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Which quarter was told last.
#[derive(Debug, Default)]
struct Lines {
    told: u64,
}

impl Lines {
    /// A line when a further quarter has been reached.
    fn next(&mut self, progress: &Progress) -> Option<String> {
        let quarter = (ended(progress) * LINES_MAX).checked_div(progress.total)?;
        let further = quarter > self.told;
        self.told = quarter.max(self.told);
        further.then(|| format!("{}/{} {}", ended(progress), progress.total, message(progress)).trim_end().to_owned())
    }
}

fn ended(progress: &Progress) -> u64 {
    progress.completed + progress.failed + progress.cancelled
}

/// What a person should know beside the number: why nothing runs, or that something failed.
fn message(progress: &Progress) -> String {
    if progress.failed > 0 {
        format!("{} failed", progress.failed)
    } else if progress.running == 0 && progress.pending > 0 {
        format!("waiting: {}", progress.reason)
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_quarter_is_told_once() {
        let mut lines = Lines::default();
        let at = |completed, failed| Progress { total: 49, running: 1, completed, failed, ..Progress::default() };
        let told = [at(0, 0), at(12, 0), at(13, 0), at(13, 0), at(30, 1), at(20, 0), at(47, 2)];
        let told = told.iter().filter_map(|progress| lines.next(progress)).collect::<Vec<_>>();
        assert_eq!(told, ["13/49", "31/49 1 failed", "49/49 2 failed"]);
        assert_eq!(Lines::default().next(&Progress::default()), None, "nothing to do is no progress");
    }

    #[test]
    fn a_job_that_waits_says_why() {
        let progress = Progress { total: 4, pending: 4, reason: "Resources".into(), ..Progress::default() };
        assert_eq!(message(&progress), "waiting: Resources");
    }
}
