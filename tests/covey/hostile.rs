//! Input of those who mean harm: it is refused or harmless, memory stays bounded, and others are answered meanwhile.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use proto::dial::dial_trusting;
use proto::trust::Trust;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::clients::{CLIENTS, told};
use crate::grpc;
use crate::rig::{PATIENCE, Rig, is_root, wait_for};
use crate::tls::{House, files};

/// What a controller may have needed at most while it was under attack, in MiB. Idle it needs some 30.
const MEMORY_MIB_MAX: u64 = 450;

/// The most memory that the controller has had, in MiB.
fn memory_mib(rig: &Rig) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", rig.controller_pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells it");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

/// Another client's job is taken and runs, in less time than patience.
fn others_are_served(rig: &Rig) {
    let begun = Instant::now();
    let job = rig.submit(&["-o", "none", "--wrap", "true"]);
    assert_eq!(rig.wait_done(&job), ["COMPLETED"]);
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
    let memory = memory_mib(rig);
    assert!(memory < MEMORY_MIB_MAX, "{memory} MiB");
}

/// Room for some thousand connections in this process.
fn many_files() {
    let limits = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limits.maximum, ..limits }).expect("up to the limit is allowed");
}

fn connect(rig: &Rig) -> UnixStream {
    let stream = UnixStream::connect(rig.dir().join("controller.sock")).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time");
    stream
}

#[test]
fn messages_that_are_none_are_refused() {
    let rig = Rig::start(1);
    for scenario in ["garbage", "oversize", "metadata", "unknown"] {
        let output = grpc::python(&rig, &rig.endpoint(), &format!("{CLIENTS}/hostile.py"), &[scenario]).output();
        let output = output.expect("python can be started");
        assert!(output.status.success(), "{scenario}: {}", told(&output));
    }
    others_are_served(&rig);
    let listed = rig.run("squeue", &["-h", "-t", "all", "-o", "%i"]);
    assert_eq!(listed, "1\n", "nothing of it became a job");
    let log = fs::read_to_string(rig.dir().join("log/controller.log")).expect("the log");
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn who_speaks_something_else_is_hung_up_on() {
    let rig = Rig::start(1);
    let endless = vec![b'x'; 1 << 20];
    for words in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nno frame at all, and more of it than a frame has at its head",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x00\x00\x00\x00\x00\x00",
        &endless,
    ] {
        let mut stream = connect(&rig);
        // It may be closed before all was said.
        stream.write_all(words).ok();
        let mut answer = Vec::new();
        // A reset is an end, too.
        stream.read_to_end(&mut answer).ok();
        assert!(answer.len() < 1_000, "{} bytes of answer", answer.len());
    }
    // And on who says nothing at all, or stops in the middle of the first word.
    let (mut silent, mut halting) = (connect(&rig), connect(&rig));
    halting.write_all(b"PRI * HTTP/2.0\r\n").expect("sent");
    for stream in [&mut silent, &mut halting] {
        let mut answer = Vec::new();
        // The server says its settings first; a reset is an end, too, and running out of patience is none.
        let ended = stream.read_to_end(&mut answer);
        let in_time = ended.map_or_else(|error| error.kind() == std::io::ErrorKind::ConnectionReset, |_| true);
        assert!(in_time && answer.len() < 1_000, "the end comes within patience: {answer:?}");
    }
    others_are_served(&rig);
}

/// HTTP/2 by hand: what an honest client's library would not do.
struct Frames(UnixStream);

impl Frames {
    /// A connection in which the other side may send `window` bytes on each stream, and no more ever.
    fn open(rig: &Rig, window: u32) -> Frames {
        let mut frames = Frames(connect(rig));
        frames.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("sent");
        let mut settings = vec![0, 4];
        settings.extend(window.to_be_bytes());
        frames.send(4, 0, 0, &settings);
        // What the controller allows holds once it was acknowledged.
        let mut head = [0; 9];
        frames.0.read_exact(&mut head).expect("settings come first");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        frames.0.read_exact(&mut vec![0; length]).expect("all of them");
        frames.send(4, 1, 0, &[]);
        frames
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, body: &[u8]) {
        let length = u32::try_from(body.len()).expect("short").to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(body);
        // One that was hung up on has had its effect.
        self.0.write_all(&frame).ok();
    }

