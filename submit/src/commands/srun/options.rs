//! srun's options, from `SLURM_*` and `SRUN_*` variables and from the command line, which wins.
//!
//! Inside a job only what describes a step is read from variables: the others say what the job is, and not what is wanted of
//! the step. Start at [`read`].

use std::ffi::OsString;

use clap::{ArgMatches, Args, FromArgMatches};

use crate::ask::OpenMode;
use crate::commands::sbatch::options::Says::{self, Perhaps, Switch, Value};
use crate::commands::sbatch::options::from_variables;
use crate::failure::{Failure, Outcome};
use crate::getopt;
use crate::shape::Shape;
use crate::unbuilt;

const EXAMPLES: &str = "\
Inside a job it runs a step on the job's nodes; outside it asks for nodes first, and gives them back.

Examples:
  srun hostname
  srun -n 4 -l ./solver --input mesh.h5
  srun -N 1 -n 1 --exact ./one & srun -N 1 -n 1 --exact ./other & wait
  srun -o log-%t.txt -e err-%t.txt python train.py
  srun -p debug -t 10 -c 2 -n 8 ./test";

/// Variables for a step, wherever srun runs; of two for one option the later one wins.
const OF_STEPS: &[(&str, &str, Says)] = &[
    ("SLURM_CPU_BIND", "--cpu-bind", Value),
    ("SRUN_CPUS_PER_TASK", "--cpus-per-task", Value),
    ("SLURM_DEBUG", "--verbose", Switch),
    ("SLURM_DISABLE_STATUS", "--disable-status", Switch),
    ("SLURM_EXACT", "--exact", Switch),
    ("SLURM_EXCLUSIVE", "--exclusive", Perhaps),
    ("SLURM_EXPORT_ENV", "--export", Value),
    ("SRUN_EXPORT_ENV", "--export", Value),
    ("SLURM_IMMEDIATE", "--immediate", Perhaps),
    ("SLURM_KILL_BAD_EXIT", "--kill-on-bad-exit", Perhaps),
    ("SLURM_LABELIO", "--label", Switch),
    ("SLURM_MPI_TYPE", "--mpi", Value),
    ("SLURM_NPROCS", "--ntasks", Value),
    ("SLURM_NTASKS", "--ntasks", Value),
    ("SLURM_OPEN_MODE", "--open-mode", Value),
    ("SLURM_OVERLAP", "--overlap", Switch),
    ("SLURM_REMOTE_CWD", "--chdir", Value),
    ("SLURM_WORKING_DIR", "--chdir", Value),
    ("SLURM_STDERRMODE", "--error", Value),
    ("SLURM_STDINMODE", "--input", Value),
    ("SLURM_STDOUTMODE", "--output", Value),
    ("SLURM_STEP_GRES", "--gres", Value),
    ("SLURM_UNBUFFEREDIO", "--unbuffered", Switch),
    ("SLURM_WAIT", "--wait", Value),
];

/// Variables for what srun allocates by itself.
const OF_ALLOCATIONS: &[(&str, &str, Says)] = &[
    ("SLURM_ACCOUNT", "--account", Value),
    ("SLURM_CONSTRAINT", "--constraint", Value),
    ("SLURM_DEPENDENCY", "--dependency", Value),
    ("SLURM_DISTRIBUTION", "--distribution", Value),
    ("SLURM_GPUS", "--gpus", Value),
    ("SLURM_GPUS_PER_NODE", "--gpus-per-node", Value),
    ("SLURM_GPUS_PER_TASK", "--gpus-per-task", Value),
    ("SLURM_GRES", "--gres", Value),
    ("SLURM_HINT", "--hint", Value),
    ("SLURM_JOB_NAME", "--job-name", Value),
    ("SLURM_JOB_NUM_NODES", "--nodes", Value),
    ("SLURM_MEM_PER_CPU", "--mem-per-cpu", Value),
    ("SLURM_MEM_PER_NODE", "--mem", Value),
    ("SLURM_NNODES", "--nodes", Value),
    ("SLURM_NTASKS_PER_NODE", "--ntasks-per-node", Value),
    ("SLURM_PARTITION", "--partition", Value),
    ("SLURM_QOS", "--qos", Value),
    ("SLURM_RESERVATION", "--reservation", Value),
    ("SLURM_SIGNAL", "--signal", Value),
    ("SLURM_TIMELIMIT", "--time", Value),
    ("SLURM_WCKEY", "--wckey", Value),
];

