//! Four loops that submit as fast as they can, and remember what was acknowledged.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::rig::{Rig, wait_for};

const LOOPS: usize = 4;

/// Every acknowledged job by its name; no two submits have the same one.
#[derive(Debug, Default)]
pub(crate) struct Acknowledged {
    jobs: BTreeMap<String, String>,
    /// Bytes that each script has beside what it does.
    ballast: usize,
}

impl Acknowledged {
    /// Of scripts with so many bytes beside what they do.
    pub(crate) fn with_ballast(ballast: usize) -> Acknowledged {
        Acknowledged { ballast, ..Acknowledged::default() }
    }

    pub(crate) fn count(&self) -> usize {
        self.jobs.len()
    }

    /// Submits in four loops until `cut` has done its work, which is called once `more` submits were acknowledged.
    pub(crate) fn submit_until(&mut self, rig: &Rig, more: usize, cut: impl FnOnce()) {
        let stop = AtomicBool::new(false);
        let (before, ballast) = (self.jobs.len(), self.ballast);
        let acked = Mutex::new(std::mem::take(&mut self.jobs));
        thread::scope(|scope| {
            let _stopped_at_the_end = Stop(&stop);
            for number in 0..LOOPS {
                let (stop, acked) = (&stop, &acked);
                scope.spawn(move || {
                    for round in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        let name = format!("j{before}-{number}-{round}");
                        if let Some(id) = submit(rig.command("sbatch", &[]), &name, ballast) {
                            acked.lock().expect("no loop panics with it").insert(name, id);
                        }
                    }
                });
            }
            wait_for("submits are acknowledged", || {
                acked.lock().expect("no loop panics with it").len() >= before + more
            });
            cut();
        });
        self.jobs = acked.into_inner().expect("no loop panics with it");
    }

    /// Every acknowledged job is there under its number, and no number was given twice.
    pub(crate) fn check(&self, rig: &Rig) {
        let listed = rig.run("squeue", &["-h", "-o", "%j %i"]);
        let mut jobs = BTreeMap::new();
        for line in listed.lines() {
            let (name, id) = line.trim().split_once(' ').expect("a name and a number");
            assert_eq!(jobs.insert(name, id.trim()), None, "{name} is there twice");
        }
        for (name, id) in &self.jobs {
            assert_eq!(jobs.get(name.as_str()), Some(&id.as_str()), "{name} was acknowledged as job {id}");
        }
    }
}

/// Stops the loops, also where the test fails: it could not end before them.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Answers the job's number, when it was acknowledged. It has one try.
fn submit(mut sbatch: Command, name: &str, ballast: usize) -> Option<String> {
    // No two are the same, or they would be kept once.
    let script = if ballast > 0 { format!("true # {name} {}", "x".repeat(ballast)) } else { "true".to_owned() };
    sbatch.args(["--parsable", "--hold", "-J", name, "--wrap", &script]).env("COVEY_CONNECT_TIMEOUT", "0");
    let output = sbatch.output().expect("the binary can be started");
    let id = String::from_utf8(output.stdout).expect("text").trim().to_owned();
    output.status.success().then_some(id)
}
