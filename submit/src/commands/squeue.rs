//! `squeue`: lists jobs and steps as a table that a format string describes, or as JSON and YAML.
//!
//! Options are in `squeue/options`, the columns in `squeue/columns` and `squeue/steps`, the order of rows in
//! `squeue/order`. `scontrol show job` prints everything about a job instead. Start at [`run`].

mod columns;
mod fields;
mod lines;
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
use proto::v1::{JobColumns, JobRow, ListJobsRequest, ListNodesRequest, NodeRow};

use crate::call::{CallError, Channel, block_on, client, connect};
use crate::failure::{Failure, Outcome, ended, print};
use crate::getopt;
use crate::json;
use crate::show::date_line;
use columns::rows_of;
use lines::Lines;
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
            match &asked.table {
                Table::Jobs { format, keys, .. } => {
                    let mut lines = Lines::new(&asked, format, keys);
                    let take = |head: &Head, page| Ok(lines.add(head, page).map_err(tonic::Status::from)?);
                    let head = read(&channel, &asked.request, take).await.map_err(refused)?;
                    check(&asked, &head)?;
                    let mut heading = heading(&asked, &head, !options.noheader);
                    heading.extend((!options.noheader).then(|| format.header()));
                    lines.write(&heading, &mut std::io::stdout().lock())?;
                }
                Table::Steps { .. } | Table::Data(_) => {
                    let listing = fetch(&channel, &asked.request).await.map_err(refused)?;
                    check(&asked, &listing.head)?;
                    print_listing(&asked, listing, !options.noheader, args)?;
                }
            }
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

/// Whether what was listed is what was asked for.
fn check(asked: &Asked, head: &Head) -> Outcome<()> {
    if head.is_unknown() && !asked.request.steps {
        return Err(Failure::call("squeue", REFUSED, &unknown_id()));
    }
    json::check_cluster("squeue", &asked.clusters, &head.cluster)
}

/// What stands above the header of a table.
fn heading(asked: &Asked, head: &Head, header: bool) -> Vec<String> {
    let mut heading = Vec::new();
    if asked.dated {
        heading.push(date_line(head.now_ms));
    }
    if header && !asked.clusters.is_empty() {
        heading.push(format!("CLUSTER: {}", head.cluster));
    }
    heading
}

fn print_listing(asked: &Asked, listing: Listing, header: bool, args: &[OsString]) -> Outcome<()> {
    let shown = Rc::new(asked.shown(&listing.head));
    let mut heading = heading(asked, &listing.head, header);
    let mut rows = listing.rows;
    rows.retain(|row| asked.keeps(row));
    match &asked.table {
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
        Table::Jobs { .. } => unreachable!("its lines are made while it is read"),
    }
}

/// What the controller lists.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// In the order of their numbers.
    pub(crate) rows: Vec<JobRow>,
    /// What holds for all of them.
    pub(crate) head: Head,
}

/// What a listing says beside its rows.
#[derive(Debug, Default)]
pub(crate) struct Head {
    /// The controller's time.
    pub(crate) now_ms: i64,
    /// Its cluster's name.
    pub(crate) cluster: String,
    ids: usize,
    unknown: usize,
}

impl Head {
    /// Whether it was about a single job that there is not. Slurm makes that an error; of several, some may be gone.
    fn is_unknown(&self) -> bool {
        self.ids == 1 && self.unknown > 0
    }
}

/// The rows of a page; in columns where the request has named fields, unless the controller is one that knows none.
struct Page {
    rows: Vec<JobRow>,
    columns: Option<JobColumns>,
}

/// All rows, and the controller's time. A single id that no job has is an error, as in Slurm.
pub(crate) async fn load(channel: &Channel, request: &ListJobsRequest) -> Result<(Vec<JobRow>, i64), CallError> {
    let listing = fetch(channel, request).await?;
    if listing.head.is_unknown() { Err(unknown_id()) } else { Ok((listing.rows, listing.head.now_ms)) }
}

fn unknown_id() -> CallError {
    CallError::Refused(tonic::Status::not_found("Invalid job id specified"))
}

/// All rows, however many ids name nothing. The request names no fields.
pub(crate) async fn fetch(channel: &Channel, request: &ListJobsRequest) -> Result<Listing, CallError> {
    let mut rows = Vec::new();
    let take = |_: &Head, page: Page| {
        rows.extend(page.rows);
        Ok(())
    };
    let head = read(channel, request, take).await?;
    Ok(Listing { rows, head })
}

/// Reads a listing page by page, each with what is known by then of all of it: that is everything with the first one.
async fn read(
    channel: &Channel,
    request: &ListJobsRequest,
    mut take: impl FnMut(&Head, Page) -> Result<(), CallError>,
) -> Result<Head, CallError> {
    let mut pages = client(channel).list_jobs(request.clone()).await?.into_inner();
    let mut head = Head { ids: request.ids.len(), ..Head::default() };
    while let Some(page) = pages.message().await? {
        head.now_ms = head.now_ms.max(page.now_ms);
        head.unknown += page.unknown.len();
        if !page.cluster.is_empty() {
            head.cluster = page.cluster;
        }
        take(&head, Page { rows: page.rows, columns: page.columns })?;
    }
    Ok(head)
}

fn write_lines(heading: Vec<String>, lines: impl Iterator<Item = String>) -> Outcome<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in heading.into_iter().chain(lines) {
        writeln!(out, "{line}")?;
    }
    Ok(out.flush()?)
}
