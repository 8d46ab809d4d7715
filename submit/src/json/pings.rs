//! Whether the controller is there, as `scontrol ping --json` writes it.

use serde_json::{Value, json};

use super::Meta;

/// The one controller, and how long it took to answer, microseconds; `None` for one that did not.
pub(crate) fn document(host: &str, latency_us: Option<u64>, meta: &Meta) -> Value {
    let up = latency_us.is_some();
    meta.around(json!({
        "pings": [{
            "hostname": host,
            "pinged": if up { "UP" } else { "DOWN" },
            "responding": up,
            "latency": latency_us.unwrap_or(0),
            "mode": "primary",
            "primary": true,
        }],
    }))
}
