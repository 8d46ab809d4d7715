//! Messages of earlier versions, in `proto/recorded`: each is read by today's types, and nothing of it is lost or means something else.
//!
//! A field that was removed, renumbered or given another type would not be written again as it was. `record` writes those of today.

use std::fs;
use std::path::PathBuf;

use prost::Message;

use super::*;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("recorded")
}

/// Reads all recordings of one kind, which are named by it.
fn recordings(kind: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder()).expect("a folder").map(|entry| entry.expect("an entry"));
    let named = entries.map(|entry| (entry.file_name().into_string().expect("text"), entry.path()));
    let meant = named.filter(|(name, _)| name.starts_with(kind));
    let found: Vec<_> = meant.map(|(name, path)| (name, fs::read(path).expect("readable"))).collect();
    assert!(!found.is_empty(), "nothing of {kind} is recorded");
    found
}

#[test]
fn messages_of_earlier_versions_mean_what_they_did() {
    for (name, bytes) in recordings("from_node") {
        let message = v1::FromNode::decode(&*bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(message.encode_to_vec() == bytes, "{name} is not written again as it was");
        FromNode::try_from(message).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    for (name, bytes) in recordings("to_node") {
        let message = v1::ToNode::decode(&*bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(message.encode_to_vec() == bytes, "{name} is not written again as it was");
        ToNode::try_from(message).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    for (name, bytes) in recordings("submit") {
        let message = v1::SubmitPart::decode(&*bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(message.encode_to_vec() == bytes, "{name} is not written again as it was");
    }
}

#[test]
#[ignore = "writes recordings of today's messages, to be kept with a release"]
fn record() {
    let keep = |kind: &str, number: usize, bytes: Vec<u8>| {
        let name = format!("{kind}-{number}-{}.bin", env!("CARGO_PKG_VERSION"));
        fs::write(folder().join(name), bytes).expect("written");
    };
    for (number, said) in all_from_node().into_iter().enumerate() {
        keep("from_node", number, v1::FromNode::from(said).encode_to_vec());
    }
    for (number, said) in all_to_node().into_iter().enumerate() {
        keep("to_node", number, v1::ToNode::from(said).encode_to_vec());
    }
    let spec = v1::JobSpec {
        name: "gray".into(),
        array: "0-9:3%2".into(),
        request: Some(request().into()),
        time_limit_minutes: Some(5),
        hold: true,
        comment: "kept".into(),
        dependency: "afterok:5".into(),
        signal: "B:USR1@120".into(),
        nice: -3,
        priority: Some(7),
        retries: 2,
        account: "physics".into(),
        limits: vec![v1::ResourceLimit { name: "NOFILE".into(), value: Some(9), asked: true }],
        ..v1::JobSpec::default()
    };
    let head = v1::SubmitHead { request_id: vec![1; 16], spec: Some(spec), test_only: false };
    let parts = [
        v1::submit_part::Part::Head(head),
        v1::submit_part::Part::Script(Bytes::from_static(b"#!/bin/sh\n")),
        v1::submit_part::Part::Environment(Bytes::from_static(b"A=1\0")),
        v1::submit_part::Part::Manifest(v1::Names { names: vec!["a.png".into()] }),
    ];
    for (number, part) in parts.into_iter().enumerate() {
        keep("submit", number, v1::SubmitPart { part: Some(part) }.encode_to_vec());
    }
}
