//! Who may be a node: join tokens, their ends, and nodes that are shut out.

mod rig;

use std::num::NonZeroU32;
use std::sync::Arc;

use rig::{ADA, Rig, ended, job};
use sched::allow::Role;
use sched::ids::{JobId, NodeId, RequestId};
use sched::members::{Fingerprint, NotAdmitted, NotGood, TOKENS_MAX, USER_TOKENS_OF_ONE_MAX, UserTokenWish, Wish};
use sched::node::Health;
use sched::reason::Exit;
use sched::reconcile::How;
use sched::refusal::Refusal;
use sched::select::Asker;
use sched::spec::job::{JobDraft, Request, User};
use sched::spec::step::StepDraft;
use sched::step::{Answer, Input};
use sched::steps::ask::NewStep;

const HOUR_MS: u64 = 3_600_000;

fn print(byte: u8) -> Fingerprint {
    Fingerprint([byte; 32])
}

fn token(rig: &mut Rig, secret: u8, uses: Option<u32>) -> u32 {
    let uses_max = uses.map(|uses| NonZeroU32::new(uses).expect("some"));
    match rig.input(Input::Membership(Wish::CreateToken { secret: print(secret), ttl_ms: HOUR_MS, uses_max, uid: 0 })) {
        Answer::Token(token) => token,
        other => panic!("a token is made: {other:?}"),
    }
}

fn wish(rig: &mut Rig, wish: Wish) -> Result<(), Refusal> {
    match rig.input(Input::Membership(wish)) {
        Answer::Done => Ok(()),
        Answer::Refused(why) => Err(why),
        other => panic!("a wish is done or refused: {other:?}"),
    }
}

fn join(rig: &mut Rig, name: &str, key: u8, secret: u8) -> Result<(), NotAdmitted> {
    wish(rig, Wish::Join { name: name.into(), key: print(key), secret: print(secret) }).map_err(|why| match why {
        Refusal::NotAdmitted(why) => why,
        other => panic!("a join is refused as such: {other:?}"),
    })
}

#[test]
fn a_token_lets_in_as_many_as_it_says_until_its_time_has_passed() {
    let mut rig = Rig::new();
    let two = token(&mut rig, 1, Some(2));
    assert_eq!(join(&mut rig, "a", 10, 1), Ok(()));
    assert_eq!(join(&mut rig, "a", 10, 1), Ok(()), "the same machine again costs no use");
    assert_eq!(join(&mut rig, "b", 11, 1), Ok(()));
    assert_eq!(join(&mut rig, "c", 12, 1), Err(NotAdmitted::UsedUp(two)));
    assert_eq!(join(&mut rig, "a", 10, 1), Ok(()), "and may come when it is used up");
    assert_eq!(join(&mut rig, "c", 12, 9), Err(NotAdmitted::UnknownSecret));
    let many = token(&mut rig, 2, None);
    assert!((0..100).all(|i| join(&mut rig, &format!("n{i}"), 20, 2).is_ok()));
    rig.now = rig.now.plus_ms(HOUR_MS - 1);
    assert_eq!(join(&mut rig, "c", 12, 2), Ok(()));
    rig.now = rig.now.plus_ms(1);
    assert_eq!(join(&mut rig, "d", 13, 2), Err(NotAdmitted::Expired(many)));
    assert_eq!(join(&mut rig, "c", 12, 2), Err(NotAdmitted::Expired(many)), "even for who has used it");
}

#[test]
fn a_revoked_token_lets_in_nobody_else_and_who_is_in_stays() {
    let mut rig = Rig::new();
    let id = token(&mut rig, 1, None);
    assert_eq!(join(&mut rig, "a", 10, 1), Ok(()));
    assert_eq!(wish(&mut rig, Wish::RevokeToken { token: id, uid: 0 }), Ok(()));
    assert_eq!(join(&mut rig, "b", 11, 1), Err(NotAdmitted::TokenRevoked(id)));
    assert!(rig.cluster.members().is_member("a", print(10)));
    assert_eq!(wish(&mut rig, Wish::RevokeToken { token: 99, uid: 0 }), Err(Refusal::UnknownToken(99)));
}

