//! Who may import whom. An arrow that is not in this picture fails.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand, Package, PackageId};

/// Each room, and the rooms that it may import.
const ALLOWED: &[(&str, &[&str])] = &[
    ("sched", &[]),
    ("proto", &["sched"]),
    ("blobs", &[]),
    ("ops", &[]),
    ("init", &[]),
    ("traces", &[]),
    ("controller", &["blobs", "proto", "sched", "traces"]),
    ("noded", &["blobs", "ops", "proto", "sched", "traces"]),
    ("bench", &["noded", "proto", "sched"]),
    ("sim", &["noded", "proto", "sched"]),
    ("submit", &["blobs", "ops", "proto", "sched"]),
    ("covey", &["controller", "init", "noded", "submit"]),
];

/// What the pure core must never see, at any depth.
const BANNED_BELOW_SCHED: &[&str] = &["tokio", "tonic", "prost", "sled"];

#[test]
fn rooms_import_only_what_the_picture_shows() {
    let metadata = MetadataCommand::new().exec().expect("cargo describes this workspace");
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let rooms: BTreeSet<&str> = metadata.workspace_packages().iter().map(|package| package.name.as_str()).collect();
    assert_eq!(rooms, allowed.keys().copied().collect(), "every room stands in the picture");
    for package in metadata.workspace_packages() {
        let imports = package.dependencies.iter().filter(|import| import.kind == DependencyKind::Normal);
        for import in imports.filter(|import| rooms.contains(import.name.as_str())) {
            let wanted = allowed[package.name.as_str()].contains(&import.name.as_str());
            assert!(wanted, "{} imports {}, which the picture does not show", package.name, import.name);
        }
    }
}

#[test]
fn nothing_that_waits_or_writes_is_below_the_core() {
    let metadata = MetadataCommand::new().exec().expect("cargo describes this workspace");
    let resolve = metadata.resolve.as_ref().expect("cargo resolves dependencies");
    let package = |id: &PackageId| -> &Package {
        metadata.packages.iter().find(|package| package.id == *id).expect("every id is described")
    };
    let core = metadata.workspace_packages().into_iter().find(|package| package.name == "sched").expect("sched");
    let mut below = BTreeSet::new();
    let mut next = vec![core.id.clone()];
    while let Some(id) = next.pop() {
        let node = resolve.nodes.iter().find(|node| node.id == id).expect("every id is resolved");
        let normal =
            node.deps.iter().filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal));
        for dep in normal {
            if below.insert(package(&dep.pkg).name.to_string()) {
                next.push(dep.pkg.clone());
            }
        }
    }
    assert!(below.contains("roaring"), "the walk sees the core's own imports: {below:?}");
    for banned in BANNED_BELOW_SCHED {
        assert!(!below.contains(*banned), "{banned} is below sched");
    }
}
