//! sbatch's options from their three places: the script's directives, then `SBATCH_*`, then the command line; the last
//! one wins.
//!
//! All three become words for the same parser, joined in that order, so that precedence needs no code of its own. Start
//! at [`read`]. Options that Slurm has and Covey not are in `unbuilt`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args, FromArgMatches};
use sched::spec::directives::{self, Directive};
use sched::spec::duration::TimeLimit;

use super::script::Script;
use crate::ask::Ask;
use crate::failure::{BAD_OPTION, Failure, Outcome};
use crate::getopt;
use crate::submitter::Submitter;
use crate::unbuilt;

/// What `sbatch --help` adds.
const EXAMPLES: &str = "\
Options stand on the command line, in SBATCH_* variables, or in the script's head as #SBATCH lines; Covey's own
(--map-...) also as #COVEY lines, which Slurm takes for comments. What follows the script are its arguments.

Examples:
  sbatch job.sh
  sbatch -J train -c 4 --mem=8G -t 2:00:00 job.sh --epochs 3
  sbatch --array=0-99%8 -o out/%A_%a.log job.sh
  sbatch --wrap='echo hello from $(hostname)'
  sbatch --retries=3 --retry-on=75 --deadline=18:00 -t 30 fetch.sh
  sbatch --array=0-99 --exec ./simulate --seed 7      (a program, without a shell around it)
  sbatch --map-from=az://input/ --map-to=az://output/ --map-op=grayscale
  sbatch --map-from='photos/*.jpg' --map-to=gray/ convert.sh     (the script sees COVEY_IN and COVEY_OUT)";

/// What a variable says to its option.
#[derive(Clone, Copy)]
pub(crate) enum Says {
    /// Its value.
    Value,
    /// Whether it is given; see [`is_on`].
    Switch,
    /// That it is given, with a value if it has one.
    Perhaps,
}
use Says::{Perhaps, Switch, Value};

/// The options that variables set; of two variables for one option the later one wins.
const VARIABLES: &[(&str, &str, Says)] = &[
    ("SBATCH_ACCOUNT", "--account", Value),
    ("SBATCH_ACCTG_FREQ", "--acctg-freq", Value),
    ("SBATCH_ARRAY_INX", "--array", Value),
    ("SBATCH_BURST_BUFFER", "--bb", Value),
    ("SBATCH_CLUSTER_CONSTRAINT", "--cluster-constraint", Value),
    ("SLURM_CLUSTERS", "--clusters", Value),
    ("SBATCH_CLUSTERS", "--clusters", Value),
    ("SBATCH_COMMENT", "--comment", Value),
    ("SBATCH_CONSTRAINT", "--constraint", Value),
    ("SBATCH_CONTAINER", "--container", Value),
    ("SBATCH_CORE_SPEC", "--core-spec", Value),
    ("SBATCH_CPUS_PER_GPU", "--cpus-per-gpu", Value),
    ("SBATCH_DEBUG", "--verbose", Switch),
    ("SBATCH_DELAY_BOOT", "--delay-boot", Value),
    ("SBATCH_DISTRIBUTION", "--distribution", Value),
    ("SBATCH_ERROR", "--error", Value),
    ("SBATCH_EXCLUSIVE", "--exclusive", Perhaps),
    ("SBATCH_EXPORT", "--export", Value),
    ("SBATCH_GET_USER_ENV", "--get-user-env", Perhaps),
    ("SBATCH_GPU_BIND", "--gpu-bind", Value),
    ("SBATCH_GPU_FREQ", "--gpu-freq", Value),
    ("SBATCH_GPUS", "--gpus", Value),
    ("SBATCH_GPUS_PER_NODE", "--gpus-per-node", Value),
    ("SBATCH_GPUS_PER_TASK", "--gpus-per-task", Value),
    ("SBATCH_GRES", "--gres", Value),
    ("SBATCH_GRES_FLAGS", "--gres-flags", Value),
    ("SLURM_HINT", "--hint", Value),
    ("SBATCH_HINT", "--hint", Value),
    ("SBATCH_IGNORE_PBS", "--ignore-pbs", Switch),
    ("SBATCH_INPUT", "--input", Value),
    ("SBATCH_JOB_NAME", "--job-name", Value),
    ("SBATCH_MEM_BIND", "--mem-bind", Value),
    ("SBATCH_MEM_PER_CPU", "--mem-per-cpu", Value),
    ("SBATCH_MEM_PER_GPU", "--mem-per-gpu", Value),
    ("SBATCH_MEM_PER_NODE", "--mem", Value),
    ("SBATCH_NETWORK", "--network", Value),
    ("SBATCH_NO_KILL", "--no-kill", Perhaps),
    ("SBATCH_NO_REQUEUE", "--no-requeue", Switch),
    ("SBATCH_OPEN_MODE", "--open-mode", Value),
    ("SBATCH_OUTPUT", "--output", Value),
    ("SBATCH_OVERCOMMIT", "--overcommit", Switch),
    ("SBATCH_PARTITION", "--partition", Value),
    ("SBATCH_POWER", "--power", Value),
    ("SBATCH_PROFILE", "--profile", Value),
    ("SBATCH_QOS", "--qos", Value),
    ("SBATCH_REQ_SWITCH", "--switches", Value),
    ("SBATCH_REQUEUE", "--requeue", Switch),
    ("SBATCH_RESERVATION", "--reservation", Value),
    ("SBATCH_SIGNAL", "--signal", Value),
    ("SBATCH_SPREAD_JOB", "--spread-job", Switch),
    ("SBATCH_THREAD_SPEC", "--thread-spec", Value),
    ("SBATCH_THREADS_PER_CORE", "--threads-per-core", Value),
    ("SBATCH_TIMELIMIT", "--time", Value),
    ("SBATCH_TRES_PER_TASK", "--tres-per-task", Value),
    ("SBATCH_USE_MIN_NODES", "--use-min-nodes", Switch),
    ("SBATCH_WAIT_ALL_NODES", "--wait-all-nodes", Value),
    ("SBATCH_WCKEY", "--wckey", Value),
];

