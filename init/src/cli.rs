//! `covey init`: its arguments, and what is said when it cannot start.

use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::environment;
use crate::service::Service;
use crate::supervisor::Supervisor;

/// The longest `--grace`: a day.
const GRACE_S_MAX: i64 = 24 * 60 * 60;
/// So many services may be named.
const SERVICES_MAX: usize = 16;

/// Is the first process of a container: starts daemons, starts each again that ends, and reaps what is left behind.
///
/// A service is a covey command with its arguments, after a -- of its own. SIGTERM and SIGINT stop the services, the last one first
/// and each when the one after it has gone, and then end the container.
#[derive(Debug, Parser)]
#[command(
    name = "covey init",
    version,
    override_usage = "covey init [OPTIONS] -- SERVICE ARGUMENTS... [-- SERVICE ARGUMENTS...]...",
    after_help = "Examples:\n  covey init -- controller --dir /var/lib/covey --listen 0.0.0.0:6817 -- noded --controller unix:///var/lib/covey/controller.sock\n  \
                  covey init --grace 40 --env-file /run/secrets/store -- noded --retire 20 --controller https://ctl:6817 --token-file /run/secrets/join"
)]
struct Arguments {
    /// How long all services together may take to stop; what is left then is killed.
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=GRACE_S_MAX))]
    grace: u32,
    /// A file with lines of NAME=VALUE for the services' environment, such as a secret with the keys of a store; may be given again.
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// The services, each with its arguments, divided by --.
    #[arg(last = true, required = true, value_name = "SERVICE")]
    services: Vec<OsString>,
}

/// The definition of its options.
#[must_use]
pub fn command() -> clap::Command {
    <Arguments as clap::CommandFactory>::command()
}

/// Runs `covey init` with these arguments until it is told to stop. Must be called before any thread exists.
#[must_use]
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let name = OsString::from("covey init");
    let arguments = match Arguments::try_parse_from(std::iter::once(name).chain(arguments)) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    match supervise(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut line = format!("covey init: error: {error}");
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

fn supervise(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let program = std::env::current_exe()?;
    let environment = environment::read_all(&arguments.env_file)?;
    let services = divided(&arguments.services)?;
    let services = services.into_iter().map(|words| Service::new(program.clone(), words, environment.clone()));
    Supervisor::new(services.collect(), Duration::from_secs(arguments.grace.into()))?.run()?;
    Ok(())
}

/// The words of each service.
fn divided(words: &[OsString]) -> Result<Vec<Vec<OsString>>, String> {
    let services: Vec<Vec<OsString>> = words.split(|word| word == "--").map(<[OsString]>::to_vec).collect();
    if services.iter().any(Vec::is_empty) {
        return Err("there is no service after a --: name one, such as noded, or leave that -- out".into());
    }
    if services.len() > SERVICES_MAX {
        return Err(format!("{} services are named, and {SERVICES_MAX} are the most", services.len()));
    }
    Ok(services)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Vec<Vec<OsString>>, String> {
        let words = std::iter::once("covey init").chain(words.iter().copied());
        let arguments = Arguments::try_parse_from(words).map_err(|error| error.to_string())?;
        divided(&arguments.services)
    }

    #[test]
    fn services_are_divided_by_dashes_of_their_own() {
        let services = read(&["--grace", "5", "--", "controller", "--dir", "/d", "--", "noded", "--cpus", "2"]);
        assert_eq!(services.expect("two"), [vec!["controller", "--dir", "/d"], vec!["noded", "--cpus", "2"]]);
        for bad in [&["--"][..], &["--grace", "0", "--", "noded"], &["noded"], &["--", "a", "--"], &["--", "--", "a"]] {
            read(bad).expect_err("no service, or none where one should be");
        }
        let many = std::iter::once("--").chain(std::iter::repeat_n(["a", "--"], SERVICES_MAX).flatten()).chain(["a"]);
        assert!(read(&many.collect::<Vec<_>>()).is_err_and(|error| error.contains("17 services")));
    }
}
