//! Bringing a cluster on this machine up, and down.
//!
//! What lives is adopted, what is missing is started, and the cluster is up when the controller says that every node
//! answers. A start that fails, or is given up, is undone: see [`Cluster::undo`].

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use proto::dial::dial;
use proto::v1::ListNodesRequest;
use sched::spec::hostlist;
use thiserror::Error;
use tokio::time::{Instant, sleep, timeout};

use super::daemon::Daemon;
use super::layout::{Claim, Layout, LayoutError};
use super::options::{Asked, Options, OptionsError};
use super::process::{ProcessError, Stopped, own_program};
use super::started::{Started, stop_in_order};
use crate::call::{client, unnamed};

/// The pause between two looks at the nodes.
const LOOK_PAUSE: Duration = Duration::from_millis(15);

/// One look; a controller that takes longer is asked again.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// For a daemon to go by itself when a start is undone. A launcher gives its tasks 10 seconds.
const UNDO_PATIENCE: Duration = Duration::from_secs(15);

/// Why a cluster does not come up or go down.
#[derive(Debug, Error)]
pub(crate) enum ClusterError {
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error(transparent)]
    Options(#[from] OptionsError),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("the cluster in {} is complete: the controller and {} run (since {since})", dir.display(), counted(*nodes))]
    Complete { dir: PathBuf, nodes: usize, since: String },
    #[error("nothing is up in {}", .0.display())]
    NothingUp(PathBuf),
    #[error("{daemon} ended at once ({status}); the last lines of {}:\n{said}", output.display())]
    Died { daemon: Daemon, status: ExitStatus, output: PathBuf, said: String },
    #[error("not all nodes answer after {seconds} s; missing: {missing}; see the logs in {}", logs.display())]
    NotReady { seconds: u64, missing: String, logs: PathBuf },
}

/// A cluster whose folder is held by this process.
#[derive(Debug)]
pub(crate) struct Cluster {
    layout: Layout,
    options: Options,
    missing: Vec<Daemon>,
    started: Started,
    _claim: Claim,
}

impl Cluster {
    /// Claims the folder and finds out what there is to start.
    ///
    /// # Errors
    /// When the folder cannot be used, the options contradict what runs, or nothing is missing.
    pub(crate) fn prepare(layout: Layout, asked: &Asked) -> Result<Cluster, ClusterError> {
        let (layout, claim) = layout.claim()?;
        let alive = Daemon::all(&layout).iter().any(|daemon| daemon.find(&layout).is_some());
        let options = asked.resolve(&layout, alive)?;
        let nodes = options.node_names();
        let wanted = [Daemon::Controller].into_iter().chain(nodes.into_iter().map(Daemon::Noded));
        let missing = wanted.filter(|daemon| daemon.find(&layout).is_none()).collect::<Vec<_>>();
        if missing.is_empty() {
            let (dir, nodes) = (layout.dir().to_owned(), options.node_names().len());
            return Err(ClusterError::Complete { dir, nodes, since: since(&layout) });
        }
        Ok(Cluster { layout, options, missing, started: Started::default(), _claim: claim })
    }

    /// Starts what is missing, and waits until every node answers or `patience` is over.
    ///
    /// # Errors
    /// When something cannot be started, ends at once, or does not answer. What was started still runs then.
    pub(crate) async fn start(&mut self, patience: Duration) -> Result<(), ClusterError> {
        self.options.write(&self.layout.options())?;
        let program = own_program()?;
        for daemon in std::mem::take(&mut self.missing) {
            let args = arguments(&daemon, &self.layout, &self.options);
            self.started.start(daemon, &program, &args, &self.layout)?;
        }
        self.wait_ready(patience).await
    }

    /// Stops again what [`Cluster::start`] started, and leaves what lived before.
    ///
    /// # Errors
    /// When a process may not be stopped, or does not die.
    pub(crate) fn undo(&mut self) -> Result<(), ProcessError> {
        self.started.stop(&self.layout, UNDO_PATIENCE)
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// How many of controller and nodes were started, and how many lived before.
    pub(crate) fn started_and_adopted(&self) -> (usize, usize) {
        let started = self.started.len();
        (started, self.options.node_names().len() + 1 - started)
    }

    async fn wait_ready(&mut self, patience: Duration) -> Result<(), ClusterError> {
        let deadline = Instant::now() + patience;
        let wanted = self.options.node_names().into_iter().collect::<BTreeSet<_>>();
        loop {
            self.started.check()?;
            let ready = timeout(LOOK_MAX.min(patience), ready_nodes(&self.layout)).await.ok().flatten();
            let missing = wanted.difference(&ready.unwrap_or_default()).cloned().collect::<Vec<_>>();
            if missing.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let (missing, logs) = (hostlist::compress(&missing), self.layout.dir().join("log"));
                return Err(ClusterError::NotReady { seconds: patience.as_secs(), missing, logs });
            }
            sleep(LOOK_PAUSE).await;
        }
    }
}

