//! Whose job a submit makes: by the kernel's word, not by the sender's.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::unistd::{Gid, Group, Uid, User};
use proto::v1;
use sched::allow::{Role, Verb};
use sched::select::Asker;
use tonic::Status;

use super::rights::{check, own_uid};

/// Puts the caller's numbers into a spec, but for administrators, who may submit for others, and refuses what takes more than the
/// caller's role.
pub(super) fn settle(spec: &mut v1::JobSpec, peer: Option<(u32, u32)>, asker: Asker) -> Result<(), Status> {
    if let (Some((uid, gid)), None) = (peer, &spec.user) {
        spec.user = Some(v1::User { uid, gid, ..v1::User::default() });
    }
    let Some(user) = spec.user.as_mut() else { return Ok(()) };
    // Where tasks run as the cluster's own user, a name is nothing to choose.
    let names_others = |uid: u32| asker.role == Role::Administrator && (uid == 0 || own_uid() == 0);
    if let Some((uid, gid)) = peer.filter(|(uid, _)| !names_others(*uid)) {
        (user.uid, user.gid) = (uid, gid);
        if asker.role < Role::Administrator {
            rename(user, &fs::read_to_string("/etc/passwd").unwrap_or_default());
        }
    }
    name(user);
    // Over a plain port everybody is whom they say.
    let owner = if peer.is_some() { user.uid } else { asker.uid };
    check(asker, Verb::Submit, owner)?;
    if spec.nice < 0 || spec.priority.is_some_and(|priority| priority > 0) {
        check(asker, Verb::RaisePriority, owner)?;
    }
    if spec.map.is_some() {
        check(asker, Verb::SubmitMap, owner)?;
    }
    Ok(())
}

/// Gives the names that this machine knows to numbers that came without.
fn name(user: &mut v1::User) {
    if user.name.is_empty() {
        let ask = |uid| User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|known| known.name);
        user.name = USERS.name(user.uid, ask);
    }
    if user.group.is_empty() {
        let ask = |gid| Group::from_gid(Gid::from_raw(gid)).ok().flatten().map(|known| known.name);
        user.group = GROUPS.name(user.gid, ask);
    }
}

static USERS: Lately = Lately::new();
static GROUPS: Lately = Lately::new();

/// Names that this machine gave lately, by number: to ask again for each job takes an eighth of the time of a busy controller.
struct Lately(Mutex<BTreeMap<u32, (Instant, String)>>);

/// How long a name holds.
const LATELY: Duration = Duration::from_secs(10);
/// So many names are remembered.
const NAMES_MAX: usize = 1_024;

impl Lately {
    const fn new() -> Lately {
        Lately(Mutex::new(BTreeMap::new()))
    }

    /// The name of a number; the number itself where `ask` knows none.
    fn name(&self, number: u32, ask: impl FnOnce(u32) -> Option<String>) -> String {
        let names = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, name)) = names().get(&number)
            && at.elapsed() < LATELY
        {
            return name.clone();
        }
        let name = ask(number).unwrap_or_else(|| number.to_string());
        let mut names = names();
        if names.len() >= NAMES_MAX {
            names.clear();
        }
        names.insert(number, (Instant::now(), name.clone()));
        name
    }
}

/// Takes away a name that is another user's: listings and filters go by names.
fn rename(user: &mut v1::User, passwd: &str) {
    let others = |line: &str| {
        let mut fields = line.split(':');
        let is_name = fields.next() == Some(user.name.as_str());
        is_name && fields.nth(1).and_then(|uid| uid.parse().ok()) != Some(user.uid)
    };
    if passwd.lines().any(others) {
        user.name = user.uid.to_string();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(uid: u32, name: &str) -> v1::JobSpec {
        let user = v1::User { uid, gid: uid, name: name.into(), group: "staff".into() };
        v1::JobSpec { user: Some(user), ..v1::JobSpec::default() }
    }

    #[test]
    fn the_kernel_says_whose_a_job_is_and_root_may_say_another() {
        let ada = Asker { uid: 1000, role: Role::User };
        let mut claimed = spec(0, "root");
        settle(&mut claimed, Some((1000, 100)), ada).expect("a plain job");
        let user = claimed.user.expect("it has one");
        assert_eq!((user.uid, user.gid, user.name.as_str()), (1000, 100, "1000"), "root's name is not hers");
        let mut other = spec(1000, "ada");
        settle(&mut other, Some((0, 0)), Asker { uid: 0, role: Role::Administrator }).expect("root may");
        assert_eq!(other.user.expect("it has one").uid, 1000);
    }

    #[test]
    fn who_is_not_named_is_named_by_this_machine() {
        let mut bare = v1::JobSpec::default();
        settle(&mut bare, Some((0, 0)), Asker { uid: 0, role: Role::Administrator }).expect("a plain job");
        let user = bare.user.expect("it got one");
        assert_eq!((user.uid, &*user.name, &*user.group), (0, "root", "root"));
        let mut numbers = v1::JobSpec::default();
        settle(&mut numbers, Some((3_999_999, 3_999_998)), Asker { uid: 3_999_999, role: Role::User })
            .expect("a plain job");
        let user = numbers.user.expect("it got one");
        assert_eq!((&*user.name, &*user.group), ("3999999", "3999998"));
    }

    #[test]
    fn a_name_is_asked_for_once_in_a_while() {
        let (names, mut asked) = (Lately::new(), 0);
        for _ in 0..3 {
            let name = names.name(7, |_| {
                asked += 1;
                Some("ada".into())
            });
            assert_eq!(name, "ada");
        }
        assert_eq!(asked, 1);
        for number in 1000..1000 + NAMES_MAX as u32 {
            assert_eq!(names.name(number, |_| None), number.to_string());
        }
        assert!(names.0.lock().expect("sound").len() <= NAMES_MAX);
    }

    #[test]
    fn a_name_that_nobody_else_has_stays() {
        let passwd = "root:x:0:0::/root:/bin/sh\nada:x:1000:100::/home/ada:/bin/sh\n";
        for (name, kept) in [("ada", "ada"), ("root", "1000"), ("remote", "remote")] {
            let mut user = v1::User { uid: 1000, gid: 1, name: name.into(), group: String::new() };
            rename(&mut user, passwd);
            assert_eq!(user.name, kept);
        }
    }

    #[test]
    fn priorities_and_maps_take_a_role() {
        let ada = Asker { uid: 1000, role: Role::User };
        for bad in [
            v1::JobSpec { nice: -1, ..spec(1000, "x") },
            v1::JobSpec { priority: Some(5), ..spec(1000, "x") },
            v1::JobSpec { map: Some(v1::Map::default()), ..spec(1000, "x") },
        ] {
            let refused = settle(&mut bad.clone(), Some((1000, 100)), ada).expect_err("not hers to ask");
            assert_eq!(refused.message(), "Access/permission denied");
        }
        let operator = Asker { role: Role::Operator, ..ada };
        settle(&mut v1::JobSpec { nice: -1, ..spec(1000, "x") }, Some((1000, 100)), operator).expect("an operator may");
        let mut map = v1::JobSpec { map: Some(v1::Map::default()), ..spec(1000, "x") };
        assert!(settle(&mut map.clone(), Some((1000, 100)), operator).is_err(), "and no more");
        let root = Asker { uid: 0, role: Role::Administrator };
        assert!(settle(&mut map, Some((0, 0)), root).is_err(), "nobody moves blobs for another");
        settle(&mut v1::JobSpec { nice: 5, ..spec(1000, "x") }, Some((1000, 100)), ada).expect("lower is free");
    }
}
