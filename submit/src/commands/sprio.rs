//! `sprio`: what the priorities of waiting jobs are made of. Only factors with a weight have a column.
//!
//! Of Slurm's factors Covey has age, job size and partition; the others are 0. Start at [`list`].

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, FromArgMatches};
use proto::v1::{ListPrioritiesRequest, PriorityRow, PriorityWeights};

use crate::call::{CallError, block_on, client, connect};
use crate::failure::{Failure, Outcome, ended, print};
use crate::getopt;
use crate::show::items;
use crate::table::{Column, Columns, Cut, Format, Value};
use crate::users::user_name;

/// `--long`.
const LONG: &str = "%.15i %9r %.8u %.10Y %.10S %.10A %.10B %.10F %.10J %.10P %.10Q %.11N %.20T";
/// `--long --norm`.
const LONG_NORMALIZED: &str = "%.15i %9r %.8u %10y %10a %10b %10f %10j %10p %10q %20t";
const EXAMPLES: &str = "\
Examples:
  sprio                    every waiting job
  sprio -w                 the weights alone
  sprio -n -j 12,13        factors from 0 to 1 of two jobs
  sprio -S -Y              the first in the queue first";

#[derive(Args, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own on the command line")]
struct Options {
    /// Only these jobs
    #[arg(short, long, value_name = "IDS", num_args = 0..=1, default_missing_value = "", alias = "job")]
    jobs: Option<String>,
    /// Only jobs of these users
    #[arg(short, long, value_name = "USERS", alias = "users")]
    user: Option<String>,
    /// Only jobs of these partitions
    #[arg(short, long, value_name = "LIST", alias = "partitions")]
    partition: Option<String>,
    /// The factors, from 0 to 1, instead of what they add
    #[arg(short, long)]
    norm: bool,
    /// All columns, and users
    #[arg(short, long)]
    long: bool,
    /// The weights instead of jobs
    #[arg(short, long)]
    weights: bool,
    /// Columns, as in '%.15i %r %Y' (SPRIO_FORMAT)
    #[arg(short = 'o', long, value_name = "FORMAT")]
    format: Option<String>,
    /// Order of the rows: letters of columns, each perhaps with a - [default: i]
    #[arg(short = 'S', long, value_name = "KEYS")]
    sort: Option<String>,
    /// No line above the rows
    #[arg(short = 'h', long)]
    noheader: bool,
    /// Accepted: nothing more is told
    #[arg(short, long, hide = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Accepted: there is one cluster
    #[arg(short = 'M', long, value_name = "NAME", hide = true, alias = "cluster")]
    clusters: Option<String>,
    /// Accepted: there is one cluster
    #[arg(long, hide = true)]
    federation: bool,
    /// Accepted: there is one cluster
    #[arg(long, hide = true)]
    local: bool,
    /// Accepted: there is one cluster
    #[arg(long, hide = true)]
    sibling: bool,
    /// Seconds to look for the controller (a Covey option)
    #[arg(long, value_name = "SECONDS")]
    connect_timeout: Option<u32>,
}

/// A job, or the weights themselves.
#[derive(Clone, Debug)]
struct Shown {
    job: Option<PriorityRow>,
    weights: PriorityWeights,
}

/// One of Slurm's factors: its share of a job, and its weight.
type Part = fn(&PriorityRow) -> f64;
type Weight = fn(&PriorityWeights) -> u32;

const AGE: (Part, Weight) = (|row| row.age, |weights| weights.age);
const SIZE: (Part, Weight) = (|row| row.job_size, |weights| weights.job_size);
const PARTITION: (Part, Weight) = (|row| row.partition_factor, |weights| weights.partition);

fn normal(it: &Shown, (part, weight): (Part, Weight)) -> String {
    it.job.as_ref().map_or_else(|| weight(&it.weights).to_string(), |row| format!("{:.7}", part(row)))
}

fn weighted(it: &Shown, (part, weight): (Part, Weight)) -> String {
    let weight = weight(&it.weights);
    let added = |row: &PriorityRow| format!("{:.0}", (f64::from(weight) * part(row)).round());
    it.job.as_ref().map_or_else(|| weight.to_string(), added)
}