/// Stops everything that lives in this folder, nodes added by hand as well.
///
/// # Errors
/// When nothing lives there, or something cannot be stopped.
pub(crate) fn stop_all(layout: &Layout, patience: Duration) -> Result<Vec<Stopped>, ClusterError> {
    let daemons = Daemon::all(layout);
    let living = |belongs: fn(&Daemon) -> bool| {
        daemons.iter().filter(|daemon| belongs(daemon)).filter_map(|daemon| daemon.find(layout)).collect::<Vec<_>>()
    };
    if living(|_| true).is_empty() {
        return Err(ClusterError::NothingUp(layout.dir().to_owned()));
    }
    let _claim = layout.lock()?;
    let nodes = living(|daemon| matches!(daemon, Daemon::Noded(_)));
    let controller = living(|daemon| *daemon == Daemon::Controller);
    let launchers = || living(|daemon| matches!(daemon, Daemon::Launcher(_)));
    Ok(stop_in_order(nodes, launchers, controller, patience)?)
}

/// `1 node`, `9 nodes`.
pub(crate) fn counted(nodes: usize) -> String {
    if nodes == 1 { "1 node".into() } else { format!("{nodes} nodes") }
}

fn arguments(daemon: &Daemon, layout: &Layout, options: &Options) -> Vec<OsString> {
    let dir = || ["--dir".into(), layout.dir().as_os_str().to_owned()];
    match daemon {
        Daemon::Controller => {
            let config = options.config.iter().flat_map(|path| ["--config".into(), path.as_os_str().to_owned()]);
            ["controller".into()].into_iter().chain(dir()).chain(config).collect()
        }
        Daemon::Noded(node) => {
            let named = ["noded".into(), "--name".into(), node.into()];
            let controller = ["--controller".into(), layout.endpoints().to_string().into()];
            let cpus = ["--cpus".into(), options.cpus.to_string().into()];
            let memory = ["--memory".into(), format!("{}M", options.memory_mib).into()];
            let lists = [("--features", &options.features), ("--gres", &options.gres)];
            let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
            let lists = lists.flat_map(|(option, list)| [option.into(), list.into()]);
            named.into_iter().chain(controller).chain(dir()).chain(cpus).chain(memory).chain(lists).collect()
        }
        Daemon::Launcher(node) => {
            ["launcher".into(), "--dir".into(), layout.node_dir(node).into()].into_iter().collect()
        }
    }
}

/// The nodes that answer, in service or not, if the controller answers.
async fn ready_nodes(layout: &Layout) -> Option<BTreeSet<String>> {
    let channel = unnamed(dial(&layout.endpoints(), Duration::ZERO).await.ok()?);
    let reply = client(&channel).list_nodes(ListNodesRequest {}).await.ok()?.into_inner();
    let ready = reply.nodes.into_iter().filter(|node| node.responds);
    Some(ready.map(|node| node.name).collect())
}

/// When the controller wrote its pid file, in local time.
fn since(layout: &Layout) -> String {
    let written = fs::metadata(Daemon::Controller.pid_file(layout)).and_then(|found| found.modified()).ok();
    let zoned = written.and_then(|time| jiff::Zoned::try_from(time).ok());
    zoned.map_or_else(|| "an unknown time".into(), |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn words(daemon: &Daemon, options: &Options) -> String {
        let layout = Layout::find(Some(Path::new("/nowhere/d"))).expect("a path");
        let words = arguments(daemon, &layout, options);
        words.iter().map(|word| word.to_str().expect("UTF-8")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn daemons_are_told_where_and_how_large() {
        let plain =
            Options { nodes: 2, cpus: 3, memory_mib: 512, config: None, features: String::new(), gres: String::new() };
        let settings = Options { config: Some("/etc/c.toml".into()), ..plain.clone() };
        assert_eq!(words(&Daemon::Controller, &plain), "controller --dir /nowhere/d");
        assert_eq!(words(&Daemon::Controller, &settings), "controller --dir /nowhere/d --config /etc/c.toml");
        assert_eq!(
            words(&Daemon::Noded("linux1".into()), &settings),
            "noded --name linux1 --controller unix:///nowhere/d/controller.sock --dir /nowhere/d --cpus 3 --memory 512M"
        );
        let more = Options { features: "fast,ssd".into(), gres: "gpu:2".into(), ..plain };
        let said = words(&Daemon::Noded("linux1".into()), &more);
        assert!(said.ends_with(" --memory 512M --features fast,ssd --gres gpu:2"), "{said}");
    }

    #[test]
    fn an_empty_folder_has_nothing_to_stop() {
        let folder = tempfile::tempdir().expect("a folder");
        let layout = Layout::find(Some(folder.path())).expect("a path");
        let error = stop_all(&layout, Duration::ZERO).expect_err("nothing is there");
        assert!(matches!(error, ClusterError::NothingUp(_)), "{error}");
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 0, "nothing was left there");
    }

    #[test]
    fn a_start_claims_its_folder_and_knows_what_is_missing() {
        let folder = tempfile::tempdir().expect("a folder");
        let layout = Layout::find(Some(folder.path())).expect("a path");
        let asked = Asked { nodes: Some(2), ..Asked::default() };
        let mut cluster = Cluster::prepare(layout.clone(), &asked).expect("nothing runs");
        let nodes = ["linux0", "linux1"].map(|node| Daemon::Noded(node.into()));
        assert_eq!(cluster.missing, [&[Daemon::Controller], &nodes[..]].concat());
        assert_eq!(cluster.started_and_adopted(), (0, 3));
        let second = Cluster::prepare(layout, &asked).expect_err("the first holds it");
        assert!(matches!(second, ClusterError::Layout(LayoutError::Busy { .. })), "{second}");
        cluster.undo().expect("nothing was started");
    }
}
