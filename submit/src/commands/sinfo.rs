//! `sinfo`: lists partitions and their nodes, those that would look the same on one line, or all of it as JSON and YAML.
//!
//! Options are in `sinfo/options`, the columns in `sinfo/columns`; what shares a line is decided in `sinfo/group`. Start at
//! [`run`].

mod columns;
mod data;
mod group;
mod options;
mod order;
pub(crate) mod state;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::FromArgMatches;
use proto::v1::{ListNodesReply, ListNodesRequest};

use crate::call::{CallError, block_on, client, connect};
use crate::failure::{Failure, Outcome, ended, print};
use crate::getopt;
use crate::json;
use crate::show::date_line;
use group::lines;
pub(crate) use options::command;
use options::{Asked, Options};

/// What a refused listing starts with; Slurm prints it without the command's name.
const REFUSED: &str = "slurm_load_partitions: ";

/// Runs the command.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(list(args))
}

fn list(args: &[OsString]) -> Outcome<ExitCode> {
    let options =
        Options::from_arg_matches(&getopt::read(&mut command(), args)?).expect("the matches are of these options");
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut asked = Asked::of(&options, &variable)?;
    if options.reservation {
        return print("No reservations in the system\n");
    }
    block_on(async {
        let refused = |error| Failure::call("sinfo", REFUSED, &error);
        let channel = connect(options.connect_timeout).await.map_err(refused)?;
        loop {
            let reply = client(&channel).list_nodes(ListNodesRequest {}).await;
            let reply = reply.map_err(|error| refused(CallError::from(error)))?.into_inner();
            json::check_cluster("sinfo", &asked.clusters, &reply.cluster)?;
            match asked.form {
                Some(form) => {
                    let meta = json::Meta::here("sinfo", args, &reply.cluster);
                    let listing = asked.applied(reply.clone());
                    form.print(&data::document(&listing, &reply, &meta))?;
                }
                None => write_lines(table(&mut asked, reply, !options.noheader))?,
            }
            let Some(seconds) = asked.every_s else { return Ok(ExitCode::SUCCESS) };
            print("\n")?;
            tokio::time::sleep(Duration::from_secs(seconds.into())).await;
        }
    })
}

/// The lines of a table, and those above it.
fn table(asked: &mut Asked, reply: ListNodesReply, header: bool) -> Vec<String> {
    let mut shown = Vec::new();
    if asked.dated {
        shown.push(date_line(reply.now_ms));
    }
    if header && !asked.clusters.is_empty() {
        shown.push(format!("CLUSTER: {}", reply.cluster));
    }
    let listing = asked.applied(reply);
    let mut lines = lines(&listing, &asked.format, asked.grouping);
    if let Some(keys) = &asked.keys {
        order::sort(&mut lines, keys);
    }
    asked.format.fit(&lines);
    shown.extend(header.then(|| asked.format.header()));
    shown.extend(lines.iter().map(|line| asked.format.row(line)));
    shown
}

fn write_lines(lines: Vec<String>) -> Outcome<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in lines {
        writeln!(out, "{line}")?;
    }
    Ok(out.flush()?)
}
