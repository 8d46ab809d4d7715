//! The table of roles against what was meant, written down a second time and in another way: by what each role may do.

use proptest::prelude::*;
use sched::allow::{Role, Roles, Verb, What, allow};

/// What a user may do, who has no role by the settings.
const OF_USERS: &[(Verb, What)] = &[
    (Verb::Read, What::Own),
    (Verb::Read, What::Anothers),
    (Verb::Read, What::Cluster),
    (Verb::Submit, What::Own),
    (Verb::Cancel, What::Own),
    (Verb::Signal, What::Own),
    (Verb::Hold, What::Own),
    (Verb::Requeue, What::Own),
    (Verb::Update, What::Own),
    (Verb::ReadScript, What::Own),
    (Verb::ReadOutput, What::Own),
    (Verb::StartStep, What::Own),
    (Verb::CreateUserToken, What::Own),
    (Verb::ListUserTokens, What::Own),
    (Verb::RevokeUserToken, What::Own),
];

/// What an operator may do beyond that: jobs of others, but nothing that runs as them; nodes; states of partitions.
const OF_OPERATORS: &[(Verb, What)] = &[
    (Verb::Cancel, What::Anothers),
    (Verb::Signal, What::Anothers),
    (Verb::Hold, What::Anothers),
    (Verb::ReleaseHeld, What::Own),
    (Verb::ReleaseHeld, What::Anothers),
    (Verb::Requeue, What::Anothers),
    (Verb::Suspend, What::Own),
    (Verb::Suspend, What::Anothers),
    (Verb::Update, What::Anothers),
    (Verb::RaisePriority, What::Own),
    (Verb::RaisePriority, What::Anothers),
    (Verb::RaiseLimit, What::Own),
    (Verb::RaiseLimit, What::Anothers),
    (Verb::ReadScript, What::Anothers),
    (Verb::ReadOutput, What::Anothers),
    (Verb::UpdateNodes, What::Cluster),
    (Verb::PartitionState, What::Cluster),
    (Verb::ResetStatistics, What::Cluster),
    (Verb::ReadAudit, What::Cluster),
    (Verb::CreateStrongToken, What::Own),
];

/// What an administrator may do beyond that.
const OF_ADMINISTRATORS: &[(Verb, What)] = &[
    (Verb::Submit, What::Anothers),
    (Verb::SubmitMap, What::Own),
    (Verb::AdminComment, What::Own),
    (Verb::AdminComment, What::Anothers),
    (Verb::StartStep, What::Anothers),
    (Verb::ChangePartition, What::Cluster),
    (Verb::Reconfigure, What::Cluster),
    (Verb::Backup, What::Cluster),
    (Verb::BeNode, What::Cluster),
    (Verb::CreateNodeToken, What::Cluster),
    (Verb::ListNodeTokens, What::Cluster),
    (Verb::RevokeNodeToken, What::Cluster),
    (Verb::RevokeNode, What::Cluster),
    (Verb::CreateUserToken, What::Anothers),
    (Verb::CreateStrongToken, What::Anothers),
    (Verb::ListUserTokens, What::Anothers),
    (Verb::RevokeUserToken, What::Anothers),
];

const ROLES: [Role; 3] = [Role::User, Role::Operator, Role::Administrator];
const WHATS: [What; 3] = [What::Own, What::Anothers, What::Cluster];

fn meant(who: Role, verb: Verb, what: What) -> bool {
    let lists = [OF_USERS, OF_OPERATORS, OF_ADMINISTRATORS];
    let rank = ROLES.iter().position(|role| *role == who).expect("there are three");
    lists[..=rank].iter().any(|list| list.contains(&(verb, what)))
}

#[test]
fn every_verb_is_for_whom_it_was_meant() {
    for who in ROLES {
        for verb in Verb::ALL {
            for what in WHATS {
                let found = allow(who, verb, what);
                assert_eq!(found.is_ok(), meant(who, verb, what), "{who:?} {verb:?} {what:?}");
                if let Err(denied) = found {
                    let text = denied.to_string();
                    assert!(text.contains("administrator may ") || text.starts_with("nobody may "), "{text}");
                }
            }
        }
    }
}

#[test]
fn every_verb_is_listed_once_under_a_name_of_its_own() {
    let mut names: Vec<&str> = Verb::ALL.iter().map(|verb| verb.name()).collect();
    let lists = OF_USERS.iter().chain(OF_OPERATORS).chain(OF_ADMINISTRATORS);
    let verbs: std::collections::BTreeSet<Verb> = lists.map(|(verb, _)| *verb).collect();
    assert_eq!(verbs.into_iter().collect::<Vec<_>>(), Verb::ALL, "the lists above have them all, in their order");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Verb::ALL.len());
}

#[test]
fn a_refusal_says_which_role_it_takes() {
    let said = |who, verb, what| allow(who, verb, what).expect_err("it is for others").to_string();
    for (text, denied) in [
        (
            "only an operator or an administrator may cancel a job of another user",
            said(Role::User, Verb::Cancel, What::Anothers),
        ),
        ("only an administrator may submit a job for another user", said(Role::Operator, Verb::Submit, What::Anothers)),
        (
            "nobody may submit a map over blobs for another user",
            said(Role::Administrator, Verb::SubmitMap, What::Anothers),
        ),
        (
            "only an operator or an administrator may change the state of nodes",
            said(Role::User, Verb::UpdateNodes, What::Cluster),
        ),
    ] {
        assert_eq!(denied, text);
    }
}

proptest! {
    /// Whoever may do more may do all that others may; and nobody gets a role but by the settings.
    #[test]
    fn rights_grow_with_roles(uid in 1_u32..9, verb in 0..Verb::ALL.len(), what in 0..WHATS.len()) {
        let (verb, what) = (Verb::ALL[verb], WHATS[what]);
        let mut before = false;
        for who in ROLES {
            let now = allow(who, verb, what).is_ok();
            prop_assert!(now || !before, "{:?} {:?} {:?}", who, verb, what);
            before = now;
        }
        let named = |uids: &[u32]| uids.iter().map(|uid| (*uid, "x".into())).collect();
        let roles = Roles { administrators: named(&[1, 2]), operators: named(&[2, 3]) };
        let role = match uid {
            1 | 2 => Role::Administrator,
            3 => Role::Operator,
            _ => Role::User,
        };
        prop_assert_eq!((roles.of(uid), roles.of(0), Roles::default().of(uid)), (role, Role::Administrator, Role::User));
    }
}