/// Everything that sbatch can be told.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Options {
    #[command(flatten)]
    pub(super) ask: Ask,
    /// Indices of an array, such as 0-9, 1,3,5-7, 0-100:5, or 0-99%8 for eight at a time
    #[arg(short, long, value_name = "INDICES")]
    pub(super) array: Option<String>,
    /// Run a command line instead of a script
    #[arg(long, value_name = "COMMAND")]
    pub(super) wrap: Option<String>,
    /// Run the program SCRIPT itself with its arguments: no copy, no directives, no shell (a Covey option)
    #[arg(long)]
    pub(super) exec: bool,
    /// Show the options on stderr
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// Say when and where the job would start, and submit nothing
    #[arg(long)]
    pub(super) test_only: bool,
    /// Only on one of these clusters: this one, or all
    #[arg(short = 'M', long, value_name = "NAMES")]
    pub(super) clusters: Option<String>,
    /// Whose job it is, a name or number (root only)
    #[arg(long, value_name = "USER")]
    pub(super) uid: Option<String>,
    /// Its group, a name or number (root only)
    #[arg(long, value_name = "GROUP")]
    pub(super) gid: Option<String>,
    /// Map: the URL or folder whose blobs are read, one task each; its last part may be a glob (a Covey option)
    #[arg(long, value_name = "URL")]
    pub(super) map_from: Option<String>,
    /// Map: where the outputs appear (a Covey option)
    #[arg(long, value_name = "URL")]
    pub(super) map_to: Option<String>,
    /// Map: a built-in operation instead of a script: grayscale, grayscale:lossless (a Covey option)
    #[arg(long, value_name = "OP")]
    pub(super) map_op: Option<String>,
    /// Map: names of the outputs, of {name} {stem} {ext} {job} {index} (a Covey option) [default: {name}]
    #[arg(long, value_name = "TEMPLATE")]
    pub(super) map_name: Option<String>,
    /// Map: at most so many tasks at a time (a Covey option)
    #[arg(long, value_name = "N")]
    pub(super) map_throttle: Option<u32>,
    /// The script, or with --exec the program, and its arguments; the script is read from stdin when there is none
    #[arg(value_name = "SCRIPT", num_args = 0.., trailing_var_arg = true)]
    pub(super) words: Vec<OsString>,
}

