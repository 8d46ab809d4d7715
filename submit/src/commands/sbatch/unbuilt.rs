//! Options that Slurm documents and Covey has not built yet. They are read, so that scripts keep working, and each says
//! in one line that it does nothing. The one table of them is here.

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches};

use crate::failure::{Failure, Outcome};
use crate::getopt::optional_value;

/// What an option takes.
#[derive(Clone, Copy)]
enum Takes {
    Nothing,
    Value,
    OptionalValue,
}
use Takes::{Nothing, OptionalValue, Value};

/// Long name, short letter, and what it takes.
const UNBUILT: &[(&str, Option<char>, Takes)] = &[
    ("account", Some('A'), Value),
    ("acctg-freq", None, Value),
    ("batch", None, Value),
    ("bb", None, Value),
    ("bbf", None, Value),
    ("cluster-constraint", None, Value),
    ("clusters", Some('M'), Value),
    ("container", None, Value),
    ("container-id", None, Value),
    ("contiguous", None, Nothing),
    ("core-spec", Some('S'), Value),
    ("cores-per-socket", None, Value),
    ("cpu-freq", None, Value),
    ("cpus-per-gpu", None, Value),
    ("delay-boot", None, Value),
    ("distribution", Some('m'), Value),
    ("export-file", None, Value),
    ("extra", None, Value),
    ("extra-node-info", Some('B'), Value),
    ("get-user-env", None, OptionalValue),
    ("gid", None, Value),
    ("gpu-bind", None, Value),
    ("gpu-freq", None, Value),
    ("gpus-per-socket", None, Value),
    ("gres-flags", None, Value),
    ("hint", None, Value),
    ("ignore-pbs", None, Nothing),
    ("mail-type", None, Value),
    ("mail-user", None, Value),
    ("mcs-label", None, Value),
    ("mem-bind", None, Value),
    ("mem-per-gpu", None, Value),
    ("mincpus", None, Value),
    ("network", None, Value),
    ("no-kill", Some('k'), OptionalValue),
    ("nodefile", Some('F'), Value),
    ("ntasks-per-core", None, Value),
    ("ntasks-per-gpu", None, Value),
    ("ntasks-per-socket", None, Value),
    ("oom-kill-step", None, OptionalValue),
    ("overcommit", Some('O'), Nothing),
    ("oversubscribe", Some('s'), Nothing),
    ("power", None, Value),
    ("prefer", None, Value),
    ("profile", None, Value),
    ("propagate", None, OptionalValue),
    ("qos", Some('q'), Value),
    ("reboot", None, Nothing),
    ("reservation", None, Value),
    ("resv-ports", None, OptionalValue),
    ("segment", None, Value),
    ("sockets-per-node", None, Value),
    ("spread-job", None, Nothing),
    ("stepmgr", None, Nothing),
    ("switches", None, Value),
    ("thread-spec", None, Value),
    ("threads-per-core", None, Value),
    ("time-min", None, Value),
    ("tmp", None, Value),
    ("tres-bind", None, Value),
    ("tres-per-task", None, Value),
    ("uid", None, Value),
    ("use-min-nodes", None, Nothing),
    ("wait-all-nodes", None, Value),
    ("wckey", None, Value),
    (TEST_ONLY, None, Nothing),
];

/// The one option that must not be passed over: who gives it wants nothing to be submitted.
const TEST_ONLY: &str = "test-only";

/// The options for the parser. Help does not list them.
pub(super) fn arguments() -> impl Iterator<Item = Arg> {
    UNBUILT.iter().map(|(long, short, takes)| {
        let arg = Arg::new(*long).long(*long).short(*short).hide(true);
        match takes {
            Nothing => arg.action(ArgAction::SetTrue),
            Value => arg,
            OptionalValue => optional_value(arg),
        }
    })
}

/// The long names of those that were given.
pub(super) fn given(matches: &ArgMatches) -> Vec<&'static str> {
    let is_given = |long: &&str| matches.value_source(long) == Some(ValueSource::CommandLine);
    UNBUILT.iter().map(|(long, ..)| *long).filter(is_given).collect()
}

/// Says that they do nothing, one line each.
pub(super) fn announce(given: &[&str], quiet: bool) -> Outcome<()> {
    if given.contains(&TEST_ONLY) {
        return Err(Failure::new("sbatch: error: --test-only is not built in Covey yet; nothing was submitted"));
    }
    for long in given.iter().filter(|_| !quiet) {
        eprintln!("sbatch: warning: --{long} is accepted and does nothing in Covey yet");
    }
    Ok(())
}
