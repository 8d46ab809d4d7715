//! Maps over blobs: every output once, and a broken picture fails alone.

use std::fs;

use crate::rig::{Rig, wait_for};

/// Puts the pictures that `covey demo` makes into a folder, by the example that makes them.
fn pictures(rig: &Rig, count: usize) {
    let input = rig.work().join("input");
    fs::create_dir(&input).expect("a folder");
    for i in 0..count {
        let picture = ops::made::picture(i);
        fs::write(input.join(picture.name), picture.bytes).expect("written");
    }
}

#[test]
fn one_broken_picture_fails_alone_and_is_named() {
    let rig = Rig::start(3);
    pictures(&rig, 6);
    let whole = ops::made::picture(0).bytes;
    fs::write(rig.work().join("input/half.jpg"), &whole[..whole.len() / 2]).expect("written");
    let waited = rig.try_run("sbatch", &["--wait", "--map-from=input/", "--map-to=output/", "--map-op=grayscale"]);
    assert_eq!(waited.status.code(), Some(1), "{waited:?}");
    let states = rig.states("1");
    assert_eq!(states.iter().filter(|state| *state == "COMPLETED").count(), 6, "{states:?}");
    assert_eq!(states.iter().filter(|state| *state == "FAILED").count(), 1, "{states:?}");
    let outputs = fs::read_dir(rig.work().join("output")).expect("outputs").flatten();
    let mut names: Vec<String> = outputs.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let mut expected: Vec<String> = (0..6).map(|i| ops::made::picture(i).name).collect();
    expected.sort();
    assert_eq!(names, expected, "whole outputs under the inputs' names, and nothing else");
    for name in names {
        let bytes = fs::read(rig.work().join("output").join(&name)).expect("an output");
        assert!(ops::inspect(&bytes).expect("it decodes").gray, "{name} is gray");
    }
    let log = fs::read_to_string(rig.dir().join("log/controller.log")).expect("the log");
    assert!(log.contains("half.jpg"), "the failure names its blob");
}

#[test]
fn any_command_can_be_mapped_and_its_outputs_renamed() {
    let rig = Rig::start(2);
    let input = rig.work().join("in put");
    fs::create_dir(&input).expect("a folder");
    for name in ["a.txt", "b c.txt", "d$(x);.txt"] {
        fs::write(input.join(name), name).expect("written");
    }
    let template = "{stem}.{job}{ext}";
    rig.run(
        "map",
        &["--from", "in put/*.txt", "--to", "out", "--name", template, "--wait", "--", "cp", "{in}", "{out}"],
    );
    for stem in ["a", "b c", "d$(x);"] {
        assert_eq!(rig.read(&format!("out/{stem}.1.txt")), format!("{stem}.txt"));
    }
    let left = |node: &str| fs::read_dir(rig.dir().join("nodes").join(node).join("work")).map_or(0, Iterator::count);
    wait_for("the work folders are gone", || left("linux0") + left("linux1") == 0);
}

#[test]
fn a_script_is_mapped_by_its_covey_lines() {
    let rig = Rig::start(1);
    fs::create_dir(rig.work().join("in")).expect("a folder");
    fs::write(rig.work().join("in/x"), "colour").expect("written");
    let script = "#!/bin/sh\n#COVEY --map-from=in --map-to=out\ntr a-z A-Z < \"$COVEY_IN\" > \"$COVEY_OUT\"\n";
    fs::write(rig.work().join("map.sh"), script).expect("written");
    rig.run("sbatch", &["--wait", "map.sh"]);
    assert_eq!(rig.read("out/x"), "COLOUR");
}
