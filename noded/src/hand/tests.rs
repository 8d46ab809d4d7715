//! What the launcher gets to hear, read at its end of the socket.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

use sched::ids::JobId;

use super::*;
use crate::launcher::frame::{FileSpec, Launch, Limits};
use crate::launcher::wire;

fn key(index: u32) -> RunKey {
    AttemptKey { job: JobId(5), index, attempt: 1 }.into()
}

fn launch(index: u32, environment_bytes: usize) -> Request {
    Request::Launch(Box::new(Launch {
        key: key(index),
        argv: vec!["/bin/true".into()],
        env: vec![("A".into(), "x".repeat(environment_bytes).into())],
        cwd: "/".into(),
        stdin: None,
        stdout: FileSpec { path: "/dev/null".into(), append: false },
        stderr: None,
        umask: 0o022,
        time_limit_s: None,
        kill_wait_ms: 0,
        job_label: "5".into(),
        node_name: "n1".into(),
        limits: Limits::default(),
        warning: None,
        user: None,
        soft_limits: Vec::new(),
        job_time: None,
        leased: false,
    }))
}

/// What has arrived at the launcher's end.
fn heard(launcher: &mut UnixStream) -> Vec<Request> {
    launcher.set_nonblocking(true).expect("a socket");
    let mut bytes = Vec::new();
    let read = launcher.read_to_end(&mut bytes);
    assert!(read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "the connection is up");
    let (mut all, mut rest) = (Vec::new(), bytes.as_slice());
    while let Some((batch, used)) = wire::decode(rest).expect("whole frames") {
        all.extend(batch);
        rest = &rest[used..];
    }
    all
}

#[tokio::test]
async fn nothing_is_asked_before_the_hello_and_what_is_too_long_holds_up_nothing_else() {
    let (mut launcher, ours) = UnixStream::pair().expect("sockets");
    let mut hand = Hand::new("/nowhere".into(), "/nowhere".into(), ours).expect("within a runtime");
    assert!(hand.ask(&[launch(0, 1)]).await.is_empty());
    assert!(heard(&mut launcher).is_empty(), "the hello would not know of it");
    let hello = Notice::Hello {
        launcher_id: "l".into(),
        attempts: Vec::new(),
        abilities: Default::default(),
        lease_until_ms: None,
        lease_kill_wait_ms: 0,
    };
    let mut frame = Vec::new();
    wire::encode(&[hello], &mut frame).expect("short");
    launcher.write_all(&frame).expect("there is room");
    hand.listen().await.expect("a hello");
    let batch = [launch(1, 1), launch(2, FRAME_BYTES_MAX), Request::Resume { key: key(3) }];
    let refused = hand.ask(&batch).await;
    assert_eq!(heard(&mut launcher), [batch[0].clone(), batch[2].clone()]);
    let [(too_long, note)] = &refused[..] else { panic!("one is too long: {refused:?}") };
    assert_eq!(*too_long, key(2));
    assert!(note.contains("its environment 16777217"), "{note}");
}
