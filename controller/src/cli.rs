//! `covey controller`: arguments, the log, and what is said when it cannot start.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tracing::error;

use crate::config::ConfigFile;
use crate::driver::CHECKPOINT_RECORDS;
use crate::error_chain::chain;
use crate::serve::{Serve, ServeError, serve};
use crate::tls::{Lives, is_host_name};

/// A node's certificate is good for a day; it is renewed at two thirds of that.
const NODE_LIFE_S: u64 = 24 * 60 * 60;
/// The controller's certificate is good for a week, and renewed likewise.
const SERVER_LIFE_S: u64 = 7 * 24 * 60 * 60;

/// Runs the controller: keeps the journal, decides what runs where, and answers commands and nodes.
#[derive(Debug, Parser)]
#[command(
    name = "covey controller",
    version,
    after_help = "Examples:\n  covey controller --dir /var/lib/covey\n  covey controller --dir D --listen 0.0.0.0:6817 --advertise ctl.example\n  \
                  covey controller --dir D --listen-plain 127.0.0.1:6817\n\n\
                  COVEY_LOG filters the log (info, debug, controller=trace). SIGTERM stops it; tasks go on running.\n\n\
                  Keys of blob stores (AZURE_STORAGE_ACCOUNT_KEY, AWS_SECRET_ACCESS_KEY, ...) are read from the environment and from the\n\
                  file that COVEY_STORE_KEYS names; nodes are given URLs that are signed with them, for one blob and an hour each."
)]
struct Arguments {
    /// The cluster's folder: journal/, log/, controller.sock and controller.pid are kept here.
    #[arg(long, env = "COVEY_DIR", value_name = "DIR")]
    dir: PathBuf,
    /// Settings under slurm.conf's names [default: DIR/covey.toml, if it is there].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Also listens on this port with TLS 1.3; the cluster's CA is made in DIR/tls at the first start.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Names or addresses by which --listen is reached from elsewhere, beside this machine's own.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "listen", value_parser = host_name)]
    advertise: Vec<String>,
    /// How long a node's certificate is good, in seconds; for tests.
    #[arg(long, value_name = "SECONDS", default_value_t = NODE_LIFE_S, hide = true, value_parser = clap::value_parser!(u64).range(1..=NODE_LIFE_S))]
    node_certificate_life: u64,
    /// How long the controller's certificate is good, in seconds; for tests.
    #[arg(long, value_name = "SECONDS", default_value_t = SERVER_LIFE_S, hide = true, value_parser = clap::value_parser!(u64).range(1..=SERVER_LIFE_S))]
    server_certificate_life: u64,
    /// Makes a checkpoint after so many records; for tests.
    #[arg(long, value_name = "COUNT", default_value_t = CHECKPOINT_RECORDS, hide = true, value_parser = clap::value_parser!(u64).range(1..=CHECKPOINT_RECORDS))]
    checkpoint_records: u64,
    /// Also listens on this port without encryption; only addresses of this machine are allowed.
    #[arg(long, value_name = "127.0.0.1:PORT")]
    listen_plain: Option<SocketAddr>,
    /// Serves Prometheus at http://ADDRESS/metrics, to whoever can reach it: the queue by state, partition, user and account,
    /// passes, commits, calls and links, and the names of Slurm's usual exporter [default: MetricsAddress in the settings, else off].
    #[arg(long, value_name = "127.0.0.1:PORT")]
    metrics: Option<SocketAddr>,
    /// How log lines look: text or json.
    #[arg(long, default_value = "text", value_name = "FORMAT")]
    log_format: traces::Format,
}

/// The definition of its options.
pub(crate) fn command() -> clap::Command {
    <Arguments as clap::CommandFactory>::command()
}

/// Runs `covey controller` with these arguments until it is told to stop.
#[must_use]
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let name = OsString::from("covey controller");
    let arguments = match Arguments::try_parse_from(std::iter::once(name).chain(arguments)) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    match start(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(error = &*error as &dyn std::error::Error, "the controller cannot go on");
            eprintln!("covey controller: error: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::path::absolute(&arguments.dir)?;
    let filter = std::env::var(traces::FILTER_VARIABLE).ok();
    for (folder, mode) in [(dir.clone(), 0o755), (dir.join("journal"), 0o700), (dir.join("log"), 0o700)] {
        let made = DirBuilder::new().recursive(true).mode(mode).create(&folder);
        made.map_err(|source| ServeError::Folder { dir: folder, source })?;
    }
    traces::start(&dir.join("log/controller.log"), arguments.log_format, filter.as_deref())?;
    let path = arguments.config.clone().unwrap_or_else(|| dir.join("covey.toml"));
    let config_file = ConfigFile { path, asked: arguments.config.is_some() };
    let config = config_file.read()?;
    let metrics = arguments.metrics.or(config.metrics);
    let lives = Lives {
        server: Duration::from_secs(arguments.server_certificate_life),
        node: Duration::from_secs(arguments.node_certificate_life),
    };
    serve(Serve {
        dir,
        config,
        config_file,
        listen: arguments.listen,
        advertise: arguments.advertise.clone(),
        lives,
        checkpoint_records: arguments.checkpoint_records,
        listen_plain: arguments.listen_plain,
        metrics,
        stores: blobs::Environment::from_environment()?,
    })?;
    Ok(())
}

fn host_name(text: &str) -> Result<String, String> {
    if is_host_name(text) { Ok(text.to_owned()) } else { Err("give host names or addresses, without a port".into()) }
}
