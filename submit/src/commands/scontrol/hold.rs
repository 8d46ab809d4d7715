//! `scontrol hold` and `release`: whole jobs, by their ids. Silent where all goes well.

use std::process::ExitCode;

use proto::v1::HoldRequest;

use crate::call::{CallError, client, connect};
use crate::failure::{Failure, Outcome};
use crate::show::items;

/// Holds what waits of jobs, or releases it.
pub(super) async fn hold(words: &[&str], hold: bool, timeout_s: Option<u32>) -> Outcome<ExitCode> {
    let ids = items(&words.join(","));
    if ids.is_empty() {
        let verb = if hold { "hold" } else { "release" };
        return Err(Failure::new(format_args!("too few arguments for keyword:{verb}")));
    }
    let request = HoldRequest { ids: ids.clone(), hold };
    let refusals = async {
        let channel = connect(timeout_s).await?;
        Ok(client(&channel).hold(request).await?.into_inner().refusals)
    };
    let refusals =
        refusals.await.map_err(|error: CallError| Failure::call("scontrol", "slurm_suspend error: ", &error))?;
    answer(&ids, &refusals)
}

/// Says which jobs were refused, as Slurm does.
fn answer(ids: &[String], refusals: &[String]) -> Outcome<ExitCode> {
    let refused = ids.iter().zip(refusals).filter(|(_, refusal)| !refusal.is_empty());
    let lines: Vec<String> =
        refused.map(|(id, refusal)| format!("{refusal} for job {id}\nslurm_suspend error: {refusal}")).collect();
    if lines.is_empty() { Ok(ExitCode::SUCCESS) } else { Err(Failure::new(lines.join("\n"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refused_job_is_named() {
        let ids = ["5", "6"].map(String::from);
        assert!(answer(&ids, &[String::new(), String::new()]).is_ok());
        let failure = answer(&ids, &[String::new(), "Invalid job id specified".into()]).expect_err("one is refused");
        let text = "Invalid job id specified for job 6\nslurm_suspend error: Invalid job id specified\n";
        assert_eq!((failure.text().as_str(), failure.code()), (text, 1));
    }
}
