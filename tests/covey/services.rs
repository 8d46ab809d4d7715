//! Blob services for tests, with signatures on: Azurite speaks Azure's protocol and s3s-fs that of S3.
//!
//! Both are fetched once, below the target directory, in the versions that are named here. `tests/stores/` has what they need.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use tempfile::TempDir;

use crate::rig::wait_for;

const AZURITE: &str = "azurite@3.35.0";
const S3S_FS: &str = "s3s-fs@0.14.1";
const MAKE_CONTAINERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stores/make-containers.mjs");

/// The settings by which a store is used.
pub(crate) type Keys = Vec<(&'static str, String)>;

/// A service, gone with its test.
pub(crate) struct Service {
    child: Child,
    keys: Keys,
    folder: Option<TempDir>,
}

impl Service {
    /// Azurite with these storage containers, in memory.
    pub(crate) fn azure(containers: &[&str]) -> Service {
        static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
            installed(AZURITE, |place| {
                let mut npm = Command::new("npm");
                npm.args(["install", "--no-fund", "--no-audit", "--prefix"]).arg(place).arg(AZURITE);
                npm
            })
            .join("node_modules/.bin/azurite-blob")
        });
        let mut command = Command::new(&*PROGRAM);
        command.args(["--blobHost", "127.0.0.1", "--blobPort", "0", "--inMemoryPersistence"]);
        command.args(["--disableTelemetry", "--skipApiVersionCheck"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("Azurite was installed");
        let mut said = BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
        let url = said.find_map(|line| Some(line.split_once("listens on ")?.1.trim().to_owned()));
        let url = url.expect("Azurite says where it listens");
        // Of each request it says a line: somebody has to take them.
        std::thread::spawn(move || said.for_each(drop));
        let made =
            Command::new("node").arg(MAKE_CONTAINERS).arg(&url).args(containers).output().expect("node is there");
        let service = Service {
            child,
            keys: vec![("AZURE_STORAGE_USE_EMULATOR", "true".into()), ("AZURITE_BLOB_STORAGE_URL", url)],
            folder: None,
        };
        assert!(made.status.success(), "{made:?}");
        service
    }

    /// s3s-fs with these buckets.
    pub(crate) fn s3(buckets: &[&str]) -> Service {
        Service::s3_of(buckets, "covey", "not-told")
    }

    /// s3s-fs with these buckets, for whoever has this key.
    pub(crate) fn s3_of(buckets: &[&str], key_id: &str, secret: &str) -> Service {
        static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
            installed(S3S_FS, |place| {
                let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
                cargo.args(["install", S3S_FS, "--features", "binary", "--locked", "--debug", "--root"]).arg(place);
                cargo.arg("--target-dir").arg(place.join("build"));
                cargo
            })
            .join("bin/s3s-fs")
        });
        let folder = tempfile::tempdir().expect("a folder");
        buckets.iter().for_each(|bucket| fs::create_dir(folder.path().join(bucket)).expect("a folder for the bucket"));
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        let mut command = Command::new(&*PROGRAM);
        command.args(["--access-key", key_id, "--secret-key", secret, "--host", "127.0.0.1"]);
        command.arg("--port").arg(free.port().to_string()).arg(folder.path());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("s3s-fs was installed");
        wait_for("s3s-fs listens", || TcpStream::connect(free).is_ok());
        let keys = vec![
            ("AWS_ACCESS_KEY_ID", key_id.into()),
            ("AWS_SECRET_ACCESS_KEY", secret.into()),
            ("AWS_REGION", "us-east-1".into()),
            ("AWS_ENDPOINT", format!("http://{free}")),
            ("AWS_ALLOW_HTTP", "true".into()),
        ];
        Service { child, keys, folder: Some(folder) }
    }

    /// By which settings it is used.
    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where the buckets of an S3 are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.as_ref().expect("an S3 has one").path()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // One that has ended by itself cannot be killed, and is waited for all the same.
        self.child.kill().ok();
        self.child.wait().expect("a child can be waited for");
    }
}

/// The folder in which `what` is installed, by this command where it is not there.
fn installed(what: &str, install: impl Fn(&Path) -> Command) -> PathBuf {
    let places = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stores");
    fs::create_dir_all(&places).expect("a folder below the target directory");
    let lock = File::create(places.join("lock")).expect("a file to lock");
    lock.lock().expect("other test runs end");
    let place = places.join(what);
    if !place.exists() {
        let aside = places.join(format!("{what}.new"));
        let output =
            install(&aside).stdin(Stdio::null()).output().expect("npm and cargo are there: .ci/run sees to that");
        assert!(output.status.success(), "{what} cannot be installed: {output:?}");
        // What it was compiled from is large, and needed no more.
        fs::remove_dir_all(aside.join("build")).ok();
        fs::rename(&aside, &place).expect("both are in one folder");
    }
    place
}
