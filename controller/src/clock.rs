//! The one place of the controller that reads a clock.

use std::time::{SystemTime, UNIX_EPOCH};

use sched::ids::Timestamp;

/// The time now. It never goes back within one process: where the machine's clock was set back, it stands still.
#[must_use]
pub(crate) fn now() -> Timestamp {
    use std::sync::atomic::{AtomicI64, Ordering};
    static LATEST_MS: AtomicI64 = AtomicI64::new(0);
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX);
    Timestamp(LATEST_MS.fetch_max(now_ms, Ordering::Relaxed).max(now_ms))
}
