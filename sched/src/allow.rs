//! Who may do what: the one table of roles, which every check asks.
//!
//! It knows three roles, what can be done ([`Verb`]) and to whom it is done ([`What`]). Who somebody is, is not its business: numbers
//! come from the kernel or from a signed token, and [`Roles`] has what the settings make of them. Start at [`allow`].

use std::collections::BTreeMap;
use std::fmt;

use thiserror::Error;

use crate::ids::Name;

/// What somebody is to this cluster. A higher role may do all that a lower one may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Anybody: their own jobs and tokens.
    User,
    /// `Operators`: the jobs of all, nodes, and the states of partitions.
    Operator,
    /// `Administrators`, root, and the controller's own user: everything.
    Administrator,
}

/// To what something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// To what is the caller's own: their jobs, their tokens.
    Own,
    /// To what is another user's.
    Anothers,
    /// To what is nobody's: nodes, partitions, settings.
    Cluster,
}

/// Something that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Listings, and why a job waits.
    Read,
    /// `sbatch`, `salloc`, and `srun` outside a job.
    Submit,
    /// A map over blobs, which are moved with the keys of the cluster and the rights of its nodes.
    SubmitMap,
    /// `--priority`, a `--nice` below 0, and the same by an update.
    RaisePriority,
    /// `scancel`.
    Cancel,
    /// `scancel -s`.
    Signal,
    /// `scontrol hold`, `uhold` and `release`.
    Hold,
    /// The release of what somebody with a higher role holds.
    ReleaseHeld,
    /// `scontrol requeue` and `requeuehold`.
    Requeue,
    /// `scontrol suspend` and `resume`.
    Suspend,
    /// `scontrol update jobid=`.
    Update,
    /// A longer time limit for what runs.
    RaiseLimit,
    /// `AdminComment=`.
    AdminComment,
    /// `scontrol write batch_script`.
    ReadScript,
    /// `covey logs`.
    ReadOutput,
    /// `srun` inside a job: it runs as the job's user.
    StartStep,
    /// `scontrol update nodename=`.
    UpdateNodes,
    /// `scontrol update partition= state=`, and nothing else of it.
    PartitionState,
    /// Any other change of a partition; making and deleting one.
    ChangePartition,
    /// `sdiag --reset`.
    ResetStatistics,
    /// `scontrol reconfigure`.
    Reconfigure,
    /// `covey audit`.
    ReadAudit,
    /// `covey backup`: all that is kept, scripts and environments of all jobs included.
    Backup,
    /// To be a node over a way in where no certificate is shown: it is given the jobs of all users.
    BeNode,
    /// `covey node token create`.
    CreateNodeToken,
    /// `covey node token list`.
    ListNodeTokens,
    /// `covey node token revoke`.
    RevokeNodeToken,
    /// `covey node revoke`.
    RevokeNode,
    /// `covey user token create`.
    CreateUserToken,
    /// The same with `--admin`: it carries more than a user's rights.
    CreateStrongToken,
    /// `covey user token list`.
    ListUserTokens,
    /// `covey user token revoke`.
    RevokeUserToken,
}

/// A row of the table: the least role that may do it to each; nothing where nobody may.
struct Row {
    name: &'static str,
    deed: &'static str,
    own: Option<Role>,
    anothers: Option<Role>,
    cluster: Option<Role>,
}

/// What is done to something of a user's.
const fn of_users(name: &'static str, deed: &'static str, own: Role, anothers: Option<Role>) -> Row {
    Row { name, deed, own: Some(own), anothers, cluster: None }
}

/// What is done to the cluster.
const fn of_cluster(name: &'static str, deed: &'static str, least: Role) -> Row {
    Row { name, deed, own: None, anothers: None, cluster: Some(least) }
}

impl Verb {
    /// All of them.
    pub const ALL: [Verb; 32] = [
        Verb::Read,
        Verb::Submit,
        Verb::SubmitMap,
        Verb::RaisePriority,
        Verb::Cancel,
        Verb::Signal,
        Verb::Hold,
        Verb::ReleaseHeld,
        Verb::Requeue,
        Verb::Suspend,
        Verb::Update,
        Verb::RaiseLimit,
        Verb::AdminComment,
        Verb::ReadScript,
        Verb::ReadOutput,
        Verb::StartStep,
        Verb::UpdateNodes,
        Verb::PartitionState,
        Verb::ChangePartition,
        Verb::ResetStatistics,
        Verb::Reconfigure,
        Verb::ReadAudit,
        Verb::Backup,
        Verb::BeNode,
        Verb::CreateNodeToken,
        Verb::ListNodeTokens,
        Verb::RevokeNodeToken,
        Verb::RevokeNode,
        Verb::CreateUserToken,
        Verb::CreateStrongToken,
        Verb::ListUserTokens,
        Verb::RevokeUserToken,
    ];