#[test]
fn a_revoked_node_is_silent_at_once_and_its_key_never_comes_back() {
    let mut rig = Rig::new();
    token(&mut rig, 1, None);
    assert_eq!(join(&mut rig, "n1", 10, 1), Ok(()));
    let (node, _) = rig.register("n1", 2, &[]);
    assert_eq!(wish(&mut rig, Wish::RevokeNode { name: "n1".into(), uid: 0 }), Ok(()));
    assert!(matches!(rig.cluster.node(node).expect("known").health, Health::Silent { .. }));
    assert!(!rig.cluster.members().is_member("n1", print(10)));
    assert_eq!(join(&mut rig, "n1", 10, 1), Err(NotAdmitted::KeyRevoked("n1".into())));
    assert_eq!(join(&mut rig, "n1", 11, 1), Ok(()), "the machine was made anew and has a new key");
    assert!(rig.cluster.members().is_member("n1", print(11)) && !rig.cluster.members().is_member("n1", print(10)));
    let stranger = wish(&mut rig, Wish::RevokeNode { name: "n9".into(), uid: 0 });
    assert_eq!(stranger, Err(Refusal::NotAMember("n9".into())));
}

#[test]
fn nobody_takes_the_name_of_a_node_that_is_connected() {
    let mut rig = Rig::new();
    token(&mut rig, 1, None);
    assert_eq!(join(&mut rig, "n1", 10, 1), Ok(()));
    let (node, _) = rig.register("n1", 2, &[]);
    assert_eq!(join(&mut rig, "n1", 66, 1), Err(NotAdmitted::Connected("n1".into())));
    rig.input(Input::LinkLost { node });
    assert_eq!(join(&mut rig, "n1", 66, 1), Ok(()), "a machine that lost its folder comes again");
    assert!(!rig.cluster.members().is_member("n1", print(10)), "and its former key counts no more");
}

#[test]
fn tokens_are_bounded_and_those_that_are_spent_make_room() {
    let mut rig = Rig::new();
    let first = token(&mut rig, 0, None);
    for _ in 1..TOKENS_MAX {
        token(&mut rig, 1, None);
    }
    let one_more = Wish::CreateToken { secret: print(2), ttl_ms: HOUR_MS, uses_max: None, uid: 0 };
    assert!(matches!(wish(&mut rig, one_more), Err(Refusal::TooManyTokens(_))));
    assert_eq!(wish(&mut rig, Wish::RevokeToken { token: first, uid: 0 }), Ok(()));
    token(&mut rig, 2, None);
    assert_eq!(rig.cluster.members().tokens().count(), TOKENS_MAX);
    assert_eq!(join(&mut rig, "a", 10, 0), Err(NotAdmitted::UnknownSecret), "the one that was revoked is forgotten");
}

fn user_token(rig: &mut Rig, uid: u32) -> Result<u32, Refusal> {
    let wanted = UserTokenWish { user: "ada".into(), uid, ttl_ms: HOUR_MS, admin: false, by: 0 };
    match rig.input(Input::Membership(Wish::CreateUserToken(wanted))) {
        Answer::Token(token) => Ok(token),
        Answer::Refused(why) => Err(why),
        other => panic!("a token is made or refused: {other:?}"),
    }
}