/// Reads the three places, and the script, which is absent where an op or a program needs none.
pub(super) fn read(args: &[OsString], submitter: &Submitter) -> Outcome<(Options, Option<Script>)> {
    let mut command = command();
    let (typed, _) = parse(&mut command, args)?;
    let script = script(&typed, submitter)?;
    let directives = match &script {
        Some(script) => read_directives(&mut command, script)?,
        None => Vec::new(),
    };
    let given: Vec<OsString> = directives.iter().chain(args).cloned().collect();
    let (given, _) = parse(&mut command, &given)?;
    given.ask.shape.check("sbatch")?;
    // Memory that is asked for in any way leaves nothing to the environment.
    let has_memory = given.ask.shape.mem.is_some() || given.ask.shape.mem_per_cpu.is_some();
    let variable = |name: &str| {
        let passed = has_memory && name.starts_with("SBATCH_MEM_PER_");
        if passed { None } else { std::env::var(name).ok() }
    };
    let words: Vec<OsString> =
        directives.into_iter().chain(of_environment(variable)).chain(args.iter().cloned()).collect();
    let (options, matches) = parse(&mut command, &words)?;
    options.ask.shape.check("sbatch")?;
    if options.exec && !typed.exec {
        return Err(Failure::new("sbatch: error: --exec is for the command line, which names the program"));
    }
    if options.verbose > 0 {
        eprint!("{}", shown(&command, &matches));
    }
    if !options.ask.quiet {
        let unbuilt = unbuilt::given(unbuilt::SBATCH, &matches).into_iter().map(unbuilt::warning);
        options.ask.shape.warnings().into_iter().chain(unbuilt).for_each(|text| eprintln!("sbatch: warning: {text}"));
    }
    match script {
        // A file with directives may ask for an op, and then nobody runs its body.
        Some(script) if options.map_op.is_none() => script.check().map(|()| (options, Some(script))),
        _ => Ok((options, None)),
    }
}

pub(in crate::commands) fn command() -> clap::Command {
    let command = Options::augment_args(clap::Command::new("sbatch"))
        .about("Submit a batch script, a command, or a map over blobs")
        .override_usage("sbatch [OPTIONS] [SCRIPT [ARGUMENTS]...]")
        .after_help(EXAMPLES);
    getopt::conventions(command.args(unbuilt::arguments(unbuilt::SBATCH)), Some('h'))
}

/// The options in these words, and which were given.
fn parse(command: &mut clap::Command, words: &[OsString]) -> Outcome<(Options, ArgMatches)> {
    let matches = getopt::read(command, words)?;
    let options = Options::from_arg_matches(&matches).expect("the matches are of the same options");
    Ok((options, matches))
}

/// The script: wrapped, a file, or stdin; none where the command line asks for an op and names no file, or for a program.
fn script(typed: &Options, submitter: &Submitter) -> Outcome<Option<Script>> {
    let refused = |text: &str| Err(Failure::new(format_args!("sbatch: error: {text}")));
    match &typed.wrap {
        _ if typed.exec && (typed.wrap.is_some() || typed.map_op.is_some()) => {
            refused("--exec runs a program, and neither --wrap nor --map-op can be given with it")
        }
        None if typed.exec && typed.words.is_empty() => {
            refused("--exec needs a program: write sbatch --exec PROGRAM [ARGUMENTS]...")
        }
        None if typed.exec => Ok(None),
        Some(_) if !typed.words.is_empty() => refused("Script arguments not permitted with --wrap option"),
        Some(command) => Ok(Some(Script::wrapped(command))),
        None if typed.words.is_empty() && typed.map_op.is_some() => Ok(None),
        None if typed.words.first().is_some_and(|word| word == ":") => Err(heterogeneous()),
        None => Script::read(&typed.words, submitter).map(Some),
    }
}

/// The words of all directives, each line understood by itself first, so that a mistake is told with its line.
fn read_directives(command: &mut clap::Command, script: &Script) -> Outcome<Vec<OsString>> {
    let lines = directives::read(&script.text).map_err(|error| Failure::chain("sbatch: error: ", &error))?;
    let words = |line: Directive| line.words.into_iter().map(OsString::from_vec);
    let all: Vec<OsString> = lines.iter().cloned().flat_map(words).collect();
    let wrong = |words: &[OsString], command: &mut clap::Command| match parse(command, words) {
        Err(failure) => Some(failure),
        Ok((options, _)) => options.words.first().map(|word| stray(word)),
    };
    let Some(failure) = wrong(&all, command) else { return Ok(all) };
    let guilty = lines.into_iter().find(|line| wrong(&words(line.clone()).collect::<Vec<_>>(), command).is_some());
    Err(failure.hint(guilty.map(|line| format!("it stands in line {} of the script", line.line))))
}

