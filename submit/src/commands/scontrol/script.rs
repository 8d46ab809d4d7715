//! `write batch_script`: the script of a job, as it was submitted.

use std::io::Write;
use std::process::ExitCode;

use proto::v1::GetScriptRequest;

use super::keyword;
use crate::call::{CallError, block_on, client, connect};
use crate::failure::{Failure, Outcome, print};

/// Writes what the words name.
pub(super) fn write(words: &[&str], timeout: Option<u32>) -> Outcome<ExitCode> {
    let Some((what, rest)) = words.split_first() else {
        return Err(Failure::new("too few arguments for keyword:write"));
    };
    match (keyword(what, &["batch_script", "config"]), rest) {
        (Some("batch_script"), [id]) => block_on(batch_script(id, None, timeout)),
        (Some("batch_script"), [id, file]) => block_on(batch_script(id, Some(file), timeout)),
        (Some("batch_script"), []) => Err(Failure::new("too few arguments for keyword:write")),
        (Some("batch_script"), _) => Err(Failure::new("too many arguments for keyword:write")),
        (Some(_), _) => Err(Failure::new("scontrol: error: write config is not built in Covey; nothing was written")
            .hint(Some("scontrol show config prints the settings, which stand in covey.toml"))),
        (None, _) => Err(Failure::new(format_args!("invalid write argument:{what}"))),
    }
}

async fn batch_script(id: &str, file: Option<&str>, timeout: Option<u32>) -> Outcome<ExitCode> {
    let asked = async {
        let channel = connect(timeout).await?;
        Ok(client(&channel).get_script(GetScriptRequest { id: id.to_owned(), map: false }).await?.into_inner())
    };
    let reply = asked.await.map_err(|error: CallError| match error.code() {
        Some(tonic::Code::InvalidArgument) => Failure::new("job script retrieval failed: Invalid job id specified"),
        _ => Failure::call("scontrol", "job script retrieval failed: ", &error),
    })?;
    if file == Some("-") {
        std::io::stdout().lock().write_all(&reply.script)?;
        return Ok(ExitCode::SUCCESS);
    }
    let file = file.map_or_else(|| format!("slurm-{}.sh", reply.job_id), str::to_owned);
    std::fs::write(&file, &reply.script)
        .map_err(|error| Failure::new(format_args!("failed to open file `{file}`: {error}")))?;
    print(format_args!("batch script for job {} written to {file}\n", reply.job_id))
}