/// Everything that srun can be told.
#[derive(Args, Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own on the command line")]
pub(super) struct Options {
    #[command(flatten)]
    pub(super) shape: Shape,
    /// Put the task's number in front of each line
    #[arg(short, long)]
    pub(super) label: bool,
    /// Where the output goes: a file, a pattern such as out-%t.log for one file a task, a task's number for its output alone, none
    #[arg(short, long, value_name = "PATTERN")]
    pub(super) output: Option<String>,
    /// Where the errors go [default: with the output]
    #[arg(short, long, value_name = "PATTERN")]
    pub(super) error: Option<String>,
    /// What the tasks read: a file, a pattern, a task's number for that task alone, none [default: srun's input, for all of them]
    #[arg(short, long, value_name = "PATTERN")]
    pub(super) input: Option<String>,
    /// Whether output files that exist are emptied
    #[arg(long, value_name = "MODE")]
    pub(super) open_mode: Option<OpenMode>,
    /// Pass output on as it comes, which is always so
    #[arg(short, long)]
    pub(super) unbuffered: bool,
    /// Variables that the tasks get: ALL, NONE, NIL or NAME[=VALUE],...
    #[arg(long, value_name = "LIST")]
    pub(super) export: Option<String>,
    /// End the step when a task has ended badly (=0 does not)
    #[arg(short = 'K', long, value_name = "0|1", num_args = 0..=1, require_equals = true, default_missing_value = "1",
          value_parser = ["0", "1", "yes", "no"], hide_possible_values = true)]
    pub(super) kill_on_bad_exit: Option<String>,
    /// End the step so many seconds after its first task has ended; 0 waits for all
    #[arg(short = 'W', long, value_name = "SECONDS")]
    pub(super) wait: Option<u32>,
    /// Take no more CPUs than the tasks need; others may run beside it
    #[arg(long)]
    pub(super) exact: bool,
    /// Share CPUs with other steps
    #[arg(long)]
    pub(super) overlap: bool,
    /// Fail instead of waiting, after so many seconds if given
    #[arg(short = 'I', long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(super) immediate: Option<String>,
    /// The job in which to run [default: the one that this is in]
    #[arg(long, value_name = "ID")]
    pub(super) jobid: Option<u32>,
    /// How MPI starts: none, pmi2, pmix are taken and make no difference; list shows them
    #[arg(long, value_name = "TYPE")]
    pub(super) mpi: Option<String>,
    /// Run task 0 on a pseudo terminal (not built)
    #[arg(long, value_name = "TASK", num_args = 0..=1, require_equals = true, default_missing_value = "0")]
    pub(super) pty: Option<String>,
    /// COMMAND is a file that says which program each task runs: lines such as '0-3,5 program %t', or '* program'
    #[arg(long)]
    pub(super) multi_prog: bool,
    /// Send the first Ctrl-C to the tasks, without a word about them
    #[arg(short = 'X', long)]
    pub(super) disable_status: bool,
    /// End the step at the first Ctrl-C
    #[arg(long)]
    pub(super) quit_on_interrupt: bool,
    /// Say when and where it would start, and do nothing
    #[arg(long)]
    pub(super) test_only: bool,
    /// Print nothing but errors
    #[arg(short = 'Q', long)]
    pub(super) quiet: bool,
    /// Say more on stderr
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// The program and its arguments
    #[arg(value_name = "COMMAND", num_args = 0.., trailing_var_arg = true)]
    pub(super) words: Vec<OsString>,
}

impl Options {
    /// Whether one bad task ends the step.
    pub(super) fn kills_on_bad_exit(&self) -> bool {
        self.kill_on_bad_exit.as_deref().is_some_and(|given| matches!(given, "1" | "yes"))
    }
}

/// The options, and the job in which srun runs.
pub(super) fn read(args: &[OsString]) -> Outcome<(Options, Option<u32>)> {
    read_with(args, &|name| std::env::var(name).ok())
}

