//! Disks of a test's own: small file systems in a mount namespace that is gone when the test is, however it ends.
//!
//! They take root and loop devices. Without root there is nothing to test; root without the right to mount is told what to do.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use rustix::ioctl::{Opcode, Setter, ioctl, opcode};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// `EXT4_IOC_SHUTDOWN`, and the flag that nothing more is written.
const SHUTDOWN: Opcode = opcode::read::<u32>(b'X', 125);
const NO_LOG_FLUSH: u32 = 2;

/// Runs a test on a thread whose mounts nobody else sees.
pub(crate) fn with_own_mounts(test: impl FnOnce() + Send) {
    if !crate::rig::is_root() {
        eprintln!("not tested: mounting takes root");
        return;
    }
    if std::env::var_os("COVEY_TEST_NO_MOUNTS").is_some() {
        eprintln!("not tested: COVEY_TEST_NO_MOUNTS is set");
        return;
    }
    let own = || {
        #[expect(unsafe_code, reason = "rustix has no safe form of it")]
        // SAFETY: only the files that this thread sees change, and it shares none by descriptor.
        let unshared = unsafe { unshare_unsafe(UnshareFlags::NEWNS) };
        unshared.expect("root may have mounts of its own; where it may not, set COVEY_TEST_NO_MOUNTS=1");
        run("mount", &["--make-rprivate", "/"]);
        test();
    };
    thread::scope(|scope| {
        // Its own panic tells more than one about a panic.
        if let Err(panic) = scope.spawn(own).join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// A disk with ext4 in a file, which can lose its power.
pub(crate) struct Disk {
    image: PathBuf,
    at: PathBuf,
}

impl Disk {
    /// Makes it, and mounts it at a folder.
    pub(crate) fn new(image: &Path, at: &Path, mib: u64) -> Disk {
        File::create(image).and_then(|file| file.set_len(mib << 20)).expect("a file for the disk");
        // Little to initialise, and a small journal: both only take time here.
        run("mkfs.ext4", &["-q", "-F", "-J", "size=4", "-E", "lazy_itable_init=1", text(image)]);
        let disk = Disk { image: image.to_owned(), at: at.to_owned() };
        disk.mount();
        disk
    }

    pub(crate) fn mount(&self) {
        run("mount", &["-o", "loop", text(&self.image), text(&self.at)]);
    }

    pub(crate) fn unmount(&self) {
        run("umount", &[text(&self.at)]);
    }

    /// From now on nothing reaches the disk, and what was not there is lost.
    pub(crate) fn cut_power(&self) {
        let folder = File::open(&self.at).expect("it is mounted");
        #[expect(unsafe_code, reason = "rustix does not know this call")]
        // SAFETY: the kernel reads one u32 behind the pointer, whatever the direction in its number says.
        let shut = unsafe { ioctl(&folder, Setter::<SHUTDOWN, u32>::new(NO_LOG_FLUSH)) };
        shut.expect("ext4 shuts down");
    }
}

/// A file system in memory, which is full soon.
pub(crate) struct Small {
    at: PathBuf,
}

impl Small {
    pub(crate) fn new(at: &Path, mib: u64) -> Small {
        fs::create_dir_all(at).expect("a folder to mount at");
        run("mount", &["-t", "tmpfs", "-o", &format!("size={mib}m"), "none", text(at)]);
        Small { at: at.to_owned() }
    }

    /// Fills it, but for so many KiB.
    pub(crate) fn fill(&self, left_kib: u64) {
        let free = || {
            let stat = rustix::fs::statvfs(&self.at).expect("it is mounted");
            stat.f_bavail * stat.f_frsize
        };
        let ballast = self.ballast();
        let mut file = File::options().append(true).create(true).open(&ballast).expect("a file");
        let block = [0; 4096];
        while free() > left_kib << 10 {
            std::io::Write::write_all(&mut file, &block).expect("there was room");
        }
    }

    /// Makes room again.
    pub(crate) fn empty(&self) {
        fs::remove_file(self.ballast()).expect("it was filled");
    }

    fn ballast(&self) -> PathBuf {
        self.at.join("ballast")
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a readable path")
}

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(
        output.status.success(),
        "{program} {args:?}: {}; where root may not mount, set COVEY_TEST_NO_MOUNTS=1",
        String::from_utf8_lossy(&output.stderr)
    );
}
