//! Who submits, from where and how: user, group, host, folder, umask, limits, and the command line.
//!
//! On its own socket the controller believes the kernel about the user's numbers anyway. Start at [`Submitter::here`].

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use proto::v1;
use rustix::fs::Mode;
use rustix::process::{Resource, getrlimit};
use sched::spec::rlimit::{LIMITED, Limited, Propagate, ResourceLimit};

use crate::users::{name_of_group, name_of_user};

/// What is shown of a longer command line, in bytes.
const LINE_BYTES_MAX: usize = 4096;

/// Who is at the counter.
#[derive(Clone, Debug)]
pub(crate) struct Submitter {
    /// User and group.
    pub(crate) user: v1::User,
    /// The host's name.
    pub(crate) host: String,
    /// The current folder.
    pub(crate) dir: PathBuf,
    /// File modes that the jobs must not set.
    pub(crate) umask: u32,
    /// The command line.
    line: String,
    /// Its session; 0 where that is not known.
    session: u32,
}

impl Submitter {
    /// Looks around. Sets the umask for an instant to read it, so no other thread may be running yet.
    ///
    /// # Errors
    /// When the current folder is gone.
    pub(crate) fn here() -> io::Result<Submitter> {
        let mask = rustix::process::umask(Mode::RWXG | Mode::RWXO);
        rustix::process::umask(mask);
        let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let (name, group) = (name_of_user(uid), name_of_group(gid));
        Ok(Submitter {
            user: v1::User { uid, gid, name, group },
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            dir: std::env::current_dir()?,
            umask: umask_of_environment().unwrap_or(mask.bits()),
            line: line(std::env::args_os()),
            session: session(),
        })
    }

    /// A path as the user typed it, made absolute.
    pub(crate) fn absolute(&self, path: impl AsRef<Path>) -> String {
        // Made of its parts again, because joining nothing leaves a slash behind.
        self.dir.join(path).components().as_path().to_string_lossy().into_owned()
    }

    /// The origin of a job.
    pub(crate) fn origin(&self, command: String) -> v1::Origin {
        v1::Origin {
            host: self.host.clone(),
            dir: self.absolute(""),
            command,
            line: self.line.clone(),
            session: self.session,
        }
    }

    /// The soft limits of this process that tasks get.
    pub(crate) fn limits(&self, propagate: Option<&Propagate>) -> Vec<v1::ResourceLimit> {
        let wanted = LIMITED.into_iter().filter(|limited| propagate.is_none_or(|given| given.names(*limited)));
        let limit = |of| ResourceLimit { of, value: getrlimit(resource(of)).current, asked: propagate.is_some() };
        proto::spec::write_limits(&wanted.map(limit).collect::<Vec<_>>())
    }
}

/// The number of this process's session; 0 where its leader is in an outer PID namespace, as under `docker exec` without a
/// terminal. (rustix takes that 0 for impossible, nix does not.)
fn session() -> u32 {
    nix::unistd::getsid(None).map_or(0, |leader| leader.as_raw().unsigned_abs())
}

/// `SLURM_UMASK`, where it is set: an octal number.
fn umask_of_environment() -> Option<u32> {
    u32::from_str_radix(&std::env::var("SLURM_UMASK").ok()?, 8).ok().filter(|mask| *mask <= 0o777)
}

/// The command line as it was typed, with Slurm's name for the command in front.
fn line(words: impl Iterator<Item = OsString>) -> String {
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let by_name = words.first().is_some_and(|word| word.rsplit('/').next() == Some("covey"));
    let mut line = words[usize::from(by_name && words.len() > 1)..].join(" ");
    line.truncate(line.floor_char_boundary(LINE_BYTES_MAX));
    line.replace(['\n', '\0'], " ")
}

fn resource(limited: Limited) -> Resource {
    match limited {
        Limited::Cpu => Resource::Cpu,
        Limited::Fsize => Resource::Fsize,
        Limited::Data => Resource::Data,
        Limited::Stack => Resource::Stack,
        Limited::Core => Resource::Core,
        Limited::Rss => Resource::Rss,
        Limited::Nproc => Resource::Nproc,
        Limited::Nofile => Resource::Nofile,
        Limited::Memlock => Resource::Memlock,
        Limited::As => Resource::As,
    }
}

#[cfg(test)]
impl Submitter {
    /// A submitter as values, in her home folder.
    pub(crate) fn ada() -> Submitter {
        Submitter::ada_in(Path::new("/home/ada"))
    }

    /// The same in another folder.
    pub(crate) fn ada_in(dir: &Path) -> Submitter {
        Submitter {
            user: v1::User { uid: 1000, gid: 100, name: "ada".into(), group: "users".into() },
            host: "desk".into(),
            dir: dir.to_owned(),
            umask: 0o22,
            line: String::new(),
            session: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_shown_under_slurms_name() {
        let shown = |words: &[&str]| line(words.iter().map(OsString::from));
        assert_eq!(shown(&["/opt/bin/covey", "sbatch", "-n", "2", "x.sh"]), "sbatch -n 2 x.sh");
        assert_eq!(shown(&["sbatch", "--wrap=a\nb"]), "sbatch --wrap=a b");
        assert_eq!(shown(&["sbatch", &"é".repeat(LINE_BYTES_MAX)]).len(), LINE_BYTES_MAX - 1);
    }

    #[test]
    fn limits_are_those_of_this_process() {
        let asked = Submitter::ada().limits(Some(&"CORE,NOFILE".parse().expect("limits")));
        let names: Vec<_> = asked.iter().map(|limit| (limit.name.as_str(), limit.asked)).collect();
        assert_eq!(names, [("CORE", true), ("NOFILE", true)]);
        assert_eq!(Submitter::ada().limits(None).len(), LIMITED.len());
    }

    #[test]
    fn looking_around_leaves_the_umask_as_it_was() {
        let first = Submitter::here().expect("there is a current folder");
        assert_eq!(Submitter::here().expect("there is a current folder").umask, first.umask);
        assert!(first.absolute("x").starts_with('/') && first.absolute("/y") == "/y");
    }
}