/// Of what Covey has no factor for: nothing is added, and the weight is 0.
fn zero(_: &Shown) -> String {
    "0".into()
}

fn zero_normal(it: &Shown) -> String {
    if it.job.is_some() { "0.0000000".into() } else { "0".into() }
}

fn of_job(it: &Shown, value: impl Fn(&PriorityRow) -> String) -> String {
    it.job.as_ref().map(value).unwrap_or_default()
}

const fn column(letter: char, header: &'static str, value: fn(&Shown) -> String) -> Column<Shown> {
    Column { letter, names: &[], header, cut: Cut::OnlyLeft, value: Value::Made(value) }
}

/// Every letter that `-o` takes.
const COLUMNS: Columns<Shown> = &[&[
    column('a', "AGE", |it| normal(it, AGE)),
    column('A', "AGE", |it| weighted(it, AGE)),
    column('b', "ASSOC", zero_normal),
    column('B', "ASSOC", zero),
    column('c', "CLUSTER", |_| String::new()),
    column('f', "FAIRSHARE", zero_normal),
    column('F', "FAIRSHARE", zero),
    column('i', "JOBID", |it| it.job.as_ref().map_or_else(|| "Weights".into(), |row| row.id.to_string())),
    column('j', "JOBSIZE", |it| normal(it, SIZE)),
    column('J', "JOBSIZE", |it| weighted(it, SIZE)),
    column('N', "NICE", |it| of_job(it, |row| row.nice.to_string())),
    column('p', "PARTITION", |it| normal(it, PARTITION)),
    column('P', "PARTITION", |it| weighted(it, PARTITION)),
    column('q', "QOS", zero_normal),
    column('Q', "QOS", zero),
    Column { cut: Cut::Always, ..column('r', "PARTITION", |it| of_job(it, |row| row.partition.clone())) },
    column('S', "SITE", |it| if it.job.is_some() { "0".into() } else { "1".into() }),
    column('t', "TRES", |_| String::new()),
    column('T', "TRES", |_| String::new()),
    Column { cut: Cut::Always, ..column('u', "USER", |it| of_job(it, |row| row.user.clone())) },
    column('y', "PRIORITY", |it| of_job(it, |row| format!("{:.8}", f64::from(row.priority) / f64::from(u32::MAX)))),
    column('Y', "PRIORITY", |it| of_job(it, |row| row.priority.to_string())),
]];

/// Runs the command.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(list(args))
}

/// Its options.
pub(crate) fn command() -> clap::Command {
    let command = Options::augment_args(clap::Command::new("sprio").about("What the priorities of jobs are made of"));
    getopt::conventions(command.after_help(EXAMPLES), None)
}

fn list(args: &[OsString]) -> Outcome<ExitCode> {
    let options =
        Options::from_arg_matches(&getopt::read(&mut command(), args)?).expect("the matches are of these options");
    let keys = keys(options.sort.as_deref().unwrap_or("i"))?;
    let wanted = Wanted::of(&options)?;
    let (weights, mut rows) = block_on(load(options.connect_timeout))
        .map_err(|error| Failure::call("sprio", "slurm_load_priority_factors error: ", &error))?;
    rows.retain(|row| wanted.takes(row));
    rows.sort_by(|a, b| compared(&keys, a, b));
    print(text(&options, weights, rows)?)
}

async fn load(timeout: Option<u32>) -> Result<(PriorityWeights, Vec<PriorityRow>), CallError> {
    let channel = connect(timeout).await?;
    let mut pages = client(&channel).list_priorities(ListPrioritiesRequest {}).await?.into_inner();
    let (mut weights, mut rows) = (PriorityWeights::default(), Vec::new());
    while let Some(page) = pages.message().await? {
        weights = page.weights.unwrap_or(weights);
        rows.extend(page.rows);
    }
    Ok((weights, rows))
}

