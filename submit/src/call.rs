//! Finding the controller and talking to it: runtime, places, patience, and what a failed call means to Slurm's users.
//!
//! Start at [`connect`]. Messages for the terminal are made in `failure`.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proto::dial::{DialError, dial_place};
use proto::endpoint::{Endpoint, EndpointError, Endpoints};
use proto::trust::{Trust, TrustError};
use proto::v1::controller_client::ControllerClient;
use thiserror::Error;
use tonic::service::interceptor::InterceptedService;
use tonic::transport;
use tonic::{Code, Status};

use crate::bearer::{Bearer, BearerError};

/// A connection to the controller, and what is shown on each call.
pub(crate) type Channel = InterceptedService<transport::Channel, Bearer>;

/// Where the controller is, for all commands.
const CONTROLLER_VARIABLE: &str = "COVEY_CONTROLLER";
/// How far up an ancestor is looked for that knows the controller.
const ANCESTORS_MAX: usize = 32;
/// Where a controller listens that serves the whole machine.
const MACHINE_SOCKET: &str = "/run/covey/controller.sock";
/// The variable that names a PEM file with the CA of a controller at https://.
const CA_VARIABLE: &str = "COVEY_CA_FILE";
/// How long to try where no socket exists: a mistyped folder should be told at once.
const PATIENCE_ABSENT: Duration = Duration::from_millis(300);
/// How long to try where there is a socket: a controller that is being started again needs a moment.
const PATIENCE_PRESENT: Duration = Duration::from_secs(3);

/// Why a call gave no answer.
#[derive(Debug, Error)]
pub(crate) enum CallError {
    /// `COVEY_CONTROLLER` names no place.
    #[error("COVEY_CONTROLLER")]
    Address(#[from] EndpointError),
    /// `COVEY_CONNECT_TIMEOUT` is no number of seconds.
    #[error("COVEY_CONNECT_TIMEOUT={0:?} is not a number of seconds from 0 to {TIMEOUT_S_MAX}")]
    Timeout(String),
    /// There is nothing to check the controller by.
    #[error("a controller at https:// is checked by the CA of its cluster: copy DIR/tls/ca.pem of the controller to {}, or name it in {CA_VARIABLE}", path.display())]
    Trust {
        /// Where it was looked for.
        path: PathBuf,
        /// Why it is not usable.
        #[source]
        source: TrustError,
    },
    /// The user's token is not usable.
    #[error(transparent)]
    Bearer(#[from] BearerError),
    /// Nobody answers there.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The connection was lost, and could not be made again in time.
    #[error("the connection to the controller was lost")]
    Lost(#[source] Status),
    /// The controller says no.
    #[error("{}", .0.message())]
    Refused(Status),
}

impl From<Status> for CallError {
    fn from(status: Status) -> CallError {
        // A controller that is too busy has answered: it says why.
        let busy = status.code() == Code::ResourceExhausted;
        if is_lost(&status) && !busy { CallError::Lost(status) } else { CallError::Refused(status) }
    }
}

impl CallError {
    /// Slurm's text for it.
    pub(crate) fn text(&self) -> String {
        match self {
            CallError::Dial(_) | CallError::Lost(_) => "Unable to contact slurm controller (connect failure)".into(),
            CallError::Refused(status) => status.message().to_owned(),
            CallError::Address(_) | CallError::Timeout(_) | CallError::Trust { .. } | CallError::Bearer(_) => {
                crate::failure::chain(self)
            }
        }
    }

    /// What the controller adds for people.
    pub(crate) fn detail(&self) -> Option<String> {
        match self {
            CallError::Refused(status) => proto::error::detail(status),
            _ => None,
        }
    }

    /// What the user can do.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            CallError::Dial(error) if error.is_untrusted() => Some(crate::failure::chain(error)),
            CallError::Dial(error) => Some(format!("{error}; start one with \"covey up\", or set COVEY_CONTROLLER")),
            CallError::Lost(_) => {
                Some("the controller went away during the call; try again, or look at its log".into())
            }
            _ => None,
        }
    }

    /// The code of a refusal.
    pub(crate) fn code(&self) -> Option<Code> {
        match self {
            CallError::Refused(status) => Some(status.code()),
            _ => None,
        }
    }
}

/// True when a call failed on its way, so that nobody knows whether it was heard, or found the controller full: what helps is to
/// come again. What a server says has no source.
pub(crate) fn is_lost(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::ResourceExhausted) || std::error::Error::source(status).is_some()
}

/// The longest `--connect-timeout`, in seconds.
pub(crate) const TIMEOUT_S_MAX: u32 = 86_400;

/// Runs a command's calls on this thread alone: no command needs a second one.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime needs only a few file descriptors").block_on(future)
}

