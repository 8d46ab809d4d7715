//! From srun's options to the step that is asked for, and which of its streams srun itself takes.

use std::ffi::OsString;
use std::path::Path;

use proto::v1;
use sched::spec::duration::TimeLimit;
use sched::spec::programs::Programs;

use super::options::Options;
use crate::ask::OpenMode;
use crate::export;
use crate::failure::{Failure, Outcome};
use crate::submitter::Submitter;

/// What srun does with what tasks write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sink {
    /// Its own output, or its own errors.
    Own,
    /// A file that it opens, of this pattern.
    File(String),
    /// Nothing: the nodes see to it.
    Elsewhere,
}

/// What the tasks read from srun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Own,
    File(String),
    Elsewhere,
}

/// A step, ready to be asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) spec: v1::StepSpec,
    pub(super) stdout: Sink,
    pub(super) stderr: Sink,
    pub(super) stdin: Source,
    /// Of this task alone the output is taken.
    pub(super) only_task: Option<u32>,
}

/// Makes the step that the options ask for. `environment` are srun's own variables.
pub(super) fn plan(
    options: &Options,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    submitter: &Submitter,
) -> Outcome<Plan> {
    let words = options.words.iter().map(|word| word.clone().into_string());
    let words: Vec<String> =
        words.collect::<Result<_, _>>().map_err(|_| Failure::new("srun: error: the command is not valid UTF-8"))?;
    let Some(program) = words.first() else {
        return Err(Failure::new("srun: fatal: No command given to execute."));
    };
    let programs = if options.multi_prog { programs(program, options.shape.ntasks)? } else { String::new() };
    let name = Path::new(program).file_name().map_or_else(|| program.clone(), |name| name.to_string_lossy().into());
    let shape = &options.shape;
    let (stdout, to_out, only_task) = output(options.output.as_deref());
    let (stderr, to_err) = match (&options.error, &options.output) {
        (Some(error), _) => {
            let (stderr, to_err, _) = output(Some(error));
            (stderr, to_err)
        }
        // Both into the same file; a task's number is about its output alone.
        (None, Some(_)) if only_task.is_none() => (stdout.clone(), to_out.clone()),
        (None, _) => (Sink::Own, String::new()),
    };
    let (stdin, from_in, input_task) = input(options.input.as_deref());
    let spec = v1::StepSpec {
        name: shape.job_name.clone().unwrap_or(name),
        words,
        environment: variables(options, environment, submitter),
        work_dir: submitter.absolute(shape.chdir.as_deref().unwrap_or_default()),
        processes: shape.ntasks,
        cpus_per_process: shape.cpus_per_task,
        nodes_min: shape.nodes.map(|(min, _)| min),
        nodes_max: shape.nodes.and_then(|(_, max)| max),
        processes_per_node: shape.wishes.ntasks_per_node,
        nodes: shape.wishes.nodelist.clone().unwrap_or_default(),
        exclude: shape.wishes.exclude.clone().unwrap_or_default(),
        overlap: options.overlap,
        exact: options.exact || shape.wishes.exclusive.is_some() || shape.cpus_per_task.is_some(),
        immediate: options.immediate.is_some(),
        stdin: from_in,
        stdout: to_out,
        stderr: to_err,
        append: options.open_mode == Some(OpenMode::Append),
        umask: submitter.umask,
        kill_on_bad_exit: options.kills_on_bad_exit(),
        input_task,
        time_limit_minutes: match shape.time {
            Some(TimeLimit::Minutes(minutes)) => Some(u64::from(minutes.get())),
            Some(TimeLimit::Unlimited) | None => None,
        },
        limits: submitter.limits(shape.propagate.as_ref()),
        gres: String::new(),
        programs,
    };
    Ok(Plan { spec, stdout, stderr, stdin, only_task })
}

/// The file of `--multi-prog`, in which each of the tasks must have a program.
fn programs(path: &str, tasks: Option<u32>) -> Outcome<String> {
    let wrong = |text: String| Failure::new(format_args!("srun: error: {text}"));
    let text = std::fs::read_to_string(path);
    let unread = |error| wrong(format!("Could not open multi_prog config file {path}")).hint(Some(error));
    let text = text.map_err(unread)?;
    let read = Programs::read(&text);
    let read = read.map_err(|error| wrong(format!("Configuration file {path} invalid")).hint(Some(error)))?;
    match tasks.and_then(|tasks| read.without(tasks)) {
        Some(task) => Err(wrong(format!("Configuration file {path} invalid, no record for task id {task}"))),
        None => Ok(text),
    }
}

/// What passes of srun's own variables, and what it says of itself.
fn variables(
    options: &Options,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    submitter: &Submitter,
) -> Vec<u8> {
    let mut own: Vec<(OsString, OsString)> = environment.into_iter().collect();
    let mut set = |name: &str, value: &str| {
        own.retain(|(known, _)| known != name);
        own.push((name.into(), value.into()));
    };
    // Tasks are numbered node by node.
    set("SLURM_DISTRIBUTION", "block");
    // There is no port of srun's to call: its streams go through the controller.
    set("SLURM_SRUN_COMM_HOST", &submitter.host);
    set("SLURM_SRUN_COMM_PORT", "0");
    set("SLURM_LAUNCH_NODE_IPADDR", "127.0.0.1");
    if let Some(export) = &options.export {
        set("SLURM_EXPORT_ENV", export);
    }
    export::environment(options.export.as_deref(), own)
}

