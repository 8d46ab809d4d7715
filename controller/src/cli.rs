//! `covey controller`: arguments, the log, and what is said when it cannot start.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tracing::error;

use crate::config::ConfigFile;
use crate::serve::{Serve, ServeError, serve};

/// Runs the controller: keeps the journal, decides what runs where, and answers commands and nodes.
#[derive(Debug, Parser)]
#[command(
    name = "covey controller",
    version,
    after_help = "Examples:\n  covey controller --dir /var/lib/covey\n  covey controller --dir D --listen-plain 127.0.0.1:6817\n\n\
                  COVEY_LOG filters the log (info, debug, controller=trace). SIGTERM stops it; tasks go on running."
)]
struct Arguments {
    /// The cluster's folder: journal/, log/, controller.sock and controller.pid are kept here.
    #[arg(long, env = "COVEY_DIR", value_name = "DIR")]
    dir: PathBuf,
    /// Settings under slurm.conf's names [default: DIR/covey.toml, if it is there].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
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
#[must_use]
pub fn command() -> clap::Command {
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
            let mut line = format!("covey controller: error: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                line.push_str(&format!(": {cause}"));
                source = cause.source();
            }
            eprintln!("{line}");
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
    serve(Serve { dir, config, config_file, listen_plain: arguments.listen_plain, metrics })?;
    Ok(())
}
