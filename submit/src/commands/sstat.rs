//! `sstat`: the steps of jobs that run now.
//!
//! Nodes tell what a process used when it has ended, and not before: so a running step has its name, nodes and tasks here, and no
//! figures of use. What ended has them in `sacct`.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::{Args, FromArgMatches};
use proto::v1::{JobRow, ListJobsRequest};
use sched::spec::array::JobRef;

use super::sacct::entry::{Entry, Shown};
use super::sacct::units::Unit;
use crate::call::{block_on, client, connect};
use crate::failure::{Failure, Outcome, ended, print};
use crate::fields::{Field, StyleOptions, Table, overview};
use crate::getopt;
use crate::show::items;

const EXAMPLES: &str = "\
Examples:
  sstat -a -j 12 -o jobid,nodelist,ntasks      all steps of a job
  sstat -j 12.batch -o maxrss,avecpu           its script";

#[derive(Args, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own on the command line")]
struct Options {
    /// Jobs, tasks and steps, as in 12,13_4.0,14.batch; of a job alone its first step that runs
    #[arg(short, long, value_name = "IDS", action = clap::ArgAction::Append)]
    jobs: Vec<String>,
    /// All steps that run of jobs named without a step
    #[arg(short, long)]
    allsteps: bool,
    /// Fields, as in jobid,ntasks,nodelist%30; -e lists them
    #[arg(short = 'o', long, value_name = "FIELDS", action = clap::ArgAction::Append, alias = "fields")]
    format: Vec<String>,
    /// List the fields
    #[arg(short = 'e', long)]
    helpformat: bool,
    /// Only JobID, Nodelist and Pids; the pids are known to the nodes alone
    #[arg(short = 'i', long)]
    pidformat: bool,
    #[command(flatten)]
    style: StyleOptions,
    /// Sizes as they were counted
    #[arg(long)]
    noconvert: bool,
    /// No effect
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Seconds to look for the controller (a Covey option)
    #[arg(long, value_name = "SECONDS")]
    connect_timeout: Option<u32>,
}

/// Its options.
pub(crate) fn command() -> clap::Command {
    let command = Options::augment_args(clap::Command::new("sstat")).about("Show the steps of jobs that run");
    getopt::conventions(command.after_help(EXAMPLES), Some('h'))
}

/// What is shown without `-o`, and the name under which `sacct` has each field.
const DEFAULT: &str = "jobid,maxvmsize,maxvmsizenode,maxvmsizetask,avevmsize,maxrss,maxrssnode,maxrsstask,averss,maxpages,\
    maxpagesnode,maxpagestask,avepages,mincpu,mincpunode,mincputask,avecpu,ntasks,avecpufreq,reqcpufreqmin,reqcpufreqmax,\
    reqcpufreqgov,consumedenergy,maxdiskread,maxdiskreadnode,maxdiskreadtask,avediskread,maxdiskwrite,maxdiskwritenode,\
    maxdiskwritetask,avediskwrite,tresusageinave,tresusageinmax,tresusageinmaxnode,tresusageinmaxtask,tresusageinmin,\
    tresusageinminnode,tresusageinmintask,tresusageintot,tresusageoutave,tresusageoutmax,tresusageoutmaxnode,\
    tresusageoutmaxtask,tresusageoutmin,tresusageoutminnode,tresusageoutmintask,tresusageouttot";
/// `--pidformat`.
const PIDS: &str = "jobid,nodelist,pids";

