//! What a rehearsal has shown, for people and for programs.

use std::time::Duration;

use sched::spec::inject::InjectedFailure;
use serde_json::json;

use super::load::Found;
use super::strike::{Mended, Target};

/// Names that are told of what is wrong; the rest is a number.
const NAMED_MAX: usize = 20;

/// A rehearsal and its outcome.
pub(super) struct Report {
    pub(super) seed: u64,
    pub(super) lasts_s: u64,
    pub(super) inject: Option<InjectedFailure>,
    pub(super) mended: Vec<Mended>,
    pub(super) found: Found,
}

impl Report {
    /// Whether every promise was kept.
    pub(super) fn is_good(&self) -> bool {
        self.found.lost.is_empty() && self.found.wrong.is_empty()
    }

    fn times(&self, of: impl Fn(&Target) -> bool) -> Vec<Duration> {
        self.mended.iter().filter(|mended| of(&mended.target)).map(|mended| mended.took).collect()
    }

    fn controllers(&self) -> Vec<Duration> {
        self.times(|target| *target == Target::Controller)
    }

    fn nodes(&self) -> Vec<Duration> {
        self.times(|target| *target != Target::Controller)
    }

    pub(super) fn text(&self) -> String {
        let Found { jobs, tasks, refused, lost, wrong, requeued, failed_on_purpose, failed_otherwise, folder } =
            &self.found;
        let (controllers, nodes) = (self.controllers(), self.nodes());
        let inject = self.inject.map(|inject| format!(", tasks failing by {inject}")).unwrap_or_default();
        let killed = format!("the controller {} times, nodes {} times{inject}", controllers.len(), nodes.len());
        let lines = [
            ("killed", killed),
            ("submitted", format!("{jobs} jobs acknowledged, of {tasks} tasks; {} not acknowledged", refused.len())),
            ("lost", names(lost)),
            ("duplicated", names(wrong)),
            ("requeued", format!("{requeued}")),
            ("failed", format!("{failed_on_purpose} on purpose, {failed_otherwise} otherwise")),
            ("recovered", format!("the controller {}; nodes {}", spread(controllers), spread(nodes))),
        ];
        let lines: String = lines.into_iter().map(|(what, said)| format!("  {what:<12}{said}\n")).collect();
        let verdict = if self.is_good() {
            "every promise was kept".to_owned()
        } else {
            format!("promises were broken; what the tasks have written is in {}", folder.display())
        };
        format!("seed {}, {} s\n{lines}{verdict}\n", self.seed, self.lasts_s)
    }

    pub(super) fn json(&self) -> String {
        let ms = |times: Vec<Duration>| times.iter().map(Duration::as_millis).map(|ms| ms as u64).collect::<Vec<_>>();
        let Found { jobs, tasks, refused, lost, wrong, requeued, failed_on_purpose, failed_otherwise, .. } =
            &self.found;
        let object = json!({
            "seed": self.seed,
            "acknowledged_jobs": jobs,
            "acknowledged_tasks": tasks,
            "not_acknowledged": refused,
            "lost": lost,
            "duplicated": wrong,
            "requeued": requeued,
            "failed_on_purpose": failed_on_purpose,
            "failed_otherwise": failed_otherwise,
            "recovery_ms": { "controller": ms(self.controllers()), "node": ms(self.nodes()) },
            "good": self.is_good(),
        });
        format!("{object}\n")
    }
}

/// `0`, or how many and which.
fn names(list: &[String]) -> String {
    match list {
        [] => "0".into(),
        list => {
            let more = if list.len() > NAMED_MAX { ", ..." } else { "" };
            format!("{}: {}{more}", list.len(), list[..list.len().min(NAMED_MAX)].join(", "))
        }
    }
}

/// The median and the longest of some times.
fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    match times.last() {
        None => "-".into(),
        Some(longest) => format!("after {:.2?}, at worst {longest:.2?}", times[times.len() / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(lost: Vec<String>) -> Report {
        let mended = |target, ms| Mended { target, took: Duration::from_millis(ms) };
        Report {
            seed: 7,
            lasts_s: 60,
            inject: Some("0.2:7".parse().expect("a share")),
            mended: vec![
                mended(Target::Controller, 400),
                mended(Target::Node("linux0".into()), 1_200),
                mended(Target::Controller, 300),
            ],
            found: Found { jobs: 2, tasks: 16, lost, requeued: 3, failed_on_purpose: 4, ..Found::default() },
        }
    }

    #[test]
    fn the_report_says_what_was_done_and_what_became_of_it() {
        let text = report(Vec::new()).text();
        let expected = "seed 7, 60 s\n  killed      the controller 2 times, nodes 1 times, tasks failing by 0.2:7\n  \
                        submitted   2 jobs acknowledged, of 16 tasks; 0 not acknowledged\n  lost        0\n  \
                        duplicated  0\n  requeued    3\n  failed      4 on purpose, 0 otherwise\n  \
                        recovered   the controller after 400.00ms, at worst 400.00ms; nodes after 1.20s, at worst 1.20s\n\
                        every promise was kept\n";
        assert_eq!(text, expected);
        let text = report(vec!["5_1".into(), "5_2".into()]).text();
        assert!(text.contains("lost        2: 5_1, 5_2\n") && text.contains("promises were broken"), "{text}");
    }

    #[test]
    fn programs_get_the_same() {
        let object: serde_json::Value = serde_json::from_str(&report(vec!["5_1".into()]).json()).expect("JSON");
        assert_eq!(object["recovery_ms"]["controller"], json!([400, 300]));
        assert_eq!((&object["good"], &object["lost"]), (&json!(false), &json!(["5_1"])));
    }
}
