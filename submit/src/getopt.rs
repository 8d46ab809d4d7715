//! GNU getopt's habits on top of clap: abbreviated long options, options after words, glued and clustered short ones,
//! values that start with a dash, the last one wins; and getopt's and Slurm's texts for what is wrong.
//!
//! Which options there are is said by each command. Start at [`conventions`], then [`read`].

use std::ffi::OsString;
use std::num::ParseIntError;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::failure::{BAD_OPTION, Failure, Outcome, print};

/// The release of Slurm whose behaviour the commands copy; client programs parse what `-V` prints.
pub(crate) const SLURM_VERSION: &str = "25.05.3";

/// Gives a Slurm command its habits, and `--help`, `--usage` and `--version`. `help_short` is `-h` where that asks for
/// help.
pub(crate) fn conventions(command: Command, help_short: Option<char>) -> Command {
    let mut help = Arg::new("help").long("help").action(ArgAction::Help).help("Print this help");
    if let Some(letter) = help_short {
        help = help.short(letter);
    }
    let usage = Arg::new("usage").long("usage").action(ArgAction::SetTrue).help("Print a short usage line");
    let version =
        Arg::new("version").long("version").short('V').action(ArgAction::Version).help("Print Slurm's release");
    habits(command)
        .disable_help_flag(true)
        .version(SLURM_VERSION)
        .disable_version_flag(true)
        .args([help, usage, version])
}

/// The habits alone, for Covey's own commands.
pub(crate) fn habits(command: Command) -> Command {
    let takes_any_word = |arg: Arg| {
        let optional = arg.get_num_args().is_some_and(|range| range.min_values() == 0);
        let value = arg.get_action().takes_values() && !arg.is_positional() && !optional;
        if value { arg.allow_hyphen_values(true) } else { arg }
    };
    command.no_binary_name(true).infer_long_args(true).args_override_self(true).mut_args(takes_any_word)
}

/// An option whose value may be left out, and is then glued on or behind `=`.
pub(crate) fn optional_value(arg: Arg) -> Arg {
    arg.num_args(0..=1).require_equals(true).default_missing_value("")
}

/// Reads the words. What only prints (`--help`, `--usage`, `--version`) has been printed, and ends with exit code 0.
///
/// # Errors
/// The first word that cannot be understood, in getopt's or Slurm's text.
pub(crate) fn read(command: &mut Command, words: &[OsString]) -> Outcome<ArgMatches> {
    let matches = command.try_get_matches_from_mut(words).map_err(|error| failure(command, words, &error))?;
    if matches.try_get_one("usage").is_ok_and(|given| given == Some(&true)) {
        print(format_args!("{}\n", command.render_usage()))?;
        return Err(Failure::silent(0));
    }
    Ok(matches)
}

/// What a word that cannot be understood is answered with.
fn failure(command: &Command, words: &[OsString], error: &clap::Error) -> Failure {
    let name = command.get_name();
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    let typed = text(ContextKind::InvalidArg);
    // clap spells the option with its value's name, as in `--time <TIME>` or `--nice[=<NICE>]`.
    let option = typed.split([' ', '=', '[']).next().unwrap_or(typed);
    let refused = |line: String| {
        Failure::new(line)
            .line(format_args!("Try \"{} --help\" for more information", called(name)))
            .exit(exit_code(name))
    };
    match error.kind() {
        ErrorKind::DisplayHelp => print(error).err().unwrap_or(Failure::silent(0)),
        ErrorKind::DisplayVersion => print(format_args!("slurm {SLURM_VERSION}\n")).err().unwrap_or(Failure::silent(0)),
        ErrorKind::UnknownArgument => refused(unknown(command, words, typed)),
        ErrorKind::InvalidValue if text(ContextKind::InvalidValue).is_empty() => {
            // It is the last word, be it a letter alone or behind others.
            let letter = words.last().and_then(|word| word.to_str()).filter(|word| !word.starts_with("--"));
            refused(match letter.and_then(|word| word.strip_prefix('-')?.chars().next_back()) {
                Some(letter) => format!("{name}: option requires an argument -- '{letter}'"),
                None => format!("{name}: option '{option}' requires an argument"),
            })
        }
        ErrorKind::TooManyValues => refused(format!("{name}: option '{option}' doesn't allow an argument")),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let cause = std::error::Error::source(error).map(|cause| match cause.downcast_ref::<ParseIntError>() {
                Some(_) => format!("'{}' is not a whole number", text(ContextKind::InvalidValue)),
                None => crate::failure::chain(cause),
            });
            let cause = cause.or_else(|| allowed(error)).unwrap_or_default();
            let (line, code) = wrong_value(name, option, text(ContextKind::InvalidValue));
            Failure::new(line).line(format_args!("{name}: error: {cause}")).exit(code)
        }
        ErrorKind::InvalidUtf8 => {
            Failure::new(format_args!("{name}: error: an option is not valid UTF-8")).exit(exit_code(name))
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = match error.get(ContextKind::InvalidArg) {
                Some(ContextValue::Strings(missing)) => missing.join(" and "),
                _ => "an option".into(),
            };
            refused(format!("{name}: error: {missing} must be given"))
        }
        _ => refused(format!("{name}: {}", error.to_string().lines().next().unwrap_or_default())),
    }
}