const fn field(name: &'static str, width: i16) -> Field<&'static str> {
    Field::new(name, width, name)
}

/// Every field; what it shows is what `sacct` shows under this name.
const FIELDS: &[Field<&str>] = &[
    field("AveCPU", 10),
    field("AveCPUFreq", 10),
    field("AveDiskRead", 12),
    field("AveDiskWrite", 12),
    field("AvePages", 10),
    field("AveRSS", 10),
    field("AveVMSize", 10),
    field("ConsumedEnergy", 14),
    field("ConsumedEnergyRaw", 17),
    field("JobID", -12),
    field("MaxDiskRead", 12),
    field("MaxDiskReadNode", 15),
    field("MaxDiskReadTask", 15),
    field("MaxDiskWrite", 12),
    field("MaxDiskWriteNode", 16),
    field("MaxDiskWriteTask", 16),
    field("MaxPages", 8),
    field("MaxPagesNode", 12),
    field("MaxPagesTask", 14),
    field("MaxRSS", 10),
    field("MaxRSSNode", 10),
    field("MaxRSSTask", 10),
    field("MaxVMSize", 10),
    field("MaxVMSizeNode", 14),
    field("MaxVMSizeTask", 14),
    field("MinCPU", 10),
    field("MinCPUNode", 10),
    field("MinCPUTask", 10),
    field("Nodelist", 20),
    field("NTasks", 8),
    field("Pids", 20),
    field("ReqCPUFreq", 10),
    field("ReqCPUFreqMin", 13),
    field("ReqCPUFreqMax", 13),
    field("ReqCPUFreqGov", 13),
    field("TRESUsageInAve", 14),
    field("TRESUsageInMax", 14),
    field("TRESUsageInMaxNode", 18),
    field("TRESUsageInMaxTask", 18),
    field("TRESUsageInMin", 14),
    field("TRESUsageInMinNode", 18),
    field("TRESUsageInMinTask", 18),
    field("TRESUsageInTot", 14),
    field("TRESUsageOutAve", 15),
    field("TRESUsageOutMax", 15),
    field("TRESUsageOutMaxNode", 19),
    field("TRESUsageOutMaxTask", 19),
    field("TRESUsageOutMin", 15),
    field("TRESUsageOutMinNode", 19),
    field("TRESUsageOutMinTask", 19),
    field("TRESUsageOutTot", 15),
];

/// Runs the command.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(stat(args))
}

fn stat(args: &[OsString]) -> Outcome<ExitCode> {
    let options =
        Options::from_arg_matches(&getopt::read(&mut command(), args)?).expect("the matches are of these options");
    if options.helpformat {
        return print(overview(FIELDS, 4, 20));
    }
    let table = table(&options)?;
    let asked = named(&options)?;
    block_on(async {
        let refused = |error| Failure::call("sstat", "sstat: error: ", &error);
        let channel = connect(options.connect_timeout).await.map_err(refused)?;
        let ids = asked.iter().map(|(job, _)| job.clone()).collect();
        let request = ListJobsRequest { ids, steps: true, detail: true, ..ListJobsRequest::default() };
        let mut pages =
            client(&channel).list_jobs(request).await.map_err(|status| refused(status.into()))?.into_inner();
        let mut rows: Vec<JobRow> = Vec::new();
        while let Some(page) = pages.message().await.map_err(|status| refused(status.into()))? {
            rows.extend(page.rows);
        }
        let unit = if options.noconvert { Unit::Counted } else { Unit::Exact };
        let shown = Shown { unit, ..Shown::default() };
        let mut out = std::io::stdout().lock();
        for line in table.heading().into_iter().filter(|_| !options.style.noheader) {
            writeln!(out, "{line}")?;
        }
        let mut exit = ExitCode::SUCCESS;
        for (job, step) in &asked {
            let lines = lines(&table, &rows, &shown, (job, step.as_deref()), options.allsteps);
            if lines.is_empty() {
                eprintln!("sstat: error: no steps running for job {job}");
                exit = ExitCode::FAILURE;
            }
            for line in lines {
                writeln!(out, "{line}")?;
            }
        }
        out.flush()?;
        Ok(exit)
    })
}

fn table(options: &Options) -> Outcome<Table<&'static str>> {
    let style = options.style.style(None);
    let fields = match &options.format[..] {
        _ if options.pidformat => PIDS.to_owned(),
        [] => DEFAULT.to_owned(),
        given => given.join(","),
    };
    Table::parse(&fields, FIELDS, style)
        .map_err(|field| Failure::new(format_args!("sstat: error: Invalid field requested: \"{field}\"")))
}

