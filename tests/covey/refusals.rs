//! Everybody who is turned away, at the door, at the gates and within, and the line that each leaves in the audit log.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use proto::dial::{dial, dial_trusting};
use proto::tls::read_certificate;
use proto::trust::Trust;
use proto::v1;
use proto::v1::controller_client::ControllerClient;
use proto::v1::membership_client::MembershipClient;
use proto::v1::node_link_client::NodeLinkClient;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use tokio_stream::StreamExt;
use tonic::Code;

use crate::rig::{PATIENCE, Rig, wait_for};
use crate::tls::{House, block_on, call_with, join_as, now_s, old_hello, private_file};

/// What a door has to say is said by another thread than the one that hangs up.
fn wait_refused(rig: &Rig, words: &[&str]) {
    wait_for(&format!("a line with {words:?}"), || rig.was_refused(words));
}

/// Speaks to a controller with these papers, however that ends.
async fn knock(house: &House, authority: &Path, papers: &Path) {
    let key = PrivateKeyDer::from_pem_file(papers.join("node.key")).expect("a key");
    let [authority, own] = [authority, &papers.join("node.pem")].map(|file| read_certificate(file).expect("there"));
    let trust = Trust::with_identity(&authority, own, key).expect("they fit");
    let endpoints = house.endpoint().parse().expect("an address");
    // The other side may hang up before or after the first call.
    if let Ok(channel) = dial_trusting(&endpoints, Some(&trust), std::time::Duration::ZERO).await {
        let request = v1::RenewRequest::default();
        MembershipClient::new(channel).renew_certificate(request).await.expect_err("it is turned away");
    }
}

#[test]
fn the_door_keeps_a_record_of_whom_it_turned_away() {
    let (mut house, mut other) = (House::open(&["--node-certificate-life", "3"]), House::open(&[]));
    let mut plain = TcpStream::connect(&house.address).expect("it listens");
    plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    plain.read_to_end(&mut Vec::new()).ok();
    wait_refused(&house.rig, &["connect", "nothing", "127.0.0.1", "no TLS: plaintext"]);
    let mut old = TcpStream::connect(&house.address).expect("it listens");
    old.write_all(&old_hello()).expect("sent");
    old.read_to_end(&mut Vec::new()).ok();
    wait_refused(&house.rig, &["connect", "does not speak TLS 1.3"]);

    let token_file = house.token(&[]);
    house.start_node("linux0", &token_file);
    let token_file = other.token(&[]);
    other.start_node("linux0", &token_file);
    wait_for("both are idle", || house.count("idle") == 1 && other.count("idle") == 1);
    house.rig.end_node("linux0", "TERM");
    let ca = |house: &House| house.rig.dir().join("tls/ca.pem");
    block_on(knock(&house, &ca(&house), &other.papers("linux0")));
    wait_refused(&house.rig, &["connect", "its certificate is not of this cluster's CA"]);
    block_on(knock(&house, &ca(&other), &other.papers("linux0")));
    wait_refused(&house.rig, &["connect", "does not trust this controller's certificate"]);
    wait_for("the certificate has run out", || now_s() > house.certificate("linux0").until_s);
    block_on(knock(&house, &ca(&house), &house.papers("linux0")));
    wait_refused(&house.rig, &["connect", "its certificate has run out"]);

    let good = other.rig.run("node", &["token", "create"]);
    let (head, _) = good.trim().rsplit_once('-').expect("two parts");
    let said = house.refused_node("a", &["--token-file", &house.token_file(&good)]);
    assert!(said.contains("is not the controller of this cluster"), "{said}");
    assert!(!fs::read_to_string(house.rig.dir().join("audit/refused.jsonl")).expect("there").contains(head));
}