/// Where output goes, by srun and by the nodes, and the task whose output alone is taken.
fn output(given: Option<&str>) -> (Sink, String, Option<u32>) {
    match given {
        None | Some("all") => (Sink::Own, String::new(), None),
        Some("none") => (Sink::Elsewhere, "none".into(), None),
        Some(pattern) => match pattern.parse() {
            Ok(task) => (Sink::Own, String::new(), Some(task)),
            Err(_) if is_of_nodes(pattern) => (Sink::Elsewhere, pattern.into(), None),
            Err(_) => (Sink::File(pattern.into()), String::new(), None),
        },
    }
}

fn input(given: Option<&str>) -> (Source, String, Option<u32>) {
    match given {
        None | Some("all") => (Source::Own, String::new(), None),
        Some("none") => (Source::Elsewhere, "none".into(), None),
        Some(pattern) => match pattern.parse() {
            Ok(task) => (Source::Own, String::new(), Some(task)),
            Err(_) if is_of_nodes(pattern) => (Source::Elsewhere, pattern.into(), None),
            Err(_) => (Source::File(pattern.into()), String::new(), None),
        },
    }
}

/// Whether a pattern names other files for other tasks or nodes: those are opened there, all others by srun.
fn is_of_nodes(pattern: &str) -> bool {
    if pattern.contains('\\') {
        return false;
    }
    let letter = |text: &str| text.trim_start_matches(|c: char| c.is_ascii_digit()).chars().next();
    pattern.replace("%%", "").split('%').skip(1).any(|text| matches!(letter(text), Some('t' | 'n' | 'N')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(change: impl FnOnce(&mut Options)) -> Plan {
        let mut options = Options { words: vec!["/bin/echo".into(), "a".into()], ..Options::default() };
        change(&mut options);
        let variables = [("A", "1"), ("SLURM_JOB_ID", "5")].map(|(name, value)| (name.into(), value.into()));
        plan(&options, variables, &Submitter::ada()).expect("a step")
    }

    #[test]
    fn nothing_said_is_left_to_the_job() {
        let plan = planned(|_| {});
        let spec = plan.spec;
        assert_eq!((spec.name.as_str(), spec.processes, spec.nodes_min), ("echo", None, None));
        assert!(!spec.exact && !spec.overlap && !spec.immediate);
        assert_eq!((plan.stdout, plan.stderr, plan.stdin), (Sink::Own, Sink::Own, Source::Own));
        let environment = String::from_utf8(spec.environment).expect("text");
        assert!(environment.contains("A=1\0") && environment.contains("SLURM_JOB_ID=5\0"), "{environment:?}");
    }

    #[test]
    fn files_are_opened_where_their_names_are_known() {
        let said = |text: &str| Some(text.to_owned());
        let plan = planned(|options| options.output = said("out-%t.log"));
        assert_eq!((plan.spec.stdout.as_str(), plan.spec.stderr.as_str()), ("out-%t.log", "out-%t.log"));
        let plan = planned(|options| options.output = said("out-%j.log"));
        assert_eq!((plan.stdout.clone(), plan.stderr), (Sink::File("out-%j.log".into()), plan.stdout));
        let plan = planned(|options| (options.output, options.error) = (said("0"), said("none")));
        assert_eq!((plan.only_task, plan.stdout, plan.stderr), (Some(0), Sink::Own, Sink::Elsewhere));
        let plan = planned(|options| options.input = said("1"));
        assert_eq!((plan.spec.input_task, plan.stdin), (Some(1), Source::Own));
        for (pattern, of_nodes) in [("%2t", true), ("a%%t", false), ("%j\\%t", false), ("%N.x", true), ("%x%J", false)]
        {
            assert_eq!(is_of_nodes(pattern), of_nodes, "{pattern}");
        }
    }

    #[test]
    fn a_file_of_programs_is_read_and_checked_before_anything_is_asked() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("programs");
        let planned = |text: &str, tasks| {
            std::fs::write(&file, text).expect("written");
            let words = vec![file.clone().into_os_string()];
            let mut options = Options { words, multi_prog: true, ..Options::default() };
            options.shape.ntasks = tasks;
            plan(&options, [], &Submitter::ada()).map_err(|failure| failure.text())
        };
        let spec = planned("0 a\n1-2 b %t\n", Some(3)).expect("good").spec;
        assert_eq!((spec.name.as_str(), spec.programs.as_str()), ("programs", "0 a\n1-2 b %t\n"));
        for (text, tasks, said) in [
            ("0 a\n", Some(2), " invalid, no record for task id 1\n"),
            ("a 0\n", None, " invalid\ncovey: hint: line 1 is invalid: write task numbers, such as"),
        ] {
            let refused = planned(text, tasks).expect_err(text);
            assert!(refused.starts_with("srun: error: Configuration file ") && refused.contains(said), "{refused}");
        }
    }

    #[test]
    fn cpus_that_are_asked_for_are_all_that_it_takes() {
        assert!(planned(|options| options.shape.cpus_per_task = Some(2)).spec.exact);
        assert!(planned(|options| options.shape.wishes.exclusive = Some(String::new())).spec.exact);
        let none = plan(&Options::default(), [], &Submitter::ada()).expect_err("no command");
        assert_eq!(none.text(), "srun: fatal: No command given to execute.\n");
    }
}
