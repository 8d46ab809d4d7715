//! The one place of noded that reads a clock (the launcher, a process of its own, reads its own).

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since this process first asked; never goes back.
pub(crate) fn monotonic_ms() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Seconds since 1970.
pub(crate) fn wall_s() -> i64 {
    wall_ms().div_euclid(1000)
}

/// How long ago a moment of the wall clock was, in milliseconds; 0 when it lies ahead.
pub(crate) fn ms_since_wall(then_ms: i64) -> u64 {
    u64::try_from(wall_ms().saturating_sub(then_ms)).unwrap_or(0)
}

/// Milliseconds since 1970.
pub(crate) fn wall_ms_unsigned() -> u64 {
    wall_ms().max(0).unsigned_abs()
}

/// Milliseconds since 1970; before it in a machine that has lost its clock.
pub(crate) fn wall_ms() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}