#[test]
fn join_tokens_that_are_not_good_are_on_record() {
    let mut house = House::open(&[]);
    let once = house.token(&["--uses", "1"]);
    let text = fs::read_to_string(&once).expect("written");
    house.start_node("linux0", &once);
    wait_for("it is idle", || house.count("idle") == 1);
    house.refused_node("a", &["--token-file", &once]);
    house.rig.assert_refused(&["join-cluster", "node a", "127.0.0.1", "join token 1 is used up"]);
    let (head, secret) = text.trim().rsplit_once('-').expect("two parts");
    let unknown = house.token_file(&format!("{head}-{}", "0".repeat(32)));
    house.refused_node("b", &["--token-file", &unknown]);
    house.rig.assert_refused(&["join-cluster", "node b", "this join token is not known here"]);
    let revoked = house.token(&[]);
    house.rig.run("node", &["token", "revoke", "2"]);
    house.refused_node("c", &["--token-file", &revoked]);
    house.rig.assert_refused(&["join-cluster", "node c", "join token 2 was revoked"]);
    let short = house.token(&["--ttl", "1s"]);
    wait_for("its time has passed", || house.rig.run("node", &["token", "list"]).contains(" EXPIRED "));
    house.refused_node("d", &["--token-file", &short]);
    house.rig.assert_refused(&["join-cluster", "node d", "join token 3 has expired"]);
    let all = house.rig.run("audit", &["--json"]);
    for line in ["join token 1", "create-node-token", "\"verb\":\"be-node\""] {
        assert!(all.contains(line), "{line}: {all}");
    }
    assert!(!all.contains(secret), "no secret is in it: {all}");
}

#[test]
fn a_node_that_speaks_for_another_is_on_record() {
    let mut house = House::open(&[]);
    let token_file = house.token(&[]);
    for name in ["x", "y"] {
        house.start_node(name, &token_file);
    }
    wait_for("both are idle", || house.count("idle") == 2);
    let job = house.rig.submit(&["-w", "x", "-o", "/dev/null", "--wrap", "sleep 600"]);
    wait_for("it runs", || house.rig.states(&job) == ["RUNNING"]);
    house.rig.end_node("y", "TERM");
    block_on(async {
        let y = house.channel_as("y").await;
        assert_eq!(join_as(y.clone(), "x").await.code(), Code::PermissionDenied);
        ControllerClient::new(y.clone()).cancel(v1::CancelRequest::default()).await.expect_err("no user");
        join_as(house.anonymous_channel().await, "z").await;

        // It joins as itself, and reports the end of what runs on the other node.
        let register = v1::Register {
            name: "y".into(),
            spool: vec![7; 16],
            cpus_milli: 1000,
            registration: u64::MAX,
            ..Default::default()
        };
        let key = v1::AttemptKey { job: job.parse().expect("a number"), index: 0, attempt: 1 };
        let end = v1::AttemptEnd { how: v1::How::Exited.into(), ..Default::default() };
        let ends = vec![v1::Claim { key: Some(key), end: Some(end), heard: 0 }];
        let reports = v1::Reports { ends, step_ends: Vec::new() };
        let said = [v1::from_node::Kind::Register(register), v1::from_node::Kind::Reports(reports)];
        let said = tokio_stream::iter(said.map(|kind| v1::FromNode { kind: Some(kind) }));
        let joined = NodeLinkClient::new(y).join(said.chain(tokio_stream::pending())).await.expect("it may");
        wait_refused(&house.rig, &["report", " y ", "certificate", &format!("{job}_0"), "of another node"]);
        drop(joined);
    });
    assert_eq!(house.rig.states(&job), ["RUNNING"], "and it changes nothing");
    house.rig.assert_refused(&["be-node", " y ", "certificate", "may only speak for itself, and not as x"]);
    house.rig.assert_refused(&["cancel", " y ", "certificate", "gives no commands"]);
    house.rig.assert_refused(&["be-node", "nothing", "a node over TLS needs its certificate"]);

    house.rig.run("node", &["revoke", "x"]);
    block_on(async { join_as(house.channel_as("x").await, "x").await });
    house.rig.assert_refused(&["be-node", " x ", "it was revoked"]);
    assert!(house.rig.audit(&["--verb", "revoke-node"])[0].ends_with(" x"));
}

