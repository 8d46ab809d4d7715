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
pub(crate) struct Acknowledged(BTreeMap<String, String>);

impl Acknowledged {
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Submits in four loops until `cut` has done its work, which is called once `more` submits were acknowledged.
    pub(crate) fn submit_until(&mut self, rig: &Rig, more: usize, cut: impl FnOnce()) {
        let stop = AtomicBool::new(false);
        let before = self.0.len();
        let acked = Mutex::new(std::mem::take(&mut self.0));
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
                        if let Some(id) = submit(rig.command("sbatch", &[]), &name) {
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
        self.0 = acked.into_inner().expect("no loop panics with it");
    }

    /// Every acknowledged job is there under its number, and no number was given twice.
    pub(crate) fn check(&self, rig: &Rig) {
        let listed = rig.run("squeue", &["-h", "-o", "%j %i"]);
        let mut jobs = BTreeMap::new();
        for line in listed.lines() {
            let (name, id) = line.trim().split_once(' ').expect("a name and a number");
            assert_eq!(jobs.insert(name, id.trim()), None, "{name} is there twice");
        }
        for (name, id) in &self.0 {
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
fn submit(mut sbatch: Command, name: &str) -> Option<String> {
    sbatch.args(["--parsable", "--hold", "-J", name, "--wrap", "true"]).env("COVEY_CONNECT_TIMEOUT", "0");
    let output = sbatch.output().expect("the binary can be started");
    let id = String::from_utf8(output.stdout).expect("text").trim().to_owned();
    output.status.success().then_some(id)
}
