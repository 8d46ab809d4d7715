//! What a login of a user sets on this node: for `--get-user-env`, and for `--export` without `ALL`.
//!
//! The password file gives HOME, USER, LOGNAME and SHELL; the user's shell is then run as a login shell once, with the rights of
//! that user and for a bounded time, and what it prints comes on top. A shell that says nothing leaves it at the password file.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::unistd::{Uid, User};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use tracing::warn;

use crate::launcher::frame::RawStr;

/// How long a login shell may take; Slurm's own bound.
const LOGIN_WAIT: Duration = Duration::from_secs(8);
/// How long what it said is used again: tasks that start together share one login.
const LOGIN_AGE_MAX: Duration = Duration::from_secs(60);
/// What is read of a login's environment, in bytes.
const LOGIN_BYTES_MAX: usize = 1024 * 1024;
/// Users whose logins are kept; over it all are asked anew.
const LOGINS_MAX: usize = 256;
/// The PATH of a login that sets none.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// Printed before the variables: profiles may print, too.
const MARK: &str = "covey-login-environment";

/// Variables, by name.
pub type Variables = Vec<(RawStr, RawStr)>;

/// Logins of late, one asked at a time.
#[derive(Default)]
pub(crate) struct Logins {
    known: Mutex<BTreeMap<u32, (Instant, Arc<Variables>)>>,
    asking: tokio::sync::Mutex<()>,
}

impl Logins {
    /// What a login of the user sets.
    pub(crate) async fn of(&self, uid: u32) -> Arc<Variables> {
        let _turn = self.asking.lock().await;
        if let Some((at, variables)) = self.known().get(&uid)
            && at.elapsed() < LOGIN_AGE_MAX
        {
            return variables.clone();
        }
        let asked = tokio::task::spawn_blocking(move || login(uid)).await;
        let variables = Arc::new(asked.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())));
        let mut known = self.known();
        if known.len() >= LOGINS_MAX {
            known.clear();
        }
        known.insert(uid, (Instant::now(), variables.clone()));
        variables
    }

    /// What the last login of the user set, however long ago; what the password file says where there was none.
    pub(crate) fn last(&self, uid: u32) -> Arc<Variables> {
        let known = self.known().get(&uid).map(|(_, variables)| variables.clone());
        known.unwrap_or_else(|| Arc::new(pairs(Account::of(uid).variables())))
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<u32, (Instant, Arc<Variables>)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Account {
    uid: u32,
    gid: Option<u32>,
    name: String,
    home: PathBuf,
    shell: PathBuf,
}

impl Account {
    fn of(uid: u32) -> Account {
        let known = User::from_uid(Uid::from_raw(uid)).ok().flatten();
        known.map_or_else(
            || Account { uid, gid: None, name: uid.to_string(), home: "/".into(), shell: "/bin/sh".into() },
            |user| Account { uid, gid: Some(user.gid.as_raw()), name: user.name, home: user.dir, shell: user.shell },
        )
    }

    fn variables(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let (home, shell) = (self.home.as_os_str().as_bytes(), self.shell.as_os_str().as_bytes());
        let name = self.name.as_bytes();
        let all = [("HOME", home), ("LOGNAME", name), ("PATH", PATH.as_bytes()), ("SHELL", shell), ("USER", name)];
        all.into_iter().map(|(name, value)| (name.into(), value.to_vec())).collect()
    }
}

fn pairs(variables: BTreeMap<Vec<u8>, Vec<u8>>) -> Variables {
    let raw = |bytes: Vec<u8>| RawStr::from(OsStr::from_bytes(&bytes));
    variables.into_iter().map(|(name, value)| (raw(name), raw(value))).collect()
}

fn login(uid: u32) -> Variables {
    let account = Account::of(uid);
    let mut variables = account.variables();
    match ask_shell(&account) {
        Ok(said) => variables.extend(said),
        Err(error) => warn!(uid, %error, "the login shell says nothing of its environment"),
    }
    pairs(variables)
}

/// What the account's shell has in its environment after a login.
fn ask_shell(account: &Account) -> io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut command = Command::new(&account.shell);
    let home = if account.home.is_dir() { &account.home } else { std::path::Path::new("/") };
    command.args(["-l", "-c", &format!("printf '%s\\0' {MARK}; exec /usr/bin/env -0")]);
    command.env_clear().envs(account.variables().iter().map(|(k, v)| (OsStr::from_bytes(k), OsStr::from_bytes(v))));
    command.current_dir(home).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    if Uid::effective().is_root() && account.uid != 0 {
        let gid = account.gid.ok_or(io::ErrorKind::NotFound)?;
        // The standard library drops all other groups with it.
        command.uid(account.uid).gid(gid);
    }
    let mut child = command.spawn()?;
    let said = read_until(&mut child, Instant::now() + LOGIN_WAIT);
    // What has said all it had to say has ended, or is in the way.
    child.kill().ok();
    child.wait()?;
    Ok(parse(&said?))
}

fn read_until(child: &mut Child, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut pipe = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let (mut said, mut piece) = (Vec::new(), [0; 16 * 1024]);
    while said.len() < LOGIN_BYTES_MAX {
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        if poll(&mut [PollFd::new(&pipe, PollFlags::IN)], Some(&wait))? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match pipe.read(&mut piece)? {
            0 => break,
            bytes => said.extend_from_slice(&piece[..bytes]),
        }
    }
    Ok(said)
}

/// The variables behind the mark, without those that are the shell's own.
fn parse(said: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let own = |name: &[u8]| [&b"_"[..], b"SHLVL", b"PWD", b"OLDPWD"].contains(&name);
    let records = said.split(|byte| *byte == 0).skip_while(|record| !record.ends_with(MARK.as_bytes())).skip(1);
    let pair = |record: &[u8]| {
        let equals = record.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
        Some((record[..equals].to_vec(), record[equals + 1..].to_vec())).filter(|(name, _)| !own(name))
    };
    records.filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_profile_prints_is_no_variable() {
        let said = format!("Welcome!\nX=1\n{MARK}\0A=1\0B=x\ny=z\0SHLVL=1\0_=/usr/bin/env\0");
        let found: Vec<_> = parse(said.as_bytes()).into_iter().collect();
        assert_eq!(found, [(b"A".to_vec(), b"1".to_vec()), (b"B".to_vec(), b"x\ny=z".to_vec())]);
        assert!(parse(b"A=1\0").is_empty());
    }

    #[tokio::test]
    async fn a_login_has_a_home_and_a_path() {
        let logins = Logins::default();
        let variables = logins.of(Uid::effective().as_raw()).await;
        for name in ["HOME", "LOGNAME", "PATH", "SHELL", "USER"] {
            assert!(variables.iter().any(|(known, value)| known.as_os_str() == name && !value.as_os_str().is_empty()));
        }
        assert!(logins.last(4_242_424).iter().any(|(_, value)| value.as_os_str() == "4242424"));
    }
}