/// The jobs that were named, each with its step where one was.
fn named(options: &Options) -> Outcome<Vec<(String, Option<String>)>> {
    let mut asked = Vec::new();
    for item in options.jobs.iter().flat_map(|list| items(list)) {
        let (job, step) = item.split_once('.').map_or((&item[..], None), |(job, step)| (job, Some(step.to_owned())));
        let read = job.parse::<JobRef>();
        read.map_err(|error| {
            Failure::new(format_args!("sstat: fatal: Bad job/step specified: {item}")).hint(Some(error))
        })?;
        asked.push((job.to_owned(), step));
    }
    if asked.is_empty() {
        return Err(Failure::new("sstat: error: You didn't give me any jobs to stat.").hint(Some("name one with -j")));
    }
    Ok(asked)
}

/// The lines of what runs of a job: one step, all of them, or the first that srun started.
fn lines(
    table: &Table<&'static str>,
    rows: &[JobRow],
    shown: &Shown,
    (job, step): (&str, Option<&str>),
    all: bool,
) -> Vec<String> {
    let mut lines = Vec::new();
    for row in rows {
        let running = Entry::all(row, shown).filter(|entry| entry.is_of(job) && entry.runs());
        let meant = running.filter(|entry| match (entry.step_name().as_deref(), step) {
            (None, _) => false,
            (Some(name), Some(step)) => name == step,
            (Some(name), None) => all || name != "batch",
        });
        let only_one = if all || step.is_some() { usize::MAX } else { 1 };
        lines.extend(meant.take(only_one).map(|entry| table.line(|field| entry.field(field).unwrap_or_default())));
    }
    lines
}

#[cfg(test)]
mod tests {
    use proto::v1::{JobDetail, JobState, StepRow};

    use super::*;

    fn printed(words: &[&str]) -> Outcome<Vec<String>> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let options = Options::from_arg_matches(&getopt::read(&mut command(), &words)?).expect("these options");
        let table = table(&options)?;
        let step = |number, ended_ms| StepRow {
            step: number,
            state: JobState::Running.into(),
            nodes: format!("n{number}"),
            node_count: 1,
            tasks: 3,
            started_ms: 1,
            ended_ms,
            ..StepRow::default()
        };
        let row = JobRow {
            id: 12,
            state: JobState::Running.into(),
            started_ms: 1,
            batch_host: "n0".into(),
            detail: Some(Box::new(JobDetail { batch: true, ..JobDetail::default() })),
            steps: vec![step(0, 2), step(1, 0), step(2, 0)],
            ..JobRow::default()
        };
        let asked = named(&options)?;
        let job = |(job, step): &(String, Option<String>)| {
            lines(&table, std::slice::from_ref(&row), &Shown::default(), (job, step.as_deref()), options.allsteps)
        };
        Ok(asked.iter().flat_map(job).collect())
    }

    #[test]
    fn only_what_runs_is_shown() {
        let told =
            |words: &[&str]| printed(&[&["-Po", "jobid,nodelist,ntasks,maxrss"], words].concat()).expect("sound");
        assert_eq!(told(&["-j12"]), ["12.1|n1|3|"]);
        assert_eq!(told(&["-a", "-j", "12"]), ["12.batch|n0|1|", "12.1|n1|3|", "12.2|n2|3|"]);
        assert_eq!(told(&["-j12.batch,12.2"]), ["12.batch|n0|1|", "12.2|n2|3|"]);
        assert!(told(&["-j12.0"]).is_empty() && told(&["-j13"]).is_empty());
        assert_eq!(printed(&["-pi", "-j12.2"]).expect("sound"), ["12.2|n2||"]);
        let text = |words: &[&str]| printed(words).err().map(|failure| failure.text()).unwrap_or_default();
        assert!(text(&[]).starts_with("sstat: error: You didn't give me any jobs to stat.\n"));
        assert!(text(&["-jx"]).starts_with("sstat: fatal: Bad job/step specified: x\n"));
        assert!(text(&["-j1", "-ox"]).starts_with("sstat: error: Invalid field requested: \"x\"\n"));
    }
}
