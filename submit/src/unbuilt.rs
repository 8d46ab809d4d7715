//! Options that Slurm documents and Covey has not built. They are read, so that scripts keep working, and each says in one line
//! that it does nothing.

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches};

use crate::getopt::optional_value;

/// What an option takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Takes {
    Nothing,
    Value,
    OptionalValue,
}
use Takes::{Nothing, OptionalValue, Value};

/// Long name, short letter, and what it takes.
pub(crate) type Unbuilt = (&'static str, Option<char>, Takes);

/// A command's, in several parts because the commands share most of them.
pub(crate) type Tables = &'static [&'static [Unbuilt]];

/// What every command that asks for nodes takes.
const ASKING: &[Unbuilt] = &[
    ("acctg-freq", None, Value),
    ("bb", None, Value),
    ("bbf", None, Value),
    ("cluster-constraint", None, Value),
    ("container", None, Value),
    ("container-id", None, Value),
    ("contiguous", None, Nothing),
    ("core-spec", Some('S'), Value),
    ("cores-per-socket", None, Value),
    ("cpu-freq", None, Value),
    ("cpus-per-gpu", None, Value),
    ("delay-boot", None, Value),
    ("distribution", Some('m'), Value),
    ("extra-node-info", Some('B'), Value),
    ("gpu-bind", None, Value),
    ("gpu-freq", None, Value),
    ("gpus-per-socket", None, Value),
    ("gres-flags", None, Value),
    ("hint", None, Value),
    ("mcs-label", None, Value),
    ("mem-bind", None, Value),
    ("mem-per-gpu", None, Value),
    ("mincpus", None, Value),
    ("network", None, Value),
    ("no-kill", Some('k'), OptionalValue),
    ("ntasks-per-core", None, Value),
    ("ntasks-per-gpu", None, Value),
    ("ntasks-per-socket", None, Value),
    ("oom-kill-step", None, OptionalValue),
    ("overcommit", Some('O'), Nothing),
    ("oversubscribe", Some('s'), Nothing),
    ("power", None, Value),
    ("prefer", None, Value),
    ("profile", None, Value),
    ("reboot", None, Nothing),
    ("segment", None, Value),
    ("sockets-per-node", None, Value),
    ("spread-job", None, Nothing),
    ("stepmgr", None, Nothing),
    ("switches", None, Value),
    ("thread-spec", None, Value),
    ("threads-per-core", None, Value),
    ("tmp", None, Value),
    ("tres-bind", None, Value),
    ("tres-per-task", None, Value),
    ("use-min-nodes", None, Nothing),
];

/// sbatch's.
pub(crate) const SBATCH: Tables = &[
    ASKING,
    &[
        ("batch", None, Value),
        ("ignore-pbs", None, Nothing),
        ("resv-ports", None, OptionalValue),
        ("wait-all-nodes", None, Value),
    ],
];

/// salloc's.
pub(crate) const SALLOC: Tables = &[ASKING, &[X11]];

/// srun's: also of its steps and of itself.
pub(crate) const SRUN: Tables = &[
    ASKING,
    &[
        X11,
        ("accel-bind", None, Value),
        ("bcast", None, OptionalValue),
        ("bcast-exclude", None, Value),
        ("compress", None, OptionalValue),
        ("cpu-bind", None, Value),
        ("debugger-test", None, Nothing),
        ("epilog", None, Value),
        ("het-group", None, Value),
        ("launch-cmd", None, Nothing),
        ("launcher-opts", None, Value),
        ("msg-timeout", None, Value),
        ("no-allocate", Some('Z'), Nothing),
        ("preserve-env", Some('E'), Nothing),
        ("prolog", None, Value),
        ("relative", Some('r'), Value),
        ("resv-ports", None, OptionalValue),
        ("send-libs", None, OptionalValue),
        ("slurmd-debug", None, Value),
        ("task-epilog", None, Value),
        ("task-prolog", None, Value),
        ("threads", Some('T'), Value),
    ],
];

const X11: Unbuilt = ("x11", None, OptionalValue);

/// The options for the parser. Help does not list them.
pub(crate) fn arguments(tables: Tables) -> impl Iterator<Item = Arg> {
    tables.iter().copied().flatten().map(|(long, short, takes)| {
        let arg = Arg::new(*long).long(*long).short(*short).hide(true);
        match takes {
            Nothing => arg.action(ArgAction::SetTrue),
            Value => arg,
            OptionalValue => optional_value(arg),
        }
    })
}

/// The long names of those that were given.
pub(crate) fn given(tables: Tables, matches: &ArgMatches) -> Vec<&'static str> {
    let is_given = |long: &&str| matches.value_source(long) == Some(ValueSource::CommandLine);
    tables.iter().copied().flatten().map(|(long, ..)| *long).filter(is_given).collect()
}

/// The line for one that was given.
pub(crate) fn warning(long: &str) -> String {
    format!("--{long} is accepted and does nothing in Covey yet")
}