#[test]
fn a_users_token_is_good_until_it_is_revoked_by_its_user_or_its_time_has_passed() {
    let mut rig = Rig::new();
    let tokens = [1000, 1000, 1001].map(|uid| user_token(&mut rig, uid).expect("there is room"));
    assert_eq!(tokens, [1, 2, 3]);
    let revoke =
        |rig: &mut Rig, token, uid, role| wish(rig, Wish::RevokeUserToken { token, asker: Asker { uid, role } });
    assert_eq!(revoke(&mut rig, 3, 1000, Role::User), Err(Refusal::UnknownUserToken(3)), "another's is not told of");
    assert_eq!(revoke(&mut rig, 1, 1000, Role::User), Ok(()));
    assert_eq!(revoke(&mut rig, 1, 1000, Role::User), Ok(()), "again is no fault");
    let good = |rig: &Rig, token| rig.cluster.members().users().good(token, rig.now).map(|token| token.uid);
    assert_eq!(good(&rig, 1), Err(NotGood::Revoked(1)));
    assert_eq!((good(&rig, 2), good(&rig, 3), good(&rig, 4)), (Ok(1000), Ok(1001), Err(NotGood::Unknown(4))));
    assert_eq!(revoke(&mut rig, 3, 1002, Role::Operator), Err(Refusal::UnknownUserToken(3)), "nor an operator");
    assert_eq!(revoke(&mut rig, 3, 0, Role::Administrator), Ok(()), "an administrator ends any");
    rig.now = rig.now.plus_ms(HOUR_MS);
    assert_eq!(good(&rig, 2), Err(NotGood::Expired(2)));
}

#[test]
fn one_user_never_has_so_many_that_others_get_none() {
    let mut rig = Rig::new();
    assert!((0..USER_TOKENS_OF_ONE_MAX).all(|_| user_token(&mut rig, 1000).is_ok()));
    assert!(matches!(user_token(&mut rig, 1000), Err(Refusal::TooManyUserTokens { own: USER_TOKENS_OF_ONE_MAX, .. })));
    assert!(user_token(&mut rig, 1001).is_ok());
}

/// Starts a job of this group on a node of its own, and answers the node.
fn runs_as(rig: &mut Rig, gid: u32, nodes_min: u32) -> NodeId {
    let user = User { gid, ..(*job().user).clone() };
    let request = Request { nodes_min, processes: Some(2 * nodes_min), ..Request::default() };
    rig.submit(JobDraft { user: user.into(), request: request.into(), ..job() }).expect("accepted");
    rig.plan();
    rig.node_of(*rig.running().last().expect("it runs"))
}

#[test]
fn a_user_is_on_a_node_while_an_attempt_or_a_step_runs_there() {
    let mut rig = Rig::with_nodes(3, 2);
    let on = |rig: &Rig, uid, gid| -> Vec<(u32, u32)> {
        let found =
            rig.cluster.nodes().filter_map(|node| Some((node.id.0, rig.cluster.user_on(node.id, uid, gid)?.gid)));
        found.collect()
    };
    assert!(on(&rig, 1000, 1000).is_empty());
    let batch = runs_as(&mut rig, 7, 2);
    assert_eq!(on(&rig, 1000, 1000), [(batch.0, 7)], "as the job has it, whatever was said");
    assert!(on(&rig, 1001, 7).is_empty(), "nobody else");

    let draft =
        StepDraft { name: "true".into(), words: vec!["true".into()], work_dir: "/".into(), ..StepDraft::default() };
    let spec = Arc::new(StepDraft { nodes_min: Some(2), processes: Some(2), ..draft }.check().expect("in bounds"));
    let new = NewStep { request: RequestId(1), job: JobId(1), spec, secret: 1, asker: ADA };
    let Answer::Step(step) = rig.input(Input::CreateStep(new)) else { panic!("it is made") };
    assert_eq!(on(&rig, 1000, 7).len(), 2, "where its step runs, too");
    for node in rig.cluster.step(step).expect("there").left().to_vec() {
        let steps = vec![(step, ended(How::Exited(Exit { code: 0, signal: 0 })))];
        rig.input(Input::Ends { node, ends: Vec::new(), steps });
    }
    assert_eq!(on(&rig, 1000, 7), [(batch.0, 7)]);

    let other = runs_as(&mut rig, 8, 1);
    assert_ne!(other, batch);
    assert_eq!(on(&rig, 1000, 8).len(), 2);
    for key in rig.running() {
        rig.exit(key, 0);
    }
    assert!(on(&rig, 1000, 7).is_empty(), "and no longer than that");
}