    /// Begins a call.
    fn call(&mut self, stream: u32, method: &str) {
        let path = format!("/covey.v1.Controller/{method}");
        let mut block = vec![0x83, 0x86];
        for (name, value) in
            [(":path", path.as_str()), (":authority", "x"), ("content-type", "application/grpc"), ("te", "trailers")]
        {
            block.push(0);
            for text in [name, value] {
                block.push(u8::try_from(text.len()).expect("short"));
                block.extend(text.as_bytes());
            }
        }
        self.send(1, 4, stream, &block);
    }

    /// Part of a call's body, in frames of the size that is always allowed.
    fn body(&mut self, stream: u32, bytes: &[u8], last: bool) {
        let pieces = bytes.chunks(16_384);
        let count = pieces.len();
        for (i, piece) in pieces.enumerate() {
            self.send(0, u8::from(last && i + 1 == count), stream, piece);
        }
    }
}

/// A gRPC message, or the beginning of one that promises `length` bytes.
fn message(length: usize, bytes: &[u8]) -> Vec<u8> {
    let mut message = vec![0];
    message.extend(u32::try_from(length).expect("short").to_be_bytes());
    message.extend(bytes);
    message
}

#[test]
fn messages_that_never_end_do_not_fill_the_memory() {
    many_files();
    let rig = Rig::start(1);
    // 800 messages of 16 MiB are promised, and 700 MB of them sent.
    let begun = message(16 << 20, &vec![0; 900 << 10]);
    let open: Vec<Frames> = (0..200)
        .map(|_| {
            let mut frames = Frames::open(&rig, 65_535);
            for stream in [1, 3, 5, 7] {
                frames.call(stream, "Submit");
                frames.body(stream, &begun, false);
            }
            frames
        })
        .collect();
    others_are_served(&rig);
    drop(open);
    others_are_served(&rig);
}

#[test]
fn who_does_not_read_holds_up_nobody_for_long() {
    let rig = Rig::start(1);
    let job = rig.submit(&["-H", "--array=0-14999", "-o", "none", "--wrap", "true"]);
    rig.run("scontrol", &["update", &format!("jobid={job}_[0-14999]"), "comment=apart"]);
    let mut open = Frames::open(&rig, 1_000);
    // As many as one user may have at a time.
    for stream in (1..).step_by(2).take(32) {
        open.call(stream, "ListJobs");
        open.body(stream, &message(0, &[]), true);
    }
    let watchers: Vec<Frames> = (0..4)
        .map(|_| {
            let mut frames = Frames::open(&rig, 1_000);
            for stream in (1..).step_by(2).take(20) {
                frames.call(stream, "WatchJobs");
                frames.body(stream, &message(0, &[]), true);
            }
            frames
        })
        .collect();
    // Of the same user: it has its turn when the first have been given up.
    let rows = rig.run("squeue", &["-h", "-r"]);
    assert_eq!(rows.lines().count(), 15_000, "a listing is whole or says that it is not");
    others_are_served(&rig);
    drop((open, watchers));
}

#[test]
fn thousands_of_connections_keep_nobody_out() {
    many_files();
    let mut house = House::open(&[]);
    let join = house.token(&[]);
    house.start_node("linux0", &join);
    wait_for("it is idle", || house.count("idle") == 1);
    let silent: Vec<UnixStream> = (0..1_000).map(|_| connect(&house.rig)).collect();
    let knocking: Vec<TcpStream> =
        (0..1_200).map(|_| TcpStream::connect(&house.address).expect("it listens")).collect();
    let hello = TcpStream::connect(&house.address).expect("it listens");
    (&hello).write_all(&[22, 3, 1]).expect("half a hello");
    others_are_served(&house.rig);
    // An honest handshake is not pushed out by those that take longest, also from the same address.
    let trust = Trust::in_file(&house.rig.dir().join("tls/ca.pem")).expect("a CA");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let endpoints = house.endpoint().parse().expect("an address");
    let begun = Instant::now();
    let channels: Vec<_> = (0..20)
        .map(|_| runtime.block_on(dial_trusting(&endpoints, Some(&trust), PATIENCE)).expect("it answers"))
        .collect();
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    drop((channels, silent, knocking, hello));
    others_are_served(&house.rig);
}

