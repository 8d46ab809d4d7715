//! `covey noded` and `covey launcher`: arguments, log and pid file, and what is said when they cannot start.

use std::error::Error;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use blobs::Environment;
use clap::Parser;
use proto::endpoint::Endpoints;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use sched::ids::Name;
use sched::resources::{Amount, Cpus};
use sched::spec::constraint::{FeaturesError, read_features};
use sched::spec::gres::{Gres, GresError};
use sched::spec::size::Mebibytes;

use crate::node::{self, NodeSettings};
use crate::stage::StoreAuth;
use crate::{launcher, machine, signals};

/// Runs a node: offers this machine's CPUs and memory to a controller, and runs the tasks that it gets.
#[derive(Debug, Parser)]
#[command(
    name = "covey noded",
    version,
    after_help = "Examples:\n  covey noded --name linux1 --controller unix:///var/lib/covey/controller.sock --dir /var/lib/covey\n  \
                  covey noded --name big --controller https://ctl.example:6817 --token-file join.txt --dir /srv/node --cpus 8\n  \
                  covey noded --name linux1 --controller https://linux0:6817 --token-file /run/secrets/join --dir /var/lib/covey \\\n    \
                  --socket /run/covey/controller.sock\n\n\
                  SIGTERM stops it and leaves its tasks running for the next noded of that name, or retires the node where --retire says\n\
                  so; SIGINT (Ctrl-C) stops the tasks, which start again elsewhere, and takes the node out of the cluster."
)]
struct NodedArguments {
    /// The node's name: letters, digits, - _ and dots [default: this machine's host name].
    #[arg(long, value_name = "NAME", value_parser = node_name)]
    name: Option<String>,
    /// Where the controller is: unix:///path/controller.sock, https://HOST:PORT or http://127.0.0.1:PORT; a comma list is tried in its order.
    #[arg(long, env = "COVEY_CONTROLLER", value_name = "URL")]
    controller: Endpoints,
    /// A file with a join token (covey node token create), needed for https:// until the node has joined: then its certificate in
    /// DIR/nodes/NAME/tls is proof enough, and renews itself.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A further socket for commands on this machine or in this container, such as /run/covey/controller.sock, where they look by
    /// themselves; for nodes that reach the controller by https://. Jobs find DIR/nodes/NAME/calls.sock.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The folder for nodes/NAME/ (its spool), NAME.pid and log/NAME.log.
    #[arg(long, env = "COVEY_DIR", value_name = "DIR")]
    dir: PathBuf,
    /// CPUs that tasks may hold [default: those of this machine].
    #[arg(long, value_name = "C", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    cpus: Option<u32>,
    /// Memory that tasks may hold, such as 4G or 512M [default: this machine's].
    #[arg(long, value_name = "SIZE")]
    memory: Option<Mebibytes>,
    /// What this node is, for --constraint of jobs, such as fast,ssd.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "LIST", value_parser = features)]
    features: List<Name>,
    /// What else tasks may hold, as NAME[:TYPE][:COUNT],... such as gpu:a100:2,fpga:1; GPUs are numbered in this order.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "LIST", value_parser = gres)]
    gres: List<Gres>,
    /// On SIGTERM take the node out of the cluster, for a machine or container that goes away: nothing new comes, what runs may end
    /// for so long, and the rest is stopped and starts again elsewhere.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=RETIRE_S_MAX))]
    retire: Option<u32>,
    /// Serves Prometheus at http://ADDRESS/metrics, to whoever can reach it: the link, attempts, and what they used.
    #[arg(long, value_name = "127.0.0.1:PORT")]
    metrics: Option<SocketAddr>,
    /// Who lets this node at blobs in az://, s3:// and gs://: the controller, by URLs that it signs for one blob each; or this node
    /// itself, by keys or a role in its own environment (AWS_ACCESS_KEY_ID, ..., and the file that COVEY_STORE_KEYS names).
    #[arg(
        long,
        env = "COVEY_STORE_AUTH",
        value_name = "WHO",
        default_value = "controller",
        hide_possible_values = true
    )]
    store_auth: StoreAuth,
    /// How log lines look: text or json.
    #[arg(long, default_value = "text", value_name = "FORMAT")]
    log_format: traces::Format,
}

/// The longest `--retire`: a day.
const RETIRE_S_MAX: i64 = 24 * 60 * 60;