/// Parts of one job that differ: passing over all but the first would run something else.
fn heterogeneous() -> Failure {
    Failure::new("sbatch: error: Heterogeneous jobs are not built in Covey; nothing was submitted")
        .hint(Some("submit the parts as jobs of their own, with --dependency between them"))
}

fn stray(word: &OsStr) -> Failure {
    if word == "hetjob" || word == "packjob" || word == ":" {
        return heterogeneous();
    }
    Failure::new(format_args!("sbatch: error: Invalid directive found in batch script: {}", word.display()))
        .exit(BAD_OPTION)
}

/// What the variables say, as words.
fn of_environment(value: impl Fn(&str) -> Option<String>) -> Vec<OsString> {
    let mut words = from_variables(VARIABLES, &value);
    words.extend(value("SBATCH_WAIT").map(|_| "--wait".into()));
    words
}

/// What the variables of a table say, as words.
pub(crate) fn from_variables(table: &[(&str, &str, Says)], value: impl Fn(&str) -> Option<String>) -> Vec<OsString> {
    let word = |(name, option, says): &(&str, &str, Says)| {
        let value = value(name)?;
        match says {
            Switch => is_on(&value).then(|| (*option).into()),
            // Any word but these two asks for whole nodes.
            Perhaps if value.is_empty() || *option == "--exclusive" && !["user", "mcs"].contains(&&*value) => {
                Some((*option).into())
            }
            Value if value.is_empty() => None,
            Value | Perhaps => Some(format!("{option}={value}").into()),
        }
    };
    table.iter().filter_map(word).collect()
}

/// How Slurm reads a switch in a variable.
fn is_on(value: &str) -> bool {
    value.is_empty() || value.eq_ignore_ascii_case("yes") || value.parse::<i64>().is_ok_and(|number| number != 0)
}

/// What `-v` shows; scripts look for `name *: value`.
fn shown(command: &clap::Command, matches: &ArgMatches) -> String {
    let value = |arg: &clap::Arg| match arg.get_action() {
        ArgAction::Count => matches.get_count(arg.get_id().as_str()).to_string(),
        ArgAction::SetTrue => "set".to_owned(),
        _ if arg.get_long() == Some("time") => {
            matches.get_one::<TimeLimit>("time").map(ToString::to_string).unwrap_or_default()
        }
        _ => {
            let typed = matches.get_raw(arg.get_id().as_str()).and_then(|mut values| values.next_back());
            let typed = typed.unwrap_or_default().to_string_lossy();
            let in_front = if arg.get_long() == Some("gres") { "gres:" } else { "" };
            if typed.is_empty() { "set".to_owned() } else { format!("{in_front}{typed}") }
        }
    };
    let is_given = |arg: &&clap::Arg| matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
    let options = command.get_arguments().filter(is_given);
    let mut lines: Vec<String> =
        options.filter_map(|arg| Some(format!("sbatch: {:<20}: {}\n", arg.get_long()?, value(arg)))).collect();
    lines.sort_unstable();
    let rule = "sbatch: -------------------- --------------------\n";
    format!("sbatch: defined options\n{rule}{}{rule}sbatch: end of defined options\n", lines.concat())
}

#[cfg(test)]
mod tests {
    use proto::v1;

    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    fn script(text: &str) -> Script {
        Script { text: text.as_bytes().to_vec(), ..Script::wrapped("") }
    }

