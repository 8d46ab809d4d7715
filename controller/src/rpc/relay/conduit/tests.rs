//! Streams break, and every message arrives once; windows are bounded.

use super::*;

fn conduit(input_task: Option<u32>) -> Conduit {
    let share = |node: &str, first_task| v1::StepShare { node: node.into(), first_task, tasks: 2, cpus_milli: 2000 };
    let shares = vec![share("n1", 0), share("n2", 2)];
    Conduit::new(v1::StepCreated { shares, ..Default::default() }, input_task, Instant::now())
}

fn output(seq: u64, bytes: &[u8]) -> v1::StepSaid {
    let output = v1::StepOutput { task: 0, error: false, bytes: bytes.to_vec() };
    v1::StepSaid { seq, kind: Some(v1::step_said::Kind::Output(output)) }
}

fn input(seq: u64) -> v1::StepInput {
    v1::StepInput { seq, bytes: b"in".to_vec(), end: false }
}

/// All that an `srun` hears now, in short.
fn heard(conduit: &mut Conduit, stream: StreamId) -> Vec<String> {
    use v1::to_srun::Kind;
    let mut all = Vec::new();
    loop {
        match conduit.next_for_srun(stream) {
            Next::Wait => return all,
            Next::End => {
                all.push("end".into());
                return all;
            }
            Next::Say(said) => all.push(match said.kind.expect("something") {
                Kind::Waits(_) => "waits".into(),
                Kind::Created(_) => "created".into(),
                Kind::Said(said) => format!("{} {}", said.node, said.said.expect("something").seq),
                Kind::InputReceived(seq) => format!("input {seq}"),
                Kind::Ended(ended) => ended.state,
            }),
        }
    }
}

/// All that a stepd hears now, in short.
fn told(conduit: &mut Conduit, node: &str, stream: StreamId) -> Vec<String> {
    use v1::to_stepd::Kind;
    let mut all = Vec::new();
    loop {
        match conduit.next_for_node(node, stream) {
            Next::Wait => return all,
            Next::End => {
                all.push("end".into());
                return all;
            }
            Next::Say(said) => all.push(match said.kind.expect("something") {
                Kind::Input(input) => format!("input {}", input.seq),
                Kind::Signal(signal) => format!("signal {signal}"),
                Kind::Received(seq) => format!("received {seq}"),
                Kind::Detached(_) => "detached".into(),
            }),
        }
    }
}

#[test]
fn output_is_said_again_to_an_srun_that_comes_back_until_it_has_it() {
    let mut conduit = conduit(None);
    let first = conduit.attach_srun();
    let stepd = conduit.attach_node("n1").expect("it has a part");
    for seq in 1..=3 {
        conduit.say("n1", output(seq, b"x"));
    }
    assert_eq!(heard(&mut conduit, first), ["created", "n1 1", "n1 2", "n1 3"]);
    conduit.received("n1", 1);
    assert_eq!(told(&mut conduit, "n1", stepd), ["received 1"]);
    conduit.detach_srun(first, Instant::now());
    assert!(conduit.gone_since().is_some());
    let second = conduit.attach_srun();
    assert_eq!(heard(&mut conduit, first), ["end"]);
    assert_eq!(heard(&mut conduit, second), ["created", "n1 2", "n1 3"]);
    conduit.detach_srun(first, Instant::now());
    assert!(conduit.gone_since().is_none(), "an old stream takes nothing along");
}

#[test]
fn a_stepd_that_comes_back_is_counted_once_and_told_again() {
    let mut conduit = conduit(None);
    let srun = conduit.attach_srun();
    let first = conduit.attach_node("n1").expect("it has a part");
    conduit.input(input(1));
    conduit.input(input(2));
    conduit.input(input(2));
    assert_eq!(told(&mut conduit, "n1", first), ["input 1", "input 2"]);
    conduit.say("n1", output(1, b"x"));
    conduit.input_done("n1", 1);
    assert_eq!(heard(&mut conduit, srun), ["created", "n1 1"], "the other node has written nothing");
    let second = conduit.attach_node("n1").expect("it has a part");
    assert_eq!(told(&mut conduit, "n1", first), ["end"]);
    assert_eq!(told(&mut conduit, "n1", second), ["input 2"]);
    conduit.say("n1", output(1, b"x"));
    conduit.say("n1", output(2, b"y"));
    assert_eq!(heard(&mut conduit, srun), ["n1 2"]);
    conduit.input_done("n2", 2);
    conduit.input_done("n1", 2);
    assert_eq!(heard(&mut conduit, srun), ["input 2"]);
    assert_eq!(conduit.input_bytes, 0);
    assert_eq!(conduit.attach_node("n9"), None);
}

#[test]
fn windows_are_bounded_and_open_when_the_other_side_has_read() {
    let mut conduit = conduit(Some(2));
    conduit.attach_srun();
    let mut seq = 0;
    while conduit.takes_output("n1") {
        seq += 1;
        conduit.say("n1", output(seq, &[0; 4096]));
    }
    assert!(conduit.nodes["n1"].bytes < OUTPUT_BYTES_MAX + 8192);
    assert!(conduit.takes_output("n2"), "one node does not hold up another");
    conduit.received("n1", 1);
    assert!(conduit.takes_output("n1"));
    let mut seq = 0;
    while conduit.takes_input() {
        seq += 1;
        conduit.input(v1::StepInput { seq, bytes: vec![0; 4096], end: false });
    }
    conduit.input_done("n1", seq);
    assert!(!conduit.takes_input(), "the node of task 2 alone reads");
    conduit.input_done("n2", 1);
    assert!(conduit.takes_input());
}

#[test]
fn the_end_comes_after_all_output() {
    let mut conduit = conduit(None);
    let srun = conduit.attach_srun();
    conduit.say("n1", output(1, b"x"));
    conduit.end(v1::StepEnded { state: "COMPLETED".into(), ..Default::default() });
    conduit.say("n2", output(1, b"y"));
    assert_eq!(heard(&mut conduit, srun), ["created", "n1 1", "n2 1", "COMPLETED", "end"]);
    assert!(conduit.has_said_the_end());
    let again = conduit.attach_srun();
    assert_eq!(heard(&mut conduit, again), ["created", "n1 1", "n2 1", "COMPLETED", "end"]);
}

#[test]
fn where_nobody_listens_output_is_dropped_and_input_of_the_dead_is_written() {
    let mut conduit = conduit(None);
    let stepd = conduit.attach_node("n2").expect("it has a part");
    for seq in 1..=9 {
        conduit.say("n2", output(seq, &[0; 1 << 20]));
    }
    assert!(!conduit.takes_output("n2"));
    conduit.detach();
    assert!(conduit.takes_output("n2"));
    conduit.say("n2", output(10, b"x"));
    assert_eq!(told(&mut conduit, "n2", stepd), ["detached", "received 10"]);
    conduit.signal(10);
    assert_eq!(told(&mut conduit, "n2", stepd), ["signal 10"]);
    conduit.left(&["n2".into()]);
    conduit.input(input(1));
    assert_eq!(told(&mut conduit, "n2", stepd), ["input 1"]);
    conduit.input_done("n2", 1);
    let srun = conduit.attach_srun();
    assert_eq!(heard(&mut conduit, srun), ["created", "input 1"]);
}
