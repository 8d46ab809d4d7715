//! `Reconfigure`: the settings are read again, and hold from then on, but for those that only a start takes up.

use std::sync::Arc;

use proto::error::refused;
use proto::reason::ErrorReason;
use proto::v1;
use sched::step::Input;
use tonic::Status;

use super::{Desk, unavailable};
use crate::config::Config;
use crate::driver::{Letter, Unavailable};

/// The keys that a running controller cannot take up.
const KEPT: [&str; 5] = ["ClusterName", "HistoryDays", "KillWait", "MaxConnections", "MetricsAddress"];

pub(super) async fn reconfigure(desk: &Desk) -> Result<v1::ReconfigureReply, Status> {
    let mut fresh = desk.config_file.read().map_err(|error| {
        let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        refused(
            ErrorReason::SettingsInvalid,
            "Unable to read or parse the configuration",
            Some(&format!("{error}{source}")),
        )
    })?;
    let kept = keep(&desk.config.load(), &mut fresh);
    let fresh = Arc::new(fresh);
    if !desk.post.put(Letter::Config(Box::new(Config::clone(&fresh)))).await {
        return Err(unavailable(Unavailable::Stopping));
    }
    desk.post.ask(Input::Partitions(fresh.partitions.clone()), Vec::new()).await.map_err(unavailable)?;
    desk.config.store(fresh);
    Ok(v1::ReconfigureReply { kept })
}

/// Keeps what cannot change; answers which of these keys the file says otherwise.
fn keep(before: &Config, fresh: &mut Config) -> Vec<String> {
    let said = |config: &Config| config.shown().into_iter().filter(|(key, _)| KEPT.contains(key)).collect::<Vec<_>>();
    let changed: Vec<String> = said(fresh)
        .into_iter()
        .zip(said(before))
        .filter(|(fresh, before)| fresh != before)
        .map(|((key, _), _)| key.to_owned())
        .collect();
    let (settings, old) = (&mut fresh.settings, &before.settings);
    settings.cluster_name.clone_from(&old.cluster_name);
    (settings.history_days, settings.kill_wait_s) = (old.history_days, old.kill_wait_s);
    (settings.connections_max, fresh.metrics) = (old.connections_max, before.metrics);
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn what_only_a_start_takes_up_is_kept_and_told() {
        let before = config::read(std::path::Path::new("/nonexistent/covey.toml"), false).expect("defaults");
        let mut fresh = before.clone();
        fresh.settings.history_days = 3;
        fresh.settings.job_age_s_min = 7;
        assert_eq!(keep(&before, &mut fresh), ["HistoryDays"]);
        assert_eq!((fresh.settings.history_days, fresh.settings.job_age_s_min), (30, 7));
    }
}