    #[test]
    fn the_command_line_beats_the_environment_and_that_the_script() {
        let mut command = command();
        let script =
            script("#!/bin/sh\n#SBATCH -J script -p script -c 1 --gres=gpu:1 --requeue\n#COVEY --map-from=in\n");
        let environment = |name: &str| match name {
            "SBATCH_JOB_NAME" | "SBATCH_PARTITION" => Some("variable".to_owned()),
            "SBATCH_CONSTRAINT" => Some("fast".to_owned()),
            "SBATCH_EXCLUSIVE" | "SBATCH_NO_REQUEUE" | "SBATCH_DEBUG" => Some("yes".to_owned()),
            "SBATCH_TIMELIMIT" => Some(String::new()),
            _ => None,
        };
        let mut all = read_directives(&mut command, &script).expect("all are known");
        all.extend(of_environment(environment));
        all.extend(words(&["--job=typed", "--mem-per-cpu", "2G", "--gres=none", "job.sh", "-J", "argument"]));
        let (options, matches) = parse(&mut command, &all).expect("all are known");
        let (ask, shape) = (&options.ask, &options.ask.shape);
        assert_eq!(
            (shape.job_name.as_deref(), shape.partition.as_deref(), shape.cpus_per_task),
            (Some("typed"), Some("variable"), Some(1))
        );
        assert_eq!((shape.mem, shape.mem_per_cpu.map(|size| size.0)), (None, Some(2048)));
        let request = ask.spec(String::new(), String::new(), v1::work::Kind::Op("x".into()), &Submitter::ada()).request;
        let request = request.expect("there is always a shape");
        assert_eq!((request.gres.len(), request.constraint.as_str(), request.exclusive), (0, "fast", true));
        assert_eq!((ask.requeue, ask.no_requeue, options.verbose), (false, true, 1));
        assert_eq!(
            (options.map_from.as_deref(), shape.time.is_none(), unbuilt::given(unbuilt::SBATCH, &matches).len()),
            (Some("in"), true, 0)
        );
        assert_eq!(options.words, words(&["job.sh", "-J", "argument"]));
    }

    #[test]
    fn directives_are_refused_with_their_line() {
        for (text, message) in [
            (
                "#!/bin/sh\n\n#SBATCH --bogus\n",
                "sbatch: unrecognized option '--bogus'\nTry \"sbatch --help\" for more information\n",
            ),
            (
                "#!/bin/sh\n#SBATCH -n 2\n#SBATCH -J a b\n",
                "sbatch: error: Invalid directive found in batch script: b\n",
            ),
            (
                "#!/bin/sh\n# c\n#SBATCH -t soon\n",
                "sbatch: error: Invalid --time specification\nsbatch: error: 'soon' is not a time limit: write M, M:S, H:M:S, D-H, \
                 D-H:M, D-H:M:S or UNLIMITED\n",
            ),
        ] {
            let failure = read_directives(&mut command(), &script(text)).expect_err(text);
            assert_eq!(failure.text(), format!("{message}covey: hint: it stands in line 3 of the script\n"));
        }
        let open = read_directives(&mut command(), &script("#!/bin/sh\n#SBATCH -J \"x\n")).expect_err("an open quote");
        assert!(open.text().starts_with("sbatch: error: line 2: Unmatched `\"`"), "{}", open.text());
    }

    #[test]
    fn heterogeneous_jobs_are_refused_by_name() {
        let refused = super::script(
            &parse(&mut command(), &words(&["-n1", ":", "-n2", "x.sh"])).expect("words").0,
            &Submitter::ada(),
        );
        assert!(refused.expect_err("two parts").text().contains("Heterogeneous jobs are not built"));
        let refused = read_directives(&mut command(), &script("#!/bin/sh\n#SBATCH hetjob\n")).expect_err("two parts");
        assert!(refused.text().contains("Heterogeneous jobs are not built"), "{}", refused.text());
    }

    #[test]
    fn what_scripts_in_the_wild_write_is_understood() {
        for line in [
            "-J name -o out.%j --err=e -t 00:30:00 --mem 512MB -N1-2 -n4 -c 2",
            "--signal B:USR2@30 --no-requeue -A acct --qos=high --gres=gpu:1 -d afterok:1:2 -C fast",
            "--exclusive --nice --mail-type=END,FAIL --mail-user=a@b --license=x:1 --tasks-per-node=2",
            "--exclusive=user --nice=5 -k -M c -b now+1hour -x n1 -w n2 -G 1 -L x -q long --get-user-env --hint=nomultithread",
            "--parsable -W -Q -v -H -D /tmp -a 0-9%2 --export=ALL,A=b --open-mode=append --comment 'x y'",
        ] {
            let words = sched::spec::words::split(line.as_bytes()).expect(line).into_iter().map(OsString::from_vec);
            let (options, _) = parse(&mut command(), &words.collect::<Vec<_>>()).expect(line);
            assert_eq!(options.words, words_of_none(), "{line}");
        }
    }

