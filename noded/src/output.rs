//! Reads what tasks have written, for people who ask the controller (`covey logs`).
//!
//! A file is opened with the rights of the task's user and no others, on a thread of its own that wears them and then ends. What is
//! read goes over a stream that this node dials, as fast as the other side takes it. Nothing is kept. Start at [`Readers::read`].

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
use proto::LINK_MESSAGE_BYTES_MAX;
use proto::dial::dial_trusting;
use proto::endpoint::Endpoints;
use proto::link::ReadOutput;
use proto::v1::from_reader::Kind;
use proto::v1::node_link_client::NodeLinkClient;
use proto::v1::{FromReader, ReaderHello};
use rustix::fs::OFlags;
use rustix::thread::set_thread_groups;
use sched::spec::job::User;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::spawn_blocking;
use tokio_stream::wrappers::ReceiverStream;
use tracing::{info, warn};

use crate::launch::run_as;
use crate::launcher::frame::RunAs;
use crate::papers::Papers;

/// Files that are read at the same time; one more is refused.
const READERS_MAX: usize = 32;
/// What is read at once, and the size of a piece.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces that wait to be taken.
const PIECES_MAX: usize = 4;
/// How long one round of dialling goes on.
const DIAL_PATIENCE: Duration = Duration::from_secs(10);
/// How often a file is looked at behind whose end more is to come.
const LOOK_PAUSE: Duration = Duration::from_millis(200);

/// Whoever reads on this node.
pub(crate) struct Readers {
    place: Arc<Place>,
    permits: Arc<Semaphore>,
}

/// Who this node is, and where the controller is.
struct Place {
    name: String,
    controller: Endpoints,
    papers: Option<Arc<Papers>>,
}

impl Readers {
    pub(crate) fn new(name: String, controller: Endpoints, papers: Option<Arc<Papers>>) -> Readers {
        let place = Arc::new(Place { name, controller, papers });
        Readers { place, permits: Arc::new(Semaphore::new(READERS_MAX)) }
    }

    /// Begins to read; all that comes of it is said on its stream.
    pub(crate) fn read(&self, read: ReadOutput) {
        let (place, permit) = (self.place.clone(), self.permits.clone().try_acquire_owned());
        info!(path = read.path, uid = read.uid, "reading a task's output");
        tokio::spawn(async move {
            if let Err(status) = place.tell(&read, permit.is_ok()).await {
                warn!(path = read.path, %status, "a task's output could not be told");
            }
        });
    }
}

impl Place {
    /// Says what there is to say of a file until the other side has it all, or has gone.
    async fn tell(&self, read: &ReadOutput, has_room: bool) -> Result<(), tonic::Status> {
        let trust = self.papers.as_ref().map(|papers| papers.trust());
        let channel = dial_trusting(&self.controller, trust.as_ref(), DIAL_PATIENCE).await;
        let channel = channel.map_err(|error| tonic::Status::unavailable(error.to_string()))?;
        let mut client = NodeLinkClient::new(channel).max_encoding_message_size(LINK_MESSAGE_BYTES_MAX);
        let (pieces, outgoing) = mpsc::channel(PIECES_MAX);
        let hello = ReaderHello { node: self.name.clone(), reading: read.reading.to_be_bytes().to_vec() };
        pieces.try_send(message(Kind::Hello(hello))).expect("there is room for the first message");
        let mut incoming = client.serve_output(ReceiverStream::new(outgoing)).await?.into_inner();
        let (complete, completed) = watch::channel(!read.follow);
        let full = || format!("{READERS_MAX} files are being read on {} already; try again", self.name);
        let mut saying = std::pin::pin!(async {
            if has_room {
                say(read, pieces, completed).await;
            } else {
                pieces.send(message(Kind::Failed(full()))).await.ok();
            }
        });
        loop {
            tokio::select! {
                () = &mut saying => break,
                heard = incoming.message() => match heard? {
                    Some(heard) if heard.complete => drop(complete.send_replace(true)),
                    Some(_) => {}
                    None => return Ok(()),
                },
            }
        }
        // The stream ends by itself when the other side has taken the rest.
        while incoming.message().await?.is_some() {}
        Ok(())
    }
}

fn message(kind: Kind) -> FromReader {
    FromReader { kind: Some(kind) }
}

/// Says the file from its beginning to its end, and what is added until it is complete. Ends early when nobody takes it.
async fn say(read: &ReadOutput, pieces: mpsc::Sender<FromReader>, mut complete: watch::Receiver<bool>) {
    let mut file = loop {
        let last = *complete.borrow_and_update();
        match open(read).await {
            Ok(file) => break file,
            // Whoever follows a task from its start may be here before it.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !last => {
                if !look_again(&mut complete).await {
                    return;
                }
            }
            Err(error) => {
                let why = format!("{}: {error}", read.path);
                return drop(pieces.send(message(Kind::Failed(why))).await);
            }
        }
    };
    loop {
        // What was written before that was said is read after it.
        let last = *complete.borrow_and_update();
        let (read, same) = spawn_blocking(move || (piece(&mut file), file))
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        file = same;
        match read {
            Ok(bytes) if bytes.is_empty() && last => return,
            Ok(bytes) if bytes.is_empty() => {
                if !look_again(&mut complete).await {
                    return;
                }
            }
            Ok(bytes) => {
                if pieces.send(message(Kind::Data(bytes))).await.is_err() {
                    return;
                }
            }
            Err(error) => return drop(pieces.send(message(Kind::Failed(error.to_string()))).await),
        }
    }
}