/// Is the parent of a node's tasks; noded starts it, and it outlives noded.
#[derive(Debug, Parser)]
#[command(name = "covey launcher", version)]
struct LauncherArguments {
    /// The node's folder.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// The definition of noded's options.
#[must_use]
pub fn command() -> clap::Command {
    <NodedArguments as clap::CommandFactory>::command()
}

/// Runs `covey noded` with these arguments until it is told to stop.
#[must_use]
pub fn run_noded(arguments: Vec<OsString>) -> ExitCode {
    let arguments: NodedArguments = parse("covey noded", arguments);
    conclude("covey noded", noded(arguments))
}

/// Runs `covey launcher` with these arguments until it is told to stop. Must be called before any thread exists.
#[must_use]
pub fn run_launcher(arguments: Vec<OsString>) -> ExitCode {
    let arguments: LauncherArguments = parse("covey launcher", arguments);
    conclude("covey launcher", launcher_in(&arguments.dir))
}

fn noded(arguments: NodedArguments) -> Result<(), Box<dyn Error>> {
    if arguments.socket.is_some() && arguments.controller.secure().is_none() {
        return Err("--socket is for nodes that reach the controller by https://: leave it out, and commands here use the controller's own socket".into());
    }
    signals::hold()?;
    let dir = std::path::absolute(&arguments.dir)?;
    let name = arguments.name.map_or_else(host_name, Ok)?;
    let folder = dir.join("nodes").join(&name);
    // Tasks of other users find their scripts in there, and nobody lists it.
    let mode = if rustix::process::geteuid().is_root() { 0o711 } else { 0o700 };
    let made = DirBuilder::new().recursive(true).mode(mode).create(&folder);
    made.map_err(|error| format!("cannot make the folder {}: {error}", folder.display()))?;
    fs::set_permissions(&folder, Permissions::from_mode(mode))
        .map_err(|error| format!("cannot set the mode of {}: {error}", folder.display()))?;
    let _lock = lock(&folder, &name)?;
    start_log(&dir.join("log").join(format!("{name}.log")), arguments.log_format)?;
    let memory_mib = match arguments.memory {
        Some(memory) => memory.0,
        None => machine::memory_mib()?,
    };
    let cpus = arguments.cpus.map_or_else(machine::cpus, Ok)?;
    let pid_file = dir.join(format!("{name}.pid"));
    fs::write(&pid_file, format!("{}\n", std::process::id()))
        .map_err(|error| format!("cannot write {}: {error}", pid_file.display()))?;
    let ran = node::run(NodeSettings {
        name,
        controller: arguments.controller,
        token_file: arguments.token_file,
        socket: arguments.socket.map(std::path::absolute).transpose()?,
        folder,
        program: std::env::current_exe()?,
        amount: Amount { cpus: Cpus::whole(cpus), memory_mib, ..Amount::default() },
        features: arguments.features.0,
        gres: arguments.gres.0,
        metrics: arguments.metrics,
        store_auth: arguments.store_auth,
        stores: match arguments.store_auth {
            StoreAuth::Controller => Environment::default(),
            StoreAuth::Node => Environment::from_environment()?,
        },
        retire: arguments.retire.map(|s| Duration::from_secs(s.into())),
    });
    // It stands for this process, which is about to go.
    fs::remove_file(pid_file).ok();
    Ok(ran?)
}

/// The values of one option.
#[derive(Clone, Debug)]
struct List<T>(Vec<T>);

fn features(text: &str) -> Result<List<Name>, FeaturesError> {
    read_features(text).map(List)
}

fn gres(text: &str) -> Result<List<Gres>, GresError> {
    Gres::list(text).map(List)
}

/// This machine's name, where it can be a node's.
fn host_name() -> Result<String, String> {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    node_name(&name).map_err(|error| format!("this machine is called {name:?}, and {error}: give --name"))
}

/// A name that can stand in a hostlist, a path and a table.
fn node_name(text: &str) -> Result<String, String> {
    if sched::node::is_name(text) {
        Ok(text.to_owned())
    } else {
        Err("a node's name has 1 to 64 letters, digits, dashes, underscores and dots, and begins with a letter or digit".into())
    }
}

/// Keeps a second noded from the same folder for as long as this one lives.
fn lock(folder: &Path, name: &str) -> Result<File, Box<dyn Error>> {
    let path = folder.join("noded.lock");
    let open = File::options().create(true).truncate(false).write(true).open(&path);
    let file = open.map_err(|error| format!("cannot open {}: {error}", path.display()))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(format!(
            "a noded named {name} runs already in {}: stop it first, or give another --name",
            folder.display()
        )
        .into()),
        Err(error) => Err(format!("cannot lock {}: {error}", path.display()).into()),
    }
}

fn launcher_in(dir: &Path) -> Result<(), Box<dyn Error>> {
    start_log(&dir.join("launcher.log"), traces::Format::Text)?;
    Ok(launcher::run(dir)?)
}

fn start_log(file: &Path, format: traces::Format) -> Result<(), traces::StartError> {
    traces::start(file, format, std::env::var(traces::FILTER_VARIABLE).ok().as_deref())
}

fn parse<A: Parser>(name: &str, arguments: Vec<OsString>) -> A {
    match A::try_parse_from(std::iter::once(OsString::from(name)).chain(arguments)) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    }
}

fn conclude(name: &str, ran: Result<(), Box<dyn Error>>) -> ExitCode {
    let Err(error) = ran else { return ExitCode::SUCCESS };
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        // Some errors say what their cause says.
        if !line.ends_with(&text) {
            line.push_str(&format!(": {text}"));
        }
        source = cause.source();
    }
    tracing::error!("{line}");
    eprintln!("{name}: error: {line}");
    ExitCode::FAILURE
}
