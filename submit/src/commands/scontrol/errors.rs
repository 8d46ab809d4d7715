//! `errnumstr`: Slurm's texts by its numbers, for those that Covey's commands can answer with (slurm_errno.h).

use std::process::ExitCode;

use crate::failure::{Failure, Outcome, print};

const TEXTS: [(u32, &str); 36] = [
    (0, "No error"),
    (2000, "Invalid partition name specified"),
    (2001, "No partition specified or system default partition"),
    (2002, "Access/permission denied"),
    (2004, "Requested nodes not in this partition"),
    (2005, "More processors requested than permitted"),
    (2006, "Node count specification invalid"),
    (2010, "Invalid user id"),
    (2014, "Requested node configuration is not available"),
    (2015, "Requested partition configuration not available now"),
    (2017, "Invalid job id specified"),
    (2018, "Invalid node name specified"),
    (2021, "Job/step already completing or completed"),
    (2024, "Job is pending execution"),
    (2028, "Invalid node state specified"),
    (2029, "Invalid feature specification"),
    (2036, "Requested operation not supported on this system"),
    (2037, "Requested operation is presently disabled"),
    (2038, "Job dependency problem"),
    (2042, "Job is in held state, pending scheduler release"),
    (2044, "Memory required by task is not available"),
    (2048, "Invalid license specification"),
    (2050, "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"),
    (2051, "Requested time limit is invalid (missing or exceeds some limit)"),
    (2052, "Access denied to requested reservation"),
    (2053, "Requested reservation is invalid"),
    (2066, "Invalid qos specification"),
    (2068, "Required node not available (down, drained or reserved)"),
    (2070, "Required partition not available (inactive or drain)"),
    (2071, "Circular job dependency"),
    (2072, "Invalid generic resource (gres) specification"),
    (2073, "Job is no longer pending execution"),
    (2081, "Invalid job array specification"),
    (2084, "Job has already finished"),
    (2085, "Job is not running"),
    (2088, "Job is not finished"),
];

/// Prints the text of a number.
pub(super) fn text(words: &[&str]) -> Outcome<ExitCode> {
    let [word] = words else { return Err(Failure::new("one arguments required for keyword:errnumstr")) };
    let Ok(number) = word.parse::<u32>() else {
        return Err(Failure::new("numeric arguments required for keyword:errnumstr"));
    };
    match TEXTS.iter().find(|(known, _)| *known == number) {
        Some((_, text)) => print(format_args!("{text}\n")),
        None => print(format_args!("Unknown error {number}\n")),
    }
}
