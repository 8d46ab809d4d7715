//! Item 8: the lab's pictures, from the submit of the map to the last upload, on the store that covey brings along.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::report::{Report, Row, Unit};
use crate::sample::Samples;
use crate::scope::Scope;

/// The original lab's pictures, where they are beside this folder.
const LAB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/lab-images");

pub(crate) fn measure(scope: &Scope, report: &mut Report) -> Result<()> {
    let lab = Path::new(LAB).is_dir();
    let mut whole = Samples::default();
    for _ in 0..scope.rounds {
        let mut demo = Command::new(&scope.covey);
        demo.arg("demo").args(if lab { &["--images", LAB][..] } else { &[] });
        let output = demo.output().context("cannot start covey demo")?;
        ensure!(output.status.success(), "covey demo: {}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8_lossy(&output.stdout);
        whole.add(seconds(&said).with_context(|| format!("covey demo has not said how long it took: {said}"))?);
    }
    let pictures = if lab { "the lab's pictures" } else { "made pictures" };
    let what = format!("`covey demo` of {pictures}, submit to last upload");
    report.add(Row::new("8", what, Unit::S, whole).at_most(0.5));
    Ok(())
}

/// What stands before the unit in `49/49 converted in 0.428 s (...)`.
fn seconds(said: &str) -> Option<f64> {
    said.rsplit_once(" converted in ")?.1.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_says_how_long_it_took() {
        let said = "all 49 114.5\n49/49 converted in 0.428 s (114.5 pictures/s) to file:///x\n";
        assert_eq!(seconds(said), Some(0.428));
        assert_eq!(seconds("nothing"), None);
    }
}
