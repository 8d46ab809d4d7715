//! The one place in which daemons read clocks: the wall's, which people set, and the machine's own, which nobody does.
//!
//! In builds for tests the wall's clock can be moved: the variable [`OFFSET_VARIABLE`] names a file with a number of milliseconds,
//! which is read anew each time. A release has no such code.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// In builds with debug assertions: the file that says by how many milliseconds the wall's clock is off.
pub const OFFSET_VARIABLE: &str = "COVEY_TEST_WALL_OFFSET_FILE";

/// Milliseconds since 1970; before it in a machine that has lost its clock. It may jump, in both directions.
#[must_use]
pub fn wall_ms() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX).saturating_add(offset_ms())
}

/// Milliseconds since the machine was started. It never jumps, and goes on while the machine sleeps; all processes of a machine
/// read the same.
#[must_use]
pub fn boot_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let (s, ns) = (now.tv_sec.max(0).unsigned_abs(), now.tv_nsec.max(0).unsigned_abs());
    s.saturating_mul(1000) + ns / 1_000_000
}

#[cfg(debug_assertions)]
fn offset_ms() -> i64 {
    use std::path::PathBuf;
    use std::sync::OnceLock;
    static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let file = FILE.get_or_init(|| std::env::var_os(OFFSET_VARIABLE).map(PathBuf::from));
    let text = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

#[cfg(not(debug_assertions))]
fn offset_ms() -> i64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_go() {
        let (wall, boot) = (wall_ms(), boot_ms());
        while wall_ms() == wall || boot_ms() == boot {
            std::hint::spin_loop();
        }
        assert!(boot_ms() > boot && wall_ms() > 1_600_000_000_000);
    }
}