#[test]
fn names_of_blobs_run_nothing_and_lead_nowhere() {
    let rig = Rig::start(1);
    let input = rig.work().join("in");
    fs::create_dir(&input).expect("a folder");
    let names =
        ["$(touch pwned)", "`touch pwned`", "a;touch pwned", "b|touch pwned", "c'd\"e", "-rf", "f g", "&& touch pwned"];
    for name in names {
        fs::write(input.join(name), "x").expect("written");
    }
    // To a shell, which is where names do harm; and to a script.
    let map = ["--from", "in/", "--to", "out/", "--wait", "--", "sh", "-c", "cat {in} > {out}"];
    rig.run("map", &map);
    let script = "#!/bin/sh\n#COVEY --map-from=in/ --map-to=out2/\neval cat $COVEY_IN > $COVEY_OUT\n";
    fs::write(rig.work().join("map.sh"), script).expect("written");
    rig.run("sbatch", &["--wait", "map.sh"]);
    for name in names {
        assert_eq!((rig.read(&format!("out/{name}")), rig.read(&format!("out2/{name}"))), ("x".into(), "x".into()));
    }
    let pwned: Vec<_> =
        files(rig.dir().parent().expect("a folder")).into_iter().filter(|path| path.ends_with("pwned")).collect();
    assert!(pwned.is_empty(), "{pwned:?}");

    // A line end would be two names.
    fs::create_dir(rig.work().join("lines")).expect("a folder");
    fs::write(rig.work().join("lines/a\nb"), "x").expect("written");
    let refused = rig.try_run("map", &["--from", "lines/", "--to", "out3/", "--", "cp", "{in}", "{out}"]);
    assert!(!refused.status.success() || !rig.work().join("out3/b").exists(), "{refused:?}");
    // Nor does a template lead out of the folder.
    for template in ["../{name}", "/tmp/{name}", "a/../../{name}", "..", "{stem}/../../x"] {
        let words = ["--from", "in/", "--to", "out4/", "--name", template, "--wait", "--", "cp", "{in}", "{out}"];
        let refused = rig.try_run("map", &words);
        assert!(!refused.status.success(), "{template}");
    }
    assert!(!rig.work().join("x").exists() && !rig.work().join("f g").exists());
}

/// A user's own files are a user's own business; what must not be is that a name reaches files with rights that the user has not.
#[test]
fn names_of_files_reach_what_their_user_may_reach() {
    let rig = Rig::start(1);
    fs::create_dir(rig.work().join("sub")).expect("a folder");
    let job = rig.submit(&["-J", "../up", "-D", "sub", "-o", "%x.txt", "--wrap", "pwd"]);
    assert_eq!(rig.wait_done(&job), ["COMPLETED"]);
    assert!(
        rig.read("up.txt").ends_with("/sub\n"),
        "a name is put in as it is, and the file opened with the user's rights"
    );
    for (words, text) in [
        (&["-o", "/proc/1/nothing/out"][..], "/proc/1/nothing/out"),
        (&["-D", "/nonexistent/../nowhere"], "nowhere"),
        (&["-o", "none", "-e", "missing/dir/err"], "missing/dir/err"),
    ] {
        let args: Vec<&str> = words.iter().chain(&["--wrap", "true"]).copied().collect();
        let job = rig.submit(&args);
        rig.wait_done(&job);
        let shown = rig.run("scontrol", &["show", "job", &job]);
        assert!(shown.contains("JobState=FAILED") && shown.contains(text), "{words:?}: {shown}");
    }
    others_are_served(&rig);
}

