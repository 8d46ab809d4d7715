//! The clocks of noded and its launcher, in the shapes that they need.

pub(crate) use traces::clock::{boot_ms, wall_ms};

use std::sync::OnceLock;
use std::time::Instant;

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
