//! Scripts: each `scripts/NAME.txt` must give `scripts/NAME.out`, to the letter.
//!
//! `COVEY_SIM_ACCEPT=1` writes the outputs anew, for a person to read in the diff.

use std::fs;
use std::path::{Path, PathBuf};

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let entries = fs::read_dir(folder).expect("the folder of scripts").map(|entry| entry.expect("readable").path());
    let mut scripts: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "txt")).collect();
    scripts.sort();
    scripts
}

#[test]
fn every_script_tells_its_story() {
    let accept = std::env::var_os("COVEY_SIM_ACCEPT").is_some();
    let scripts = scripts();
    assert!(!scripts.is_empty(), "there are scripts");
    for path in scripts {
        let script = fs::read_to_string(&path).expect("a script is text");
        let output = sim::script::play(&script).unwrap_or_else(|error| panic!("{}: {error:?}", path.display()));
        let kept = path.with_extension("out");
        if accept {
            fs::write(&kept, output).expect("the folder takes the output");
            continue;
        }
        let wanted = fs::read_to_string(&kept).expect("each script has its output; COVEY_SIM_ACCEPT=1 writes it");
        assert!(output == wanted, "{} tells another story; COVEY_SIM_ACCEPT=1 accepts it:\n{output}", path.display());
    }
}

#[test]
fn a_line_that_says_nothing_is_refused_with_its_number() {
    for (script, line) in [("nodes 1 cpus 1\nrun fast", 2), ("run 1s", 1), ("nodes 1 cpus 1\n\nsubmit blue", 3)] {
        let refused = sim::script::play(script).expect_err("it is no script");
        assert!(refused.to_string().contains(&format!("line {line}")), "{refused}");
    }
}