/// Slurm's line for a value that an option cannot have, and its exit code: most options share one, some have their own (seen
/// on 22.05).
fn wrong_value(name: &str, option: &str, value: &str) -> (String, u8) {
    let submits = ["sbatch", "srun", "salloc"].contains(&name);
    match option {
        "--ntasks" | "--cpus-per-task" | "--ntasks-per-node" if submits => {
            (format!("{name}: error: Invalid numeric value \"{value}\" for {option}."), 1)
        }
        "--nodes" if submits => {
            let number = |text: &str| text.parse::<u32>().ok();
            let range = value.split_once('-').and_then(|(least, most)| number(least).zip(number(most)));
            let line = match range {
                Some((least, most)) if most < least => {
                    format!("{name}: error: Maximum node count {most} is less than minimum node count {least}")
                }
                _ => format!("{name}: error: \"{value}\" is not a valid node count"),
            };
            (line, BAD_OPTION)
        }
        "--gpus" | "--gres" if submits => (format!("{name}: error: Invalid generic resource (gres) specification"), 1),
        "--dependency" if name == "sbatch" => {
            (format!("{name}: error: Batch job submission failed: Job dependency problem"), 1)
        }
        "--dependency" if submits => {
            (format!("{name}: error: Unable to allocate resources: Job dependency problem"), 1)
        }
        "--signal" if name == "scancel" => (format!("Unknown job signal: {value}"), 1),
        _ => (format!("{name}: error: Invalid {option} specification"), exit_code(name)),
    }
}

/// Slurm's exit code for options that a command does not understand, and for their values.
fn exit_code(name: &str) -> u8 {
    if ["sbatch", "srun", "salloc"].contains(&name) { BAD_OPTION } else { 1 }
}

/// How the user calls the command: Covey's own stand behind `covey`.
fn called(name: &str) -> String {
    let is_slurms = crate::commands::links::LINKED.contains(&name);
    if is_slurms { name.to_owned() } else { format!("covey {}", name.trim_start_matches("covey ")) }
}

/// getopt's text for an option that there is not, or that could be several.
fn unknown(command: &Command, words: &[OsString], typed: &str) -> String {
    let name = command.get_name();
    let Some(long) = typed.strip_prefix("--") else {
        return match typed.strip_prefix('-').and_then(|letters| letters.chars().next()) {
            Some(letter) => format!("{name}: invalid option -- '{letter}'"),
            None => format!("{name}: error: unexpected word '{typed}'"),
        };
    };
    let starts = |arg: &&Arg| arg.get_long().is_some_and(|option| option.starts_with(long));
    let meant: Vec<String> =
        command.get_arguments().filter(starts).filter_map(Arg::get_long).map(|l| format!("'--{l}'")).collect();
    if meant.len() > 1 {
        return format!("{name}: option '{typed}' is ambiguous; possibilities: {}", meant.join(" "));
    }
    let as_typed = words.iter().filter_map(|word| word.to_str()).find(|word| word.starts_with(typed));
    format!("{name}: unrecognized option '{}'", as_typed.unwrap_or(typed))
}