#[test]
fn users_tokens_that_are_not_good_are_on_record() {
    let house = House::open(&[]);
    let create = |options: &[&str]| {
        let words: Vec<&str> =
            ["token", "create", "--user", "root", "--admin"].iter().chain(options).copied().collect();
        house.rig.run("user", &words)
    };
    let refused = |text: &str, why: &str| {
        let token = private_file(&house, text);
        let output = call_with(&house, &token, "squeue", &[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(why), "{why}: {said}");
        house.rig.assert_refused(&["read", "nothing", "127.0.0.1", why]);
    };
    let good = create(&[]);
    let [header, claims, signature] = good.trim().split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    assert!(call_with(&house, &private_file(&house, &good), "scancel", &["-u", "nobody"]).status.success());
    let done = house.rig.audit(&["--verb", "cancel"]);
    assert!(
        done[0].contains("allowed root ") && done[0].contains(" token 1 ") && done[0].contains("127.0.0.1:"),
        "{done:?}"
    );

    refused("a.b.c", "what was shown is no token of a user");
    // {"alg":"none"} and {"alg":"HS256","typ":"JWT"}: what would have the token choose how it is checked.
    for algorithm in ["eyJhbGciOiJub25lIn0", "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"] {
        for signature in ["", signature] {
            refused(&format!("{algorithm}.{claims}.{signature}"), "not signed with EdDSA");
        }
    }
    refused(&format!("{header}.{claims}.AAAA"), "not signed by this controller");
    house.rig.run("user", &["token", "revoke", "1"]);
    refused(&good, "user token 1 was revoked");
    let short = create(&["--ttl", "1s"]);
    let token = private_file(&house, &short);
    wait_for("its time has passed", || !call_with(&house, &token, "squeue", &[]).status.success());
    refused(&short, "expired");
    let other = House::open(&[]);
    refused(&other.rig.run("user", &["token", "create", "--user", "root", "--admin"]), "for another cluster");

    // A token makes none, and one of an ordinary user gives no more than that user's rights.
    let token = private_file(&house, &create(&[]));
    call_with(&house, &token, "user", &["token", "create", "--user", "nobody"]);
    house.rig.assert_refused(&["create-user-token", "root", "token 3", "over its unix socket"]);
    let token = private_file(&house, &house.rig.run("user", &["token", "create", "--user", "nobody"]));
    call_with(&house, &token, "scontrol", &["reconfigure"]);
    house.rig.assert_refused(&["reconfigure", "nobody", "token 4", "only an administrator"]);
    let none = house.rig.try_run("user", &["token", "create", "--user", "nobody", "--admin"]);
    assert!(!none.status.success());
    house.rig.assert_refused(&["create-strong-token", "root", "socket", "neither administrator nor operator"]);
    for file in fs::read_dir(house.rig.dir().join("audit")).expect("there").flatten() {
        let text = fs::read_to_string(file.path()).expect("text");
        assert!(!text.contains(signature) && !text.contains(claims), "no token is in it");
    }
}

#[test]
fn a_message_that_is_too_large_is_on_record() {
    let rig = Rig::start(0);
    let refused = block_on(async {
        let channel = dial(&rig.endpoint().parse().expect("an address"), PATIENCE).await.expect("it answers");
        let ids = vec!["x".repeat(proto::CALL_MESSAGE_BYTES_MAX)];
        let mut client = ControllerClient::new(channel);
        client.cancel(v1::CancelRequest { ids, ..Default::default() }).await.expect_err("too large")
    });
    assert_eq!(refused.code(), Code::OutOfRange);
    rig.assert_refused(&["cancel", "socket", "too large"]);
    let files = fs::read_dir(rig.dir().join("audit")).expect("there").flatten();
    assert!(files.map(|file| file.metadata().expect("there").len()).sum::<u64>() < 100_000);
}