/// Waits until it is worth a look; false when nobody listens any more.
async fn look_again(complete: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        () = tokio::time::sleep(LOOK_PAUSE) => true,
        changed = complete.changed() => changed.is_ok(),
    }
}

/// The next bytes; none at the end. A file that was emptied meanwhile is read again from its beginning.
fn piece(file: &mut File) -> io::Result<Vec<u8>> {
    let at = file.stream_position()?;
    if file.metadata()?.len() < at {
        file.seek(SeekFrom::Start(0))?;
    }
    let mut bytes = Vec::with_capacity(PIECE_BYTES);
    file.take(PIECE_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens the file as its user would.
async fn open(read: &ReadOutput) -> io::Result<File> {
    let user = User { uid: read.uid, gid: read.gid, name: "".into(), group: "".into() };
    let user = run_as(&user)?;
    let path = read.path.clone();
    // Not a thread that does other work before or after: the rights are never taken off again.
    let (tell, told) = tokio::sync::oneshot::channel();
    let opening = thread::Builder::new().name("output".into()).spawn(move || {
        // Nobody may wait for it any more.
        tell.send(open_as(user.as_ref(), Path::new(&path))).ok();
    });
    opening?;
    told.await.unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
}

fn open_as(user: Option<&RunAs>, path: &Path) -> io::Result<File> {
    if let Some(user) = user {
        wear(user)?;
    }
    // What is no file could make the reader wait, or give bytes without end.
    let file = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("it is no file, and what was written there is not kept"))
    }
}

/// Puts on a user's rights in the file system, for this thread alone and for good. It stays the same to signals.
fn wear(user: &RunAs) -> io::Result<()> {
    let groups: Vec<_> = user.groups.iter().map(|gid| rustix::process::Gid::from_raw(*gid)).collect();
    set_thread_groups(&groups)?;
    let (gid, uid) = (Gid::from_raw(user.gid), Uid::from_raw(user.uid));
    setfsgid(gid);
    setfsuid(uid);
    // They answer with what was before, so that a second call tells whether the first one held.
    if setfsgid(gid) == gid && setfsuid(uid) == uid { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn data(message: Option<FromReader>) -> Vec<u8> {
        match message.and_then(|message| message.kind) {
            Some(Kind::Data(bytes)) => bytes,
            other => panic!("{other:?} is no data"),
        }
    }

    fn asked(path: &Path, uid: u32) -> ReadOutput {
        ReadOutput { reading: 1, uid, gid: uid, path: path.to_string_lossy().into_owned(), follow: false }
    }

    fn own() -> u32 {
        Uid::effective().as_raw()
    }

    #[tokio::test]
    async fn a_file_is_followed_until_it_is_complete() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out");
        let (pieces, mut taken) = mpsc::channel(PIECES_MAX);
        let (complete, completed) = watch::channel(false);
        let read = asked(&path, own());
        let saying = tokio::spawn(async move { say(&read, pieces, completed).await });
        // It is there before its file is.
        let mut written = File::create(&path).expect("made");
        written.write_all(b"one").expect("written");
        assert_eq!(data(taken.recv().await), b"one");
        written.write_all(b"two").expect("written");
        assert_eq!(data(taken.recv().await), b"two");
        // It runs again, from its beginning.
        fs::write(&path, "3").expect("written");
        assert_eq!(data(taken.recv().await), b"3");
        let mut more = OpenOptions::new().append(true).open(&path).expect("there");
        more.write_all(b", the last").expect("written");
        complete.send_replace(true);
        assert_eq!(data(taken.recv().await), b", the last");
        assert_eq!(taken.recv().await, None);
        saying.await.expect("it ends well");
    }

    #[tokio::test]
    async fn large_files_come_in_pieces_and_a_failure_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out");
        fs::write(&path, vec![7; PIECE_BYTES + 1]).expect("written");
        let (pieces, mut taken) = mpsc::channel(PIECES_MAX);
        let (_complete, completed) = watch::channel(true);
        say(&asked(&path, own()), pieces, completed.clone()).await;
        assert_eq!([data(taken.recv().await).len(), data(taken.recv().await).len()], [PIECE_BYTES, 1]);
        let (pieces, mut taken) = mpsc::channel(PIECES_MAX);
        say(&asked(&folder.path().join("none"), own()), pieces, completed).await;
        let said = taken.recv().await.and_then(|message| message.kind);
        assert!(matches!(&said, Some(Kind::Failed(why)) if why.contains("none: No such file")), "{said:?}");
    }

    #[tokio::test]
    async fn a_file_is_opened_with_the_rights_of_its_user() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
        let path = folder.path().join("secret");
        fs::write(&path, "mine").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
        open(&asked(&path, own())).await.expect("its own");
        if Uid::effective().is_root() {
            let refused = open(&asked(&path, 65_534)).await.expect_err("another's");
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
            open(&asked(&path, 0)).await.expect("the rights were those of one thread");
        }
        let refused = open(&asked(folder.path(), own())).await.expect_err("no file");
        assert!(refused.to_string().contains("it is no file"), "{refused}");
    }
}
