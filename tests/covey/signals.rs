//! A signal reaches what it is for, and once, however often links break meanwhile.

use std::fs;

use crate::rig::{COVEY, Rig, wait_for};

/// Writes down what it hears, until it may go.
const LISTENER: &str = "trap 'echo step USR1 >> heard' USR1\necho > ready\nwhile [ ! -e go ]; do sleep 0.02; done\n";

#[test]
fn signals_that_no_noded_heard_are_delivered_when_one_is_back_and_never_twice() {
    let mut rig = Rig::start(1);
    fs::write(rig.work().join("listener.sh"), LISTENER).expect("written");
    let script = format!(
        "trap 'echo batch USR2 >> heard' USR2\n{COVEY} srun sh listener.sh &\nwhile [ ! -e go ]; do sleep 0.02; done\nwait\n"
    );
    let job = rig.submit(&["-n", "1", "-c", "2", "-o", "none", "--wrap", &script]);
    wait_for("the step listens", || rig.work().join("ready").exists());
    let heard = |rig: &Rig, line: &str| rig.try_read("heard").lines().filter(|told| *told == line).count();
    let restart = |rig: &mut Rig| {
        rig.kill_controller();
        rig.start_controller();
        rig.start_node("linux0");
    };
    rig.kill_node("linux0");
    wait_for("the node is seen to be silent", || rig.run("sinfo", &["-h", "-N", "-o", "%t"]).contains('*'));
    rig.run("scancel", &["--signal=USR1", &format!("{job}.0")]);
    rig.run("scancel", &["--batch", "--signal=USR2", &job]);
    restart(&mut rig);
    wait_for("the step hears", || heard(&rig, "step USR1") == 1);
    wait_for("the script hears", || heard(&rig, "batch USR2") == 1);
    // A noded that knows nothing learns from its launcher what was delivered. What is sent to it now comes after all that it
    // may be told again.
    rig.kill_node("linux0");
    restart(&mut rig);
    wait_for("the node is back", || rig.run("sinfo", &["-h", "-N", "-o", "%t"]).trim() == "alloc");
    rig.run("scancel", &["--signal=USR1", &format!("{job}.0")]);
    rig.run("scancel", &["--batch", "--signal=USR2", &job]);
    wait_for("the step hears again", || heard(&rig, "step USR1") >= 2);
    wait_for("the script hears again", || heard(&rig, "batch USR2") >= 2);
    fs::write(rig.work().join("go"), "").expect("written");
    assert_eq!(rig.wait_done(&job), ["COMPLETED"]);
    assert_eq!((heard(&rig, "step USR1"), heard(&rig, "batch USR2")), (2, 2));
}