    /// The table.
    const fn row(self) -> Row {
        use Role::{Administrator, Operator, User};
        match self {
            Verb::Read => {
                let everybody = Some(User);
                Row { name: "read", deed: "read listings", own: everybody, anothers: everybody, cluster: everybody }
            }
            Verb::Submit => of_users("submit", "submit a job", User, Some(Administrator)),
            Verb::SubmitMap => of_users("submit-map", "submit a map over blobs", Administrator, None),
            Verb::RaisePriority => of_users("raise-priority", "raise the priority of a job", Operator, Some(Operator)),
            Verb::Cancel => of_users("cancel", "cancel a job", User, Some(Operator)),
            Verb::Signal => of_users("signal", "send signals to a job", User, Some(Operator)),
            Verb::Hold => of_users("hold", "hold or release a job", User, Some(Operator)),
            Verb::ReleaseHeld => {
                of_users("release-held", "release what an operator or administrator holds", Operator, Some(Operator))
            }
            Verb::Requeue => of_users("requeue", "requeue a job", User, Some(Operator)),
            Verb::Suspend => of_users("suspend", "suspend or resume a job", Operator, Some(Operator)),
            Verb::Update => of_users("update", "change a job", User, Some(Operator)),
            Verb::RaiseLimit => {
                of_users("raise-limit", "raise the time limit of a job that runs", Operator, Some(Operator))
            }
            Verb::AdminComment => of_users(
                "admin-comment",
                "write an administrator's comment to a job",
                Administrator,
                Some(Administrator),
            ),
            Verb::ReadScript => of_users("read-script", "read the script of a job", User, Some(Operator)),
            Verb::ReadOutput => of_users("read-output", "read what a job has written", User, Some(Operator)),
            Verb::StartStep => of_users("start-step", "start steps in a job", User, Some(Administrator)),
            Verb::UpdateNodes => of_cluster("update-nodes", "change the state of nodes", Operator),
            Verb::PartitionState => of_cluster("partition-state", "change the state of a partition", Operator),
            Verb::ChangePartition => of_cluster(
                "change-partition",
                "make or delete a partition, or change more than its state",
                Administrator,
            ),
            Verb::ResetStatistics => of_cluster("reset-statistics", "reset the counters of sdiag", Operator),
            Verb::Reconfigure => of_cluster("reconfigure", "have the settings read again", Administrator),
            Verb::ReadAudit => of_cluster("read-audit", "read the audit log", Operator),
            Verb::Backup => of_cluster("backup", "write everything into a backup", Administrator),
            Verb::BeNode => of_cluster("be-node", "join as a node", Administrator),
            Verb::CreateNodeToken => of_cluster("create-node-token", "make join tokens", Administrator),
            Verb::ListNodeTokens => of_cluster("list-node-tokens", "list join tokens", Administrator),
            Verb::RevokeNodeToken => of_cluster("revoke-node-token", "revoke join tokens", Administrator),
            Verb::RevokeNode => of_cluster("revoke-node", "revoke nodes", Administrator),
            Verb::CreateUserToken => of_users("create-user-token", "make a token", User, Some(Administrator)),
            Verb::CreateStrongToken => of_users(
                "create-strong-token",
                "make a token with more than a user's rights",
                Operator,
                Some(Administrator),
            ),
            Verb::ListUserTokens => of_users("list-user-tokens", "list the tokens", User, Some(Administrator)),
            Verb::RevokeUserToken => of_users("revoke-user-token", "revoke a token", User, Some(Administrator)),
        }
    }

    /// Its word in the audit log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The least role that may do it; nothing where nobody may.
    #[must_use]
    pub const fn least(self, what: What) -> Option<Role> {
        let row = self.row();
        match what {
            What::Own => row.own,
            What::Anothers => row.anothers,
            What::Cluster => row.cluster,
        }
    }

    /// Whether it leaves everything as it is.
    #[must_use]
    pub const fn only_reads(self) -> bool {
        matches!(
            self,
            Verb::Read
                | Verb::ReadScript
                | Verb::ReadOutput
                | Verb::ReadAudit
                | Verb::ListNodeTokens
                | Verb::ListUserTokens
        )
    }
}

/// The one rule: whether somebody of this role may do this to that.
///
/// # Errors
/// Which role it takes.
pub fn allow(who: Role, verb: Verb, what: What) -> Result<(), Denied> {
    let least = verb.least(what);
    if least.is_some_and(|least| who >= least) { Ok(()) } else { Err(Denied { verb, what }) }
}

/// Something that is for others to do. Its text says for whom.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub struct Denied {
    /// What was asked for.
    pub verb: Verb,
    /// To what.
    pub what: What,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.verb.least(self.what) {
            None => "nobody",
            Some(Role::User) => "everybody",
            Some(Role::Operator) => "only an operator or an administrator",
            Some(Role::Administrator) => "only an administrator",
        };
        let whose = match (self.what, self.verb) {
            (What::Anothers, Verb::Submit | Verb::SubmitMap | Verb::CreateUserToken | Verb::CreateStrongToken) => {
                " for another user"
            }
            (What::Anothers, _) => " of another user",
            (What::Own | What::Cluster, _) => "",
        };
        write!(f, "{who} may {}{whose}", self.verb.row().deed)
    }
}

/// Who has more than a user's rights by the settings: each by number, with the name as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// `Administrators`.
    pub administrators: BTreeMap<u32, Name>,
    /// `Operators`.
    pub operators: BTreeMap<u32, Name>,
}

impl Roles {
    /// The role of a user; root is always an administrator.
    #[must_use]
    pub fn of(&self, uid: u32) -> Role {
        if uid == 0 || self.administrators.contains_key(&uid) {
            Role::Administrator
        } else if self.operators.contains_key(&uid) {
            Role::Operator
        } else {
            Role::User
        }
    }
}