#[test]
fn what_daemons_keep_is_nobody_elses_and_links_in_it_lead_nowhere() {
    let mut rig = Rig::start(1);
    fs::create_dir(rig.work().join("in")).expect("a folder");
    fs::write(rig.work().join("in/x"), "x").expect("written");
    rig.run("map", &["--from", "in/", "--to", "out/", "--wait", "--", "cp", "{in}", "{out}"]);
    others_are_served(&rig);
    // Sockets are not written to but connected to, and the kernel says by whom.
    for path in files(&rig.dir()).into_iter().filter(|path| path.is_file()) {
        let mode = fs::metadata(&path).map_or(0, |found| found.mode()) & 0o777;
        assert_eq!(mode & 0o022, 0, "{} may be written by others: {mode:o}", path.display());
    }
    // A task gets at what it brought along, which is its user's, by the node's folder; nobody sees what else is there.
    for (kept, closed) in [("journal", 0o077), ("nodes/linux0", 0o066)] {
        let mode = fs::metadata(rig.dir().join(kept)).expect("there").mode() & 0o777;
        assert_eq!(mode & closed, 0, "{kept} holds what users submit: {mode:o}");
    }
    // Whoever could put links there: nothing outside is emptied or removed by following them.
    let outside = rig.work().join("outside");
    fs::create_dir(&outside).expect("a folder");
    fs::write(outside.join("precious"), "x").expect("written");
    rig.end_node("linux0", "TERM");
    let spool = rig.dir().join("nodes/linux0");
    for part in ["work", "ops"] {
        fs::create_dir_all(spool.join(part)).expect("made");
        symlink(&outside, spool.join(part).join("9_0_1")).expect("a link");
    }
    rig.start_node("linux0");
    wait_for("it is back", || rig.run("sinfo", &["-h", "-o", "%t"]) == "idle\n");
    others_are_served(&rig);
    assert_eq!(fs::read_to_string(outside.join("precious")).expect("it is still there"), "x");
}

#[test]
fn limits_of_one_user_leave_room_for_others() {
    let rig = Rig::start_with(&[("linux0", &[])], "MaxSubmitSizePerUser = 1\nMaxScriptSize = 3000000\n");
    let script = |bytes: usize| format!("#!/bin/sh\n# {}\n", "x".repeat(bytes));
    fs::write(rig.work().join("large.sh"), script(700_000)).expect("written");
    let first = rig.submit(&["-H", "-o", "none", "large.sh"]);
    let refused = rig.try_run("sbatch", &["-H", "-o", "none", "large.sh"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("MaxSubmitSizePerUser") && said.contains("policy"), "{said}");
    others_are_served(&rig);
    rig.run("scancel", &[&first]);
}

/// Nobody's connections are counted, and root's are not.
#[test]
fn one_user_takes_a_quarter_of_the_seats_at_most() {
    if !is_root() {
        return;
    }
    let rig = Rig::start_with(&[("linux0", &[])], "MaxConnections = 40\n");
    fs::set_permissions(rig.dir().parent().expect("a folder"), fs::Permissions::from_mode(0o755)).expect("ours");
    let socket = rig.dir().join("controller.sock");
    let program = "import socket, sys, time\n\
                   held = []\n\
                   for _ in range(39):\n    s = socket.socket(socket.AF_UNIX)\n    s.connect(sys.argv[1])\n    held.append(s)\n\
                   print('connected', flush=True)\n\
                   sys.stdin.read()\n";
    let mut command = std::process::Command::new("python3");
    command.args(["-c", program]).arg(&socket);
    std::os::unix::process::CommandExt::uid(&mut command, 65_534);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut nobody = command.spawn().expect("python3 is there");
    let mut said = [0; 10];
    nobody.stdout.as_mut().expect("piped").read_exact(&mut said).expect("it has connected");
    let begun = Instant::now();
    others_are_served(&rig);
    assert!(begun.elapsed() < Duration::from_secs(9), "they did not wait until the silent were hung up on");
    drop(nobody.stdin.take());
    nobody.wait().expect("it ends");
}

/// A connection that is closed in the middle of everything.
#[test]
fn who_hangs_up_leaves_nothing_behind() {
    let rig = Rig::start(1);
    let files_open = || fs::read_dir(format!("/proc/{}/fd", rig.controller_pid())).expect("it runs").count();
    others_are_served(&rig);
    let before = files_open();
    for _ in 0..50 {
        let mut frames = Frames::open(&rig, 65_535);
        for stream in (1..).step_by(2).take(20) {
            frames.call(stream, "Submit");
            frames.body(stream, &message(1 << 20, &[0; 1000]), false);
        }
        frames.0.shutdown(Shutdown::Both).expect("ours");
    }
    wait_for("all are gone", || files_open() <= before + 5);
    others_are_served(&rig);
}
