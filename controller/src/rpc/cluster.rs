//! `GetCluster`: the controller and its settings, under slurm.conf's names.

use proto::v1;

use super::Desk;

pub(super) fn describe(desk: &Desk) -> v1::GetClusterReply {
    let config = desk.config.load();
    let cluster = desk.published.cluster();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut settings: Vec<(&'static str, String)> = config.shown();
    settings.extend(of_this_controller(desk, &host));
    settings.push(("NEXT_JOB_ID", cluster.next_job().0.to_string()));
    settings.push(("MaxNodeCount", cluster.nodes().count().to_string()));
    settings.sort_unstable_by_key(|(key, _)| key.to_lowercase());
    v1::GetClusterReply {
        name: config.settings.cluster_name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host,
        epoch: desk.epoch,
        started_ms: desk.started_ms,
        settings: settings.into_iter().map(|(key, value)| v1::Setting { key: key.to_owned(), value }).collect(),
    }
}

/// What slurm.conf would say of this process.
fn of_this_controller(desk: &Desk, host: &str) -> [(&'static str, String); 8] {
    let uid = rustix::process::geteuid().as_raw();
    let user = if uid == 0 { "root".to_owned() } else { std::env::var("USER").unwrap_or_else(|_| uid.to_string()) };
    let user = format!("{user}({uid})");
    let inside = |name: &str| desk.dir.join(name).display().to_string();
    [
        ("SLURM_CONF", desk.config_file.path.display().to_string()),
        ("SlurmUser", user.clone()),
        ("SlurmdUser", user),
        ("SlurmctldHost[0]", host.to_owned()),
        ("SlurmctldPort", desk.plain_port.to_string()),
        ("SlurmctldLogFile", inside("log/controller.log")),
        ("SlurmctldPidFile", inside("controller.pid")),
        ("StateSaveLocation", inside("journal")),
    ]
}
