//! What the caller may do: who calls is `caller.rs`'s to say, the settings make a role of it, and the table in `sched::allow` says
//! the rest. Start at [`Rights::asker`].

use std::sync::Arc;

use arc_swap::ArcSwap;
use proto::error::refused;
use proto::reason::ErrorReason;
use sched::allow::{Role, Verb};
use sched::select::Asker;
use tonic::{Request, Status};

use super::caller::{self, Caller};
use super::refuse;
use crate::config::Config;

/// Who changes something over a plain TCP port, where nobody's word can be checked.
pub(super) const NOBODY_UID: u32 = 65_534;

/// Who has which role, by the settings of the moment.
#[derive(Clone)]
pub(crate) struct Rights(Arc<ArcSwap<Config>>);

impl Rights {
    pub(crate) fn new(config: Arc<ArcSwap<Config>>) -> Rights {
        Rights(config)
    }

    /// The role of a user: root and the user whose controller this is are administrators, and else the settings say.
    pub(super) fn role_of(&self, uid: u32) -> Role {
        if uid == own_uid() { Role::Administrator } else { self.0.load().roles.of(uid) }
    }

    /// Who asks. Over the network it takes a token that says so, or a node where nodes are trusted, to be more than a user; whoever
    /// comes over a plain port is an administrator, because nobody's word can be checked there.
    ///
    /// # Errors
    /// No user, or one whom this cluster does not serve.
    pub(super) fn asker<T>(&self, request: &Request<T>) -> Result<Asker, Status> {
        let Some((uid, _)) = served(request)? else {
            return Ok(Asker { uid: NOBODY_UID, role: Role::Administrator });
        };
        let role = if Caller::of(request.extensions()).has_all_rights() { self.role_of(uid) } else { Role::User };
        Ok(Asker { uid, role })
    }

    /// Who asks for something that is done to the cluster, if they may.
    ///
    /// # Errors
    /// They may not.
    pub(super) fn asker_here<T>(&self, request: &Request<T>, verb: Verb) -> Result<Asker, Status> {
        let asker = self.asker(request)?;
        asker.may_here(verb).map(|()| asker).map_err(|refusal| {
            let denied = refusal.detail().unwrap_or_default();
            let how = match Caller::of(request.extensions()) {
                Caller::User(user) if !user.admin => ", and from elsewhere only by a token that was made with --admin",
                Caller::ByNode(_) => ", and on a node only where TrustNodes = true is set in covey.toml",
                _ => "",
            };
            let detail = format!("{denied}{how}; you are uid {}", asker.uid);
            refused(ErrorReason::NotAllowed, &refusal.to_string(), Some(&detail))
        })
    }
}

/// Who is served, by uid and gid (none over the plain port): everybody where the controller is root's and nodes run tasks as their users; else only the user whose
/// controller this is, and root, because tasks run as that user, and anybody else's would run with rights that are not theirs.
///
/// # Errors
/// Anybody else, or no user at all.
pub(super) fn served<T>(request: &Request<T>) -> Result<Option<(u32, u32)>, Status> {
    let own = own_uid();
    let peer = caller::peer(request)?;
    match peer {
        Some((uid, _)) if own != 0 && uid != own && uid != 0 => {
            let detail =
                format!("this cluster belongs to uid {own}, and runs every task as that user; you are uid {uid}");
            Err(refused(ErrorReason::NotAllowed, "Access/permission denied", Some(&detail)))
        }
        peer => Ok(peer),
    }
}

/// The user whose controller this is.
pub(super) fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Checks a right over something of a user's.
///
/// # Errors
/// Which role it takes.
pub(super) fn check(asker: Asker, verb: Verb, owner: u32) -> Result<(), Status> {
    asker.may_for(verb, owner).map_err(|refusal| refuse(&refusal))
}