fn read_with(args: &[OsString], value: &dyn Fn(&str) -> Option<String>) -> Outcome<(Options, Option<u32>)> {
    let mut command = command();
    let (typed, _) = parse(&mut command, args)?;
    let number = |name: &str| value(name).and_then(|id| id.parse().ok());
    let job = typed.jobid.or_else(|| number("SLURM_JOB_ID")).or_else(|| number("SLURM_JOBID"));
    let has_memory = typed.shape.mem.is_some() || typed.shape.mem_per_cpu.is_some();
    let set = |name: &str| value(name).filter(|_| !(has_memory && name.starts_with("SLURM_MEM_PER_")));
    let mut words = if job.is_none() { from_variables(OF_ALLOCATIONS, set) } else { Vec::new() };
    words.extend(from_variables(OF_STEPS, value));
    words.extend(args.iter().cloned());
    let (options, matches) = parse(&mut command, &words)?;
    options.shape.check("srun")?;
    if options.pty.is_some() {
        return Err(Failure::new("srun: error: --pty is not built in Covey; nothing was started"));
    }
    if !options.quiet {
        // What may stand in the environment of every job is not worth a word each time.
        let typed = parse(&mut command, args).map(|(_, matches)| matches).unwrap_or(matches);
        let given = unbuilt::given(unbuilt::SRUN, &typed);
        given.into_iter().for_each(|long| eprintln!("srun: warning: {}", unbuilt::warning(long)));
    }
    Ok((options, job))
}

/// Its options.
pub(crate) fn command() -> clap::Command {
    let command = Options::augment_args(clap::Command::new("srun"))
        .about("Run a command on the nodes of a job, or on nodes that are asked for")
        .override_usage("srun [OPTIONS] COMMAND [ARGUMENTS]...")
        .after_help(EXAMPLES);
    getopt::conventions(command.args(unbuilt::arguments(unbuilt::SRUN)), Some('h'))
}

fn parse(command: &mut clap::Command, words: &[OsString]) -> Outcome<(Options, ArgMatches)> {
    let matches = getopt::read(command, words)?;
    let options = Options::from_arg_matches(&matches).expect("the matches are of the same options");
    Ok((options, matches))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_words(words: &[&str], variables: &[(&str, &str)]) -> Outcome<(Options, Option<u32>)> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        read_with(&words, &|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn inside_a_job_its_variables_say_nothing_of_the_step() {
        let job = [
            ("SLURM_JOB_ID", "5"),
            ("SLURM_JOB_NUM_NODES", "2"),
            ("SLURM_NNODES", "2"),
            ("SLURM_CPUS_PER_TASK", "3"),
            ("SLURM_MEM_PER_NODE", "100"),
            ("SLURM_JOB_NAME", "batch"),
            ("SLURM_NTASKS", "4"),
            ("SLURM_LABELIO", "1"),
        ];
        let (options, inside) = read_words(&["hostname", "-f"], &job).expect("understood");
        let shape = &options.shape;
        assert_eq!((inside, shape.ntasks, shape.nodes, shape.cpus_per_task), (Some(5), Some(4), None, None));
        assert!(shape.mem.is_none() && shape.job_name.is_none() && options.label);
        assert_eq!(options.words, ["hostname", "-f"]);
        let (options, inside) = read_words(&["true"], &job[1..]).expect("understood");
        assert_eq!((inside, options.shape.nodes), (None, Some((2, Some(2)))));
    }

    #[test]
    fn what_programs_type_is_understood() {
        let typed =
            "--unbuffered --output X_%t_log.out --error X_%t_log.err -K1 -W 0 -n1 -N1 --exact --mpi=pmix -c2 -l";
        let words: Vec<&str> = typed.split(' ').filter(|word| *word != "-K1").chain(["--kill-on-bad-exit=1"]).collect();
        let (options, _) = read_words(&[&words[..], &["python", "-u", "x.py"]].concat(), &[]).expect("understood");
        assert_eq!((options.output.as_deref(), options.error.as_deref()), (Some("X_%t_log.out"), Some("X_%t_log.err")));
        assert!(options.kills_on_bad_exit() && options.exact && options.unbuffered);
        assert_eq!((options.words.len(), options.wait, options.shape.cpus_per_task), (3, Some(0), Some(2)));
        assert!(read_words(&["--pty", "bash"], &[]).expect_err("not built").text().contains("--pty is not built"));
        assert!(read_words(&["--cpu-bind=cores", "-Q", "--hint", "nomultithread", "x"], &[]).is_ok());
    }

    #[test]
    fn the_definitions_hold_together() {
        command().debug_assert();
    }
}
