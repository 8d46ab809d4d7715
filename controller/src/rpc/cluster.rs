//! `GetCluster`: the controller and its settings.

use proto::v1;

use super::Desk;

pub(super) fn describe(desk: &Desk) -> v1::GetClusterReply {
    let settings = desk.config.lines().into_iter();
    v1::GetClusterReply {
        name: desk.config.settings.cluster_name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        epoch: desk.epoch,
        started_ms: desk.started_ms,
        settings: settings.map(|(key, value)| v1::Setting { key: key.to_owned(), value }).collect(),
    }
}