fn text(options: &Options, weights: PriorityWeights, rows: Vec<PriorityRow>) -> Outcome<String> {
    let asked = options.format.clone().or_else(|| std::env::var("SPRIO_FORMAT").ok().filter(|it| !it.is_empty()));
    let format = asked.unwrap_or_else(|| usual(options, &weights));
    let (format, unknown) = Format::letters(&format, COLUMNS);
    if let Some(letter) = unknown.first() {
        return Err(Failure::new(format_args!("sprio: error: Invalid job format specification: {letter}")));
    }
    let mut shown: Vec<Shown> = rows.into_iter().map(|row| Shown { job: Some(row), weights }).collect();
    if options.weights {
        shown = vec![Shown { job: None, weights }];
    }
    let mut lines: Vec<String> = if options.noheader { Vec::new() } else { vec![format.header()] };
    lines.extend(shown.iter().map(|shown| format.row(shown)));
    Ok(lines.into_iter().map(|line| line + "\n").collect())
}

/// The table that nobody asked to be different.
fn usual(options: &Options, weights: &PriorityWeights) -> String {
    match (options.long, options.norm) {
        (true, false) => return LONG.into(),
        (true, true) => return LONG_NORMALIZED.into(),
        (false, _) => {}
    }
    let (mut format, columns) = if options.norm {
        ("%.15i %9r %10y %10S".to_owned(), [" %10a", " %10j", " %10p"])
    } else {
        ("%.15i %9r %.10Y %.10S".to_owned(), [" %.10A", " %.10J", " %.10P"])
    };
    for (column, weight) in columns.iter().zip([weights.age, weights.job_size, weights.partition]) {
        if weight > 0 {
            format += column;
        }
    }
    format
}

/// Which jobs; empty lists let all pass.
struct Wanted {
    jobs: Vec<u32>,
    users: Vec<String>,
    partitions: Vec<String>,
}

impl Wanted {
    fn of(options: &Options) -> Outcome<Wanted> {
        let list = |list: &Option<String>| items(list.as_deref().unwrap_or_default());
        let job =
            |id: &String| id.parse().map_err(|_| Failure::new(format_args!("sprio: error: Invalid job id: {id}")));
        let user = |name: &String| {
            user_name(name).ok_or_else(|| Failure::new(format_args!("sprio: error: Invalid user: {name}")))
        };
        Ok(Wanted {
            jobs: list(&options.jobs).iter().map(job).collect::<Outcome<_>>()?,
            users: list(&options.user).iter().map(user).collect::<Outcome<_>>()?,
            partitions: list(&options.partition),
        })
    }

    fn takes(&self, row: &PriorityRow) -> bool {
        (self.jobs.is_empty() || self.jobs.contains(&row.id))
            && (self.users.is_empty() || self.users.contains(&row.user))
            && (self.partitions.is_empty() || self.partitions.contains(&row.partition))
    }
}

/// A letter to sort by, and whether downwards.
type Key = (char, bool);

fn keys(list: &str) -> Outcome<Vec<Key>> {
    let read = |key: &String| {
        let letter = key.trim_start_matches(['+', '-', '%']);
        let known = |letter: &char| COLUMNS.iter().copied().flatten().any(|column| column.letter == *letter);
        let letter = letter.chars().next().filter(|first| letter.chars().count() == 1 && known(first));
        let bad = || Failure::new(format_args!("sprio: error: Invalid sort specification: {key}"));
        Ok((letter.ok_or_else(bad)?, key.starts_with('-')))
    };
    items(list).iter().map(read).collect()
}

fn compared(keys: &[Key], a: &PriorityRow, b: &PriorityRow) -> Ordering {
    let by = |letter| match letter {
        'i' => a.id.cmp(&b.id),
        'u' => a.user.cmp(&b.user),
        'r' => a.partition.cmp(&b.partition),
        'N' => a.nice.cmp(&b.nice),
        'Y' | 'y' => a.priority.cmp(&b.priority),
        'A' | 'a' => a.age.total_cmp(&b.age),
        'J' | 'j' => a.job_size.total_cmp(&b.job_size),
        'P' | 'p' => a.partition_factor.total_cmp(&b.partition_factor),
        // All others are alike.
        _ => Ordering::Equal,
    };
    let one = |(letter, down): &Key| if *down { by(*letter).reverse() } else { by(*letter) };
    keys.iter().map(one).find(|order| order.is_ne()).unwrap_or_else(|| a.id.cmp(&b.id))
}
