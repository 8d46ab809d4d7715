//! Whether the controller is there, as `scontrol ping --json` writes it.

use serde_json::json;

use super::{Document, Meta};

/// The one controller, and how long it took to answer, microseconds; `None` for one that did not.
pub(crate) fn document<'a>(host: &'a str, latency_us: Option<u64>, meta: &Meta) -> Document<'a> {
    let ping = move || {
        let up = latency_us.is_some();
        json!({
            "hostname": host,
            "pinged": if up { "UP" } else { "DOWN" },
            "responding": up,
            "latency": latency_us.unwrap_or(0),
            "mode": "primary",
            "primary": true,
        })
    };
    meta.around("pings", move || std::iter::once_with(ping), json!({}))
}