    #[test]
    fn verbose_shows_what_scripts_grep_for() {
        let mut command = command();
        let typed =
            words(&["-vvv", "-A", "acct", "-t", "3", "--exclusive", "-v", "--gres=gpu:1", "-H", "--hint=x", "x.sh"]);
        let (_, matches) = parse(&mut command, &typed).expect("known");
        let expected = "sbatch: defined options\n\
                        sbatch: -------------------- --------------------\n\
                        sbatch: account             : acct\n\
                        sbatch: exclusive           : set\n\
                        sbatch: gres                : gres:gpu:1\n\
                        sbatch: hint                : x\n\
                        sbatch: hold                : set\n\
                        sbatch: time                : 00:03:00\n\
                        sbatch: verbose             : 4\n\
                        sbatch: -------------------- --------------------\n\
                        sbatch: end of defined options\n";
        assert_eq!(shown(&command, &matches), expected);
    }

    #[test]
    fn switches_and_optional_values_of_variables_follow_slurm() {
        let of = |name: &'static str, value: &'static str| {
            of_environment(move |asked: &str| (asked == name).then(|| value.to_owned()))
        };
        for (name, value, word) in [
            ("SBATCH_EXCLUSIVE", "", Some("--exclusive")),
            ("SBATCH_EXCLUSIVE", "user", Some("--exclusive=user")),
            ("SBATCH_REQUEUE", "", Some("--requeue")),
            ("SBATCH_REQUEUE", "no", None),
            ("SBATCH_REQUEUE", "2", Some("--requeue")),
            ("SBATCH_WAIT", "0", Some("--wait")),
            ("SBATCH_QOS", "high", Some("--qos=high")),
            ("SBATCH_QOS", "", None),
        ] {
            assert_eq!(of(name, value), word.into_iter().map(OsString::from).collect::<Vec<_>>(), "{name}={value}");
        }
        let mut command = command();
        for (name, option, says) in VARIABLES {
            let word = if matches!(says, Value) { format!("{option}=1") } else { (*option).to_owned() };
            let unknown = parse(&mut command, &words(&[&word])).err().filter(|error| error.text().contains("unrecog"));
            assert!(unknown.is_none(), "{name}: {unknown:?}");
        }
    }

    #[test]
    fn memory_is_asked_for_in_one_way() {
        let (options, _) = parse(&mut command(), &words(&["--mem=1G", "--mem-per-cpu=1G", "x.sh"])).expect("known");
        let text = options.ask.shape.check("sbatch").expect_err("two ways").text();
        assert_eq!(text, "sbatch: fatal: --mem, --mem-per-cpu, and --mem-per-gpu are mutually exclusive.\n");
    }

    #[test]
    fn wishes_that_mean_nothing_are_refused_at_the_door() {
        for (typed, said) in [
            ("--gres=gpu:x:y", "is no generic resource: write NAME[:TYPE][:COUNT]"),
            ("-Gmany", "is no generic resource: write [TYPE:]COUNT"),
            ("-Ca&", "is no constraint at character 3: the name of a feature"),
            ("-wn[1-", "the brackets in the host list item"),
            ("-La:0", "is no license: write NAME[:COUNT]"),
            ("--cpus=0.0001", "is no number of CPUs: write a number from 0.001 on with at most three decimals"),
            ("--ntasks-per-node=0", "is not a whole number from 1"),
        ] {
            let text = parse(&mut command(), &words(&[typed])).expect_err(typed).text();
            assert!(text.starts_with("sbatch: error: Invalid ") && text.contains(said), "{text}");
        }
    }

    fn words_of_none() -> Vec<OsString> {
        Vec::new()
    }

    #[test]
    fn a_program_takes_the_place_of_a_script() {
        let script_of = |typed: &[&str]| {
            let (options, _) = parse(&mut command(), &words(typed)).expect("known");
            super::script(&options, &Submitter::ada()).map(|script| (options.words, script))
        };
        let program = script_of(&["--exec", "/bin/echo", "-n", "x"]).expect("there is nothing to read");
        assert_eq!(program, (words(&["/bin/echo", "-n", "x"]), None));
        for (typed, said) in [
            (&["--exec"][..], "--exec needs a program"),
            (&["--exec", "--wrap=true"], "neither --wrap nor --map-op"),
            (&["--exec", "--map-op=grayscale"], "neither --wrap nor --map-op"),
        ] {
            let text = script_of(typed).expect_err(said).text();
            assert!(text.starts_with("sbatch: error: --exec") && text.contains(said), "{text}");
        }
    }

    #[test]
    fn the_definitions_hold_together() {
        command().debug_assert();
    }
}
