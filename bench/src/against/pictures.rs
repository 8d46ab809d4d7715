//! Pictures by other programs: `bench/pictures`, which lets them take turns with the built-in operations, on one core.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::report::{Report, Row, Unit};
use crate::sample::Samples;
use crate::scope::Scope;

/// Measures against `rival`, a word of `bench/pictures`; of contenders with a target it says what has to be reached.
pub(super) fn measure(scope: &Scope, report: &mut Report, rival: &str, targets: &[(&str, f64)]) -> Result<()> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/pictures");
    let mut command = Command::new("python3");
    command.args([script, "--seconds", "--against", rival, "--rounds", &scope.rounds.to_string()]);
    let output = command.output().context("cannot start python3")?;
    ensure!(output.status.success(), "bench/pictures: {}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout);
    let mut seconds: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for line in said.lines() {
        let (name, spent) = line.split_once('\t').with_context(|| format!("bench/pictures said {line:?}"))?;
        seconds.entry(name).or_default().push(spent.parse().with_context(|| format!("bench/pictures said {line:?}"))?);
    }
    let (theirs, ours): (Vec<_>, Vec<_>) = seconds.iter().partition(|(name, _)| !name.starts_with("covey "));
    let [(their_name, theirs)] = theirs[..] else { anyhow::bail!("bench/pictures has not measured {rival} alone") };
    for (name, spent) in ours {
        let times: Samples = theirs.iter().zip(spent).map(|(theirs, ours)| theirs / ours).collect();
        let row = Row::new("8", format!("{name}, as a multiple of {their_name}"), Unit::Ratio, times);
        let target = targets.iter().find(|(wanted, _)| wanted == name);
        report.add(if let Some((_, least)) = target { row.at_least(*least) } else { row });
    }
    Ok(())
}
