//! `squeue`: lists jobs and steps as a table that a format string describes, or as JSON and YAML.
//!
//! Options are in `squeue/options`, the columns in `squeue/columns` and `squeue/steps`, the order of rows in
//! `squeue/order`. `scontrol show job` prints everything about a job instead. Start at [`run`].

mod columns;
mod options;
mod order;
mod states;
mod steps;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use clap::FromArgMatches;
use proto::v1::{JobRow, ListJobsRequest, ListNodesRequest, NodeRow};

use crate::call::{CallError, Channel, block_on, client, connect};
use crate::failure::{Failure, Outcome, ended, print};
use crate::getopt;
use crate::json;
use crate::show::date_line;
use columns::{Shown, rows_of};
pub(crate) use options::command;
use options::{Asked, Options, Table};

/// What a refused listing starts with; Slurm prints it without the command's name.
const REFUSED: &str = "slurm_load_jobs error: ";

/// Runs the command.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(list(args))
}

fn list(args: &[OsString]) -> Outcome<ExitCode> {
    let matches = getopt::read(&mut command(), args)?;
    if let Some(word) = matches.get_many::<String>("words").and_then(|mut words| words.next()) {
        return Err(Failure::new(format_args!("squeue: error: Unrecognized option: {word}"))
            .line("Try \"squeue --help\" for more information"));
    }
    let options = Options::from_arg_matches(&matches).expect("the matches are of these options");
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let asked = Asked::of(&options, &variable)?;
    block_on(async {
        let refused = |error| Failure::call("squeue", REFUSED, &error);
        let channel = connect(options.connect_timeout).await.map_err(refused)?;
        if !asked.request.nodes.is_empty() {
            let known = client(&channel).list_nodes(ListNodesRequest {}).await;
            let known = known.map_err(|status| refused(status.into()))?.into_inner();
            check_nodes(&asked.request.nodes, &known.nodes)?;
        }
        loop {
            let listing = fetch(&channel, &asked.request).await.map_err(refused)?;
            if listing.is_unknown() && !asked.request.steps {
                return Err(refused(unknown_id()));
            }
            json::check_cluster("squeue", &asked.clusters, &listing.cluster)?;
            print_listing(&asked, listing, !options.noheader, args)?;
            let Some(seconds) = asked.every_s else { return Ok(ExitCode::SUCCESS) };
            print("\n")?;
            tokio::time::sleep(Duration::from_secs(seconds.into())).await;
        }
    })
}

/// As in Slurm, a node that there is not ends the command, where an unknown partition or name only lists nothing.
fn check_nodes(asked: &[String], known: &[NodeRow]) -> Outcome<()> {
    match asked.iter().find(|name| known.iter().all(|node| node.name != **name)) {
        Some(name) => Err(Failure::new(format_args!("squeue: error: Invalid node name {name}"))),
        None => Ok(()),
    }
}

fn print_listing(asked: &Asked, listing: Listing, header: bool, args: &[OsString]) -> Outcome<()> {
    let shown = Rc::new(Shown {
        now_ms: listing.now_ms,
        cluster: listing.cluster,
        noconvert: asked.noconvert,
        list_bytes_max: asked.list_bytes_max,
    });
    let mut rows = listing.rows;
    rows.retain(|row| asked.keeps(row));
    let mut heading = Vec::new();
    if asked.dated {
        heading.push(date_line(listing.now_ms));
    }
    if header && !asked.clusters.is_empty() {
        heading.push(format!("CLUSTER: {}", shown.cluster));
    }
    match &asked.table {
        Table::Jobs { format, keys } => {
            order::sort(&mut rows, keys);
            heading.extend(header.then(|| format.header()));
            let rows = rows.into_iter().flat_map(|row| rows_of(row, &shown, asked.by_task, asked.by_partition));
            write_lines(heading, rows.map(|row| format.row(&row)))
        }
        Table::Steps { format, keys, named } => {
            let mut lines: Vec<steps::Line> = rows.into_iter().flat_map(|row| steps::lines(row, &shown)).collect();
            lines.retain(|line| named.keeps(line));
            steps::sort(&mut lines, keys);
            heading.extend(header.then(|| format.header()));
            write_lines(heading, lines.iter().map(|line| format.row(line)))
        }
        Table::Data(form) => {
            order::sort(&mut rows, &order::keys("A").expect("jobs are sorted by their numbers"));
            let rows = rows.into_iter().flat_map(|row| rows_of(row, &shown, asked.by_task, asked.by_partition));
            let rows: Vec<JobRow> = rows.map(|listed| listed.row).collect();
            let meta = json::Meta::here("squeue", args, &shown.cluster);
            form.print(&json::jobs::document(&rows, &meta, shown.now_ms)).map(|_| ())
        }
    }
}

/// What the controller lists.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// In the order of their numbers.
    pub(crate) rows: Vec<JobRow>,
    /// The controller's time.
    pub(crate) now_ms: i64,
    /// Its cluster's name.
    pub(crate) cluster: String,
    ids: usize,
    unknown: usize,
}

impl Listing {
    /// Whether it was about a single job that there is not. Slurm makes that an error; of several, some may be gone.
    fn is_unknown(&self) -> bool {
        self.ids == 1 && self.unknown > 0
    }
}

/// All rows, and the controller's time. A single id that no job has is an error, as in Slurm.
pub(crate) async fn load(channel: &Channel, request: &ListJobsRequest) -> Result<(Vec<JobRow>, i64), CallError> {
    let listing = fetch(channel, request).await?;
    if listing.is_unknown() { Err(unknown_id()) } else { Ok((listing.rows, listing.now_ms)) }
}

fn unknown_id() -> CallError {
    CallError::Refused(tonic::Status::not_found("Invalid job id specified"))
}

/// All rows, however many ids name nothing.
pub(crate) async fn fetch(channel: &Channel, request: &ListJobsRequest) -> Result<Listing, CallError> {
    let mut pages = client(channel).list_jobs(request.clone()).await?.into_inner();
    let mut listing = Listing { ids: request.ids.len(), ..Listing::default() };
    while let Some(page) = pages.message().await? {
        listing.now_ms = listing.now_ms.max(page.now_ms);
        listing.unknown += page.unknown.len();
        listing.rows.extend(page.rows);
        if !page.cluster.is_empty() {
            listing.cluster = page.cluster;
        }
    }
    Ok(listing)
}

fn write_lines(heading: Vec<String>, lines: impl Iterator<Item = String>) -> Outcome<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in heading.into_iter().chain(lines) {
        writeln!(out, "{line}")?;
    }
    Ok(out.flush()?)
}
