//! As whom a task runs: files are opened with the rights of its user, and its process becomes that user for good.
//!
//! Only a launcher of root's does this; any other is given no [`RunAs`]. It has one thread, so that what it puts on here and takes
//! off again is seen by nobody else.

use std::io;

use nix::unistd::{Gid, Uid, getgroups, setfsgid, setfsuid, setgid, setgroups, setuid};

use super::frame::RunAs;

/// Does something with the rights of a user in the file system, so that no link of theirs leads to what is root's.
///
/// # Errors
/// When the rights cannot be put on; then nothing is done.
pub(super) fn as_user<T>(user: Option<&RunAs>, act: impl FnOnce() -> T) -> io::Result<T> {
    let _worn = user.map(Worn::put_on).transpose()?;
    Ok(act())
}

/// In the child: becomes the user, with no way back.
pub(crate) fn become_user(user: &RunAs) -> io::Result<()> {
    setgroups(&groups(user))?;
    setgid(Gid::from_raw(user.gid))?;
    setuid(Uid::from_raw(user.uid))?;
    // A process that is not who it should be must not run what comes next.
    if Uid::current().as_raw() != user.uid || Gid::current().as_raw() != user.gid {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(())
}

fn groups(user: &RunAs) -> Vec<Gid> {
    user.groups.iter().copied().map(Gid::from_raw).collect()
}

/// A user's rights in the file system, taken off when dropped.
struct Worn {
    groups: Vec<Gid>,
}

impl Worn {
    fn put_on(user: &RunAs) -> io::Result<Worn> {
        let worn = Worn { groups: getgroups()? };
        setgroups(&groups(user))?;
        let (gid, uid) = (Gid::from_raw(user.gid), Uid::from_raw(user.uid));
        setfsgid(gid);
        setfsuid(uid);
        // They answer with what was before, so that a second call tells whether the first one held.
        if setfsgid(gid) != gid || setfsuid(uid) != uid {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(worn)
    }
}

impl Drop for Worn {
    fn drop(&mut self) {
        setfsuid(Uid::effective());
        setfsgid(Gid::effective());
        // It was allowed to drop them, and so is allowed to have them again.
        if let Err(error) = setgroups(&self.groups) {
            tracing::error!(%error, "cannot have the launcher's own groups again");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    #[test]
    fn files_are_made_and_refused_with_the_rights_of_the_user() {
        if !Uid::effective().is_root() {
            return;
        }
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("chmod");
        let secret = folder.path().join("secret");
        fs::write(&secret, "root's").expect("written");
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("chmod");
        let user = RunAs { uid: 65_534, gid: 65_534, groups: vec![65_534] };
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&secret, &link).expect("a link");
        // The rights are those of one thread, as everything else of a test is.
        let (made, refused) = std::thread::spawn(move || {
            let made = folder.path().join("made");
            let refused = as_user(Some(&user), || {
                fs::write(&made, "").expect("the folder is for everyone");
                fs::OpenOptions::new().write(true).open(&link).map_err(|error| error.kind())
            });
            let found = fs::metadata(&made).expect("it was made");
            fs::write(&secret, "still root's").expect("the rights are taken off again");
            (found.uid(), refused.expect("root may be anyone"))
        })
        .join()
        .expect("it ends well");
        assert_eq!((made, refused.map(drop)), (65_534, Err(io::ErrorKind::PermissionDenied)));
    }
}
