//! `show hostnames`, `hostlist` and `hostlistsorted`: host lists and the names in them.

use std::process::ExitCode;

use sched::spec::hostlist;

use super::expand;
use crate::failure::{Failure, Outcome, print};

/// Without a list, the nodes of the job that this runs in.
pub(super) fn names(list: &str) -> Outcome<ExitCode> {
    let own = || std::env::var("SLURM_JOB_NODELIST").unwrap_or_default();
    let list = if list.is_empty() { own() } else { list.to_owned() };
    print(expand(&list)?.iter().map(|name| format!("{name}\n")).collect::<String>())
}

/// The list of these names, or of those in a file, as which a word with a slash at its front is taken.
pub(super) fn list(names: &str, sorted: bool) -> Outcome<ExitCode> {
    if names.is_empty() {
        return Err(Failure::new("scontrol: error: host list is empty"));
    }
    let names = if names.starts_with('/') { read(names)? } else { names.to_owned() };
    let hosts = expand(&names)?;
    let list = if sorted { hostlist::compress_sorted(&hosts) } else { hostlist::compress(&hosts) };
    print(format_args!("{list}\n"))
}

/// The names in a file, between blanks, commas and line breaks.
fn read(path: &str) -> Outcome<String> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::new(format_args!("scontrol: error: cannot read the host names in {path}: {error}"))
    })?;
    Ok(text.split([' ', '\t', '\n', ',']).filter(|name| !name.is_empty()).collect::<Vec<_>>().join(","))
}
