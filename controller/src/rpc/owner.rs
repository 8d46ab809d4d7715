//! Whose job a submit makes: by the kernel's word, not by the sender's.

use std::fs;

use proto::error::refused;
use proto::v1;
use sched::select::Asker;
use tonic::{Code, Status};

/// Puts the caller's numbers into a spec, and refuses what only administrators may ask for. Root may submit for others.
pub(super) fn settle(spec: &mut v1::JobSpec, peer: Option<(u32, u32)>, asker: Asker) -> Result<(), Status> {
    if let (Some((uid, gid)), Some(user)) = (peer.filter(|(uid, _)| *uid != 0 || !asker.operator), spec.user.as_mut()) {
        (user.uid, user.gid) = (uid, gid);
        if !asker.operator {
            rename(user, &fs::read_to_string("/etc/passwd").unwrap_or_default());
        }
    }
    let for_another = spec.user.as_ref().is_some_and(|user| peer.is_some_and(|(uid, _)| uid != user.uid));
    if asker.operator && !(for_another && spec.map.is_some()) {
        return Ok(());
    }
    let denied = |detail: &str| Err(refused(Code::PermissionDenied, "Access/permission denied", Some(detail)));
    if spec.nice < 0 || spec.priority.is_some_and(|priority| priority > 0) {
        return denied("only an administrator may raise a priority: leave out --priority and a --nice below 0");
    }
    if spec.map.is_some() {
        return denied(
            "the blobs of a map are moved with the rights of the nodes, so only an administrator may submit one",
        );
    }
    Ok(())
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
        let ada = Asker { uid: 1000, operator: false };
        let mut claimed = spec(0, "root");
        settle(&mut claimed, Some((1000, 100)), ada).expect("a plain job");
        let user = claimed.user.expect("it has one");
        assert_eq!((user.uid, user.gid, user.name.as_str()), (1000, 100, "1000"), "root's name is not hers");
        let mut other = spec(1000, "ada");
        settle(&mut other, Some((0, 0)), Asker { uid: 0, operator: true }).expect("root may");
        assert_eq!(other.user.expect("it has one").uid, 1000);
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
    fn priorities_and_maps_are_for_administrators() {
        let ada = Asker { uid: 1000, operator: false };
        for bad in [
            v1::JobSpec { nice: -1, ..spec(1000, "x") },
            v1::JobSpec { priority: Some(5), ..spec(1000, "x") },
            v1::JobSpec { map: Some(v1::Map::default()), ..spec(1000, "x") },
        ] {
            let refused = settle(&mut bad.clone(), Some((1000, 100)), ada).expect_err("not hers to ask");
            assert_eq!(refused.message(), "Access/permission denied");
        }
        settle(&mut v1::JobSpec { nice: 5, ..spec(1000, "x") }, Some((1000, 100)), ada).expect("lower is free");
    }
}