/// The cluster folder: `COVEY_DIR`, else `.covey` in the home folder, made absolute.
pub(crate) fn cluster_folder() -> PathBuf {
    let given = std::env::var_os("COVEY_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let home = || Path::new(&std::env::var_os("HOME").unwrap_or_else(|| "/".into())).join(".covey");
    let folder = given.unwrap_or_else(home);
    std::path::absolute(&folder).unwrap_or(folder)
}

/// Where the controller is: `COVEY_CONTROLLER`, else the socket of the cluster folder or else the machine's. Inside a job that
/// was left without its variables, what the job was started with comes before any socket.
///
/// # Errors
/// When `COVEY_CONTROLLER` names no place.
pub(crate) fn endpoints() -> Result<Endpoints, CallError> {
    if let Some(list) = std::env::var(CONTROLLER_VARIABLE).ok().filter(|list| !list.is_empty()) {
        return Ok(list.parse()?);
    }
    if std::env::var_os("COVEY_DIR").is_none()
        && let Some(list) = of_ancestors(CONTROLLER_VARIABLE)
    {
        return Ok(list.parse()?);
    }
    let own = cluster_folder().join("controller.sock");
    let machine = Path::new(MACHINE_SOCKET);
    Ok(Endpoints::socket(if !own.exists() && machine.exists() { machine } else { &own }))
}

/// What a variable says in the environment of the nearest ancestor that has it.
fn of_ancestors(name: &str) -> Option<String> {
    let mut pid = std::os::unix::process::parent_id();
    for _ in 0..ANCESTORS_MAX {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let mut records = environment.split(|byte| *byte == 0);
        let value = records.find_map(|record| record.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            return Some(String::from_utf8_lossy(value).into_owned());
        }
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        pid = status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok()).filter(|pid| *pid > 0)?;
    }
    None
}

/// Finds the controller and connects. `timeout_s` is `--connect-timeout`; without it `COVEY_CONNECT_TIMEOUT` holds.
///
/// # Errors
/// When no place is named, or nobody answers in time.
pub(crate) async fn connect(timeout_s: Option<u32>) -> Result<Channel, CallError> {
    let endpoints = endpoints()?;
    let patience = patience(timeout_s)?.unwrap_or_else(|| default_patience(&endpoints));
    let trust = endpoints.secure().map(|_| trust()).transpose()?;
    let (channel, place) = dial_place(&endpoints, trust.as_ref(), patience).await?;
    let bearer = if matches!(place, Endpoint::Tls(_)) { Bearer::of_user()? } else { Bearer::default() };
    Ok(InterceptedService::new(channel, bearer))
}

/// The CA by which a controller is checked that is reached by TLS: `COVEY_CA_FILE`, else `covey/ca.pem` in the user's config folder.
fn trust() -> Result<Trust, CallError> {
    let path = file_named(CA_VARIABLE).unwrap_or_else(|| config_folder().join("ca.pem"));
    Trust::in_file(&path).map_err(|source| CallError::Trust { path, source })
}

/// The file that a variable names, here or, in a job that was left without its variables, where the controller is found.
pub(crate) fn file_named(variable: &str) -> Option<PathBuf> {
    let own = std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
    let bare = std::env::var_os(CONTROLLER_VARIABLE).is_none();
    own.or_else(|| of_ancestors(variable).filter(|_| bare).map(PathBuf::from))
}

/// Covey's folder among the user's settings: `XDG_CONFIG_HOME`, else `.config` in the home folder.
pub(crate) fn config_folder() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || set("HOME").unwrap_or_else(|| "/".into()).join(".config");
    set("XDG_CONFIG_HOME").unwrap_or_else(home).join("covey")
}

/// How long to come again, where somebody has said: `--connect-timeout`, or else `COVEY_CONNECT_TIMEOUT`.
///
/// # Errors
/// When the variable is no number of seconds.
pub(crate) fn patience(timeout_s: Option<u32>) -> Result<Option<Duration>, CallError> {
    let seconds = timeout_s.map_or_else(timeout_of_environment, |s| Ok(Some(s)))?;
    Ok(seconds.map(|seconds| Duration::from_secs(seconds.into())))
}

/// A connection over which nothing is shown: that of this machine's socket.
pub(crate) fn unnamed(channel: transport::Channel) -> Channel {
    InterceptedService::new(channel, Bearer::default())
}

/// The calls over a connection.
pub(crate) fn client(channel: &Channel) -> ControllerClient<Channel> {
    ControllerClient::new(channel.clone()).max_decoding_message_size(proto::CALL_MESSAGE_BYTES_MAX)
}

fn timeout_of_environment() -> Result<Option<u32>, CallError> {
    let Some(text) = std::env::var("COVEY_CONNECT_TIMEOUT").ok().filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let seconds = text.parse().ok().filter(|seconds| *seconds <= TIMEOUT_S_MAX);
    seconds.map(Some).ok_or(CallError::Timeout(text))
}

fn default_patience(endpoints: &Endpoints) -> Duration {
    let absent = |place: &proto::endpoint::Endpoint| match place {
        proto::endpoint::Endpoint::Unix(path) => !path.exists(),
        proto::endpoint::Endpoint::Tcp(_) | proto::endpoint::Endpoint::Tls(_) => false,
    };
    if endpoints.iter().all(absent) { PATIENCE_ABSENT } else { PATIENCE_PRESENT }
}

#[cfg(test)]
mod tests {
    use proto::reason::ErrorReason;

    use super::*;

    #[test]
    fn a_refusal_is_told_from_a_lost_call() {
        let refused =
            CallError::from(proto::error::refused(ErrorReason::UnknownJob, "Invalid job id specified", Some("job 5")));
        assert_eq!((refused.text(), refused.detail()), ("Invalid job id specified".into(), Some("job 5".into())));
        assert_eq!(refused.hint(), None);
        let lost = CallError::from(Status::unavailable("tcp connect error"));
        assert_eq!(lost.text(), "Unable to contact slurm controller (connect failure)");
        assert!(matches!(lost, CallError::Lost(_)));
        let busy = CallError::from(proto::error::refused(ErrorReason::TooFast, "Try later", Some("MaxSubmitRate")));
        assert_eq!((busy.text(), busy.detail()), ("Try later".into(), Some("MaxSubmitRate".into())));
    }
}
