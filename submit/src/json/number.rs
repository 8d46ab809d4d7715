//! Numbers that may be unset or infinite, times, lengths of time and exit codes, as Slurm writes them.

use serde_json::{Value, json};

/// A number.
pub(crate) fn set(number: impl Into<Value>) -> Value {
    json!({ "set": true, "infinite": false, "number": number.into() })
}

/// No number.
pub(crate) fn unset() -> Value {
    json!({ "set": false, "infinite": false, "number": 0 })
}

/// More than any number.
pub(crate) fn infinite() -> Value {
    json!({ "set": false, "infinite": true, "number": 0 })
}

/// A number, or none.
pub(crate) fn or_unset(number: Option<impl Into<Value>>) -> Value {
    number.map_or_else(unset, set)
}

/// A number, or no bound.
pub(crate) fn or_infinite(number: Option<impl Into<Value>>) -> Value {
    number.map_or_else(infinite, set)
}

/// A number that stands for none when it is 0.
pub(crate) fn nonzero(number: u64) -> Value {
    or_unset(Some(number).filter(|number| *number != 0))
}

/// A point in time, seconds since 1970; 0 is none.
pub(crate) fn time(unix_ms: i64) -> Value {
    or_unset(Some(unix_ms / 1000).filter(|_| unix_ms != 0))
}

/// A point in time where Slurm writes a bare number.
pub(crate) fn seconds(unix_ms: i64) -> i64 {
    unix_ms / 1000
}

/// CPU time.
pub(crate) fn cpu_time(us: u64) -> Value {
    json!({ "seconds": us / 1_000_000, "microseconds": us % 1_000_000 })
}

/// How a process ended.
pub(crate) fn exit_code(code: u32, signal: u32) -> Value {
    let status = match (code, signal) {
        (0, 0) => "SUCCESS",
        (_, 0) => "ERROR",
        _ => "SIGNALED",
    };
    let name = sched::spec::signal::signal_name(signal).unwrap_or_default();
    json!({
        "status": [status],
        "return_code": if signal == 0 { set(code) } else { unset() },
        "signal": { "id": nonzero(signal.into()), "name": name },
    })
}