/// What a value could have been, where there are only a few.
fn allowed(error: &clap::Error) -> Option<String> {
    match error.get(ContextKind::ValidValue)? {
        // The empty one is what an option means without a value.
        ContextValue::Strings(values) => {
            let values: Vec<&str> = values.iter().map(String::as_str).filter(|value| !value.is_empty()).collect();
            Some(format!("allowed are: {}", values.join(", ")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        let number = |text: &str| text.parse::<u32>().map_err(|_| format!("'{text}' is not a number"));
        conventions(
            Command::new("sbatch").args([
                Arg::new("time").long("time").short('t').value_parser(number),
                Arg::new("time-min").long("time-min"),
                Arg::new("hold").long("hold").short('H').action(ArgAction::SetTrue),
                Arg::new("export").long("export"),
                Arg::new("exclude").long("exclude"),
                Arg::new("mode").long("open-mode").value_parser(["append", "truncate"]),
                optional_value(Arg::new("nice").long("nice")),
                Arg::new("script").num_args(0..).trailing_var_arg(true),
            ]),
            Some('h'),
        )
    }

    fn parsed(words: &[&str]) -> Outcome<ArgMatches> {
        read(&mut command(), &words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_understood_as_getopt_does() {
        let script = |words: &[&str]| -> Vec<String> {
            parsed(words).expect("understood").get_many("script").unwrap_or_default().cloned().collect()
        };
        for words in [["--time", "5"], ["-t", "5"], ["--tim=3", "-t5"], ["--time=5", "-H"], ["-Ht5", "--hol"]] {
            let value = parsed(&words).map(|m| m.get_one::<u32>("time").copied());
            let ambiguous = words.contains(&"--tim=3");
            assert_eq!(value.ok().flatten(), (!ambiguous).then_some(5), "{words:?}");
        }
        assert_eq!(script(&["-t", "5", "job.sh", "-t", "x", "--bogus"]), ["job.sh", "-t", "x", "--bogus"]);
        assert_eq!(parsed(&["--exp", "-x"]).expect("a value").get_one::<String>("export"), Some(&"-x".to_owned()));
        let nice = parsed(&["--nice", "job.sh"]).expect("an optional value");
        assert_eq!(nice.get_one::<String>("nice"), Some(&String::new()));
        assert_eq!(nice.get_one::<String>("script"), Some(&"job.sh".to_owned()));
    }

    #[test]
    fn what_is_wrong_is_said_as_slurm_does() {
        let hint = "Try \"sbatch --help\" for more information\n";
        for (words, text) in [
            (&["--bogus=1"][..], format!("sbatch: unrecognized option '--bogus=1'\n{hint}")),
            (&["-Z"], format!("sbatch: invalid option -- 'Z'\n{hint}")),
            (&["--ex=1"], format!("sbatch: option '--ex' is ambiguous; possibilities: '--export' '--exclude'\n{hint}")),
            (&["-t"], format!("sbatch: option requires an argument -- 't'\n{hint}")),
            (&["--time"], format!("sbatch: option '--time' requires an argument\n{hint}")),
            (&["--hold=1"], format!("sbatch: option '--hold' doesn't allow an argument\n{hint}")),
            (&["-t", "x"], "sbatch: error: Invalid --time specification\nsbatch: error: 'x' is not a number\n".into()),
            (
                &["--open-mode=x"],
                "sbatch: error: Invalid --open-mode specification\nsbatch: error: allowed are: append, truncate\n"
                    .into(),
            ),
        ] {
            let failure = parsed(words).expect_err("wrong");
            assert_eq!((failure.text(), failure.code()), (text, BAD_OPTION));
        }
    }

    #[test]
    fn an_optional_value_that_is_wrong_is_answered_with_those_that_can_be_written() {
        let optional = clap::Arg::new("exclusive").long("exclusive").num_args(0..=1).require_equals(true);
        let command = Command::new("sbatch").arg(optional.default_missing_value("").value_parser(["", "user", "mcs"]));
        let failure = read(&mut conventions(command, None), &["--exclusive=x".into()]).expect_err("no such value");
        assert!(failure.text().ends_with("sbatch: error: allowed are: user, mcs\n"), "{}", failure.text());
    }
}
