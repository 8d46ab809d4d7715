//! Who submits, from where: user, group, host, folder, umask, and what a login would set in the environment.
//!
//! Names come from `/etc/passwd` and `/etc/group` alone; where a user is not in them, digits stand for the name. On its
//! own socket the controller believes the kernel about the numbers anyway. Start at [`Submitter::here`].

use std::io;
use std::path::{Path, PathBuf};

use proto::v1;
use rustix::fs::Mode;

/// The PATH of a login that sets none.
const LOGIN_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

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
    home: String,
    shell: String,
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
        let read = |file| std::fs::read_to_string(file).unwrap_or_default();
        let account = Account::find(&read("/etc/passwd"), uid);
        let group = entry(&read("/etc/group"), gid).map_or_else(|| gid.to_string(), |fields| fields[0].clone());
        Ok(Submitter {
            user: v1::User { uid, gid, name: account.name, group },
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            dir: std::env::current_dir()?,
            umask: mask.bits(),
            home: account.home,
            shell: account.shell,
        })
    }

    /// A path as the user typed it, made absolute.
    pub(crate) fn absolute(&self, path: impl AsRef<Path>) -> String {
        // Made of its parts again, because joining nothing leaves a slash behind.
        self.dir.join(path).components().as_path().to_string_lossy().into_owned()
    }

    /// The origin of a job.
    pub(crate) fn origin(&self, command: String) -> v1::Origin {
        v1::Origin { host: self.host.clone(), dir: self.absolute(""), command, ..v1::Origin::default() }
    }

    /// What a login sets, in the order in which it is printed.
    pub(crate) fn login(&self) -> [(&str, &str); 5] {
        let name = self.user.name.as_str();
        [("HOME", &self.home), ("LOGNAME", name), ("PATH", LOGIN_PATH), ("SHELL", &self.shell), ("USER", name)]
    }
}

/// What the password file says about a user.
#[derive(Debug, PartialEq, Eq)]
struct Account {
    name: String,
    home: String,
    shell: String,
}

impl Account {
    fn find(passwd: &str, uid: u32) -> Account {
        let fields = entry(passwd, uid).unwrap_or_else(|| vec![uid.to_string()]);
        let field = |at: usize, default: &str| {
            fields.get(at).filter(|text| !text.is_empty()).map_or_else(|| default.to_owned(), Clone::clone)
        };
        Account { name: field(0, "0"), home: field(5, "/"), shell: field(6, "/bin/sh") }
    }
}

/// The name of a user who is given by name or by number; `None` for a name that nobody has.
pub(crate) fn user_name(user: &str) -> Option<String> {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    if let Ok(uid) = user.parse() {
        return Some(Account::find(&passwd, uid).name);
    }
    passwd.lines().any(|line| line.split(':').next() == Some(user)).then(|| user.to_owned())
}

/// The fields of the line whose third one is this id.
fn entry(file: &str, id: u32) -> Option<Vec<String>> {
    let fields = file.lines().map(|line| line.split(':').map(str::to_owned).collect::<Vec<_>>());
    fields.into_iter().find(|fields| fields.get(2).is_some_and(|field| field.parse() == Ok(id)))
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
            home: "/home/ada".into(),
            shell: "/bin/bash".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_password_file_and_fall_back_to_digits() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nada:x:1000:100:Ada,,,:/home/ada:\nbad\n";
        let account =
            |name: &str, home: &str, shell: &str| Account { name: name.into(), home: home.into(), shell: shell.into() };
        assert_eq!(Account::find(passwd, 0), account("root", "/root", "/bin/bash"));
        assert_eq!(Account::find(passwd, 1000), account("ada", "/home/ada", "/bin/sh"));
        assert_eq!(Account::find(passwd, 7), account("7", "/", "/bin/sh"));
        assert_eq!((user_name("root"), user_name("0")), (Some("root".into()), Some("root".into())));
        assert_eq!((user_name("4242424"), user_name("nobody at all")), (Some("4242424".into()), None));
    }

    #[test]
    fn looking_around_leaves_the_umask_as_it_was() {
        let first = Submitter::here().expect("there is a current folder");
        assert_eq!(Submitter::here().expect("there is a current folder").umask, first.umask);
        assert!(first.absolute("x").starts_with('/') && first.absolute("/y") == "/y");
    }
}
