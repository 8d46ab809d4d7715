//! Calling a controller: a channel over a unix socket, TLS or plain TCP, trying the places in turn until a time has passed.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{self, Channel, Uri};

use crate::endpoint::{Endpoint, Endpoints};
use crate::short_path::ShortPath;
use crate::trust::{Trust, bare, explain};

/// The pause between two rounds of tries, at first; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// The longest pause between two rounds of tries.
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// How long one try may take.
const TRY_MAX: Duration = Duration::from_secs(5);
/// How long a channel of [`channel_by_tls`] goes round the places when a call needs it: a controller that is being started again
/// needs a moment.
const CALL_PATIENCE: Duration = Duration::from_secs(3);
/// What such a channel takes in that nobody has asked for yet, in bytes.
const UNREAD_BYTES_MAX: u32 = 512 * 1024;

/// Nobody answered.
#[derive(Debug, Error)]
#[error("no controller answers at {endpoints}")]
pub struct DialError {
    /// Where.
    pub endpoints: Endpoints,
    /// What the last try met.
    #[source]
    pub source: TryError,
}

/// Why one place did not answer.
#[derive(Debug, Error)]
pub enum TryError {
    /// No connection.
    #[error(transparent)]
    Transport(#[from] transport::Error),
    /// Nothing is known to check a controller by that is reached by TLS.
    #[error("{0} is reached by TLS, and there is no CA certificate to check it by")]
    NoTrust(Endpoint),
}

impl DialError {
    /// Somebody is there who is not the controller that it should be, or does not speak TLS 1.3: to wait does not help.
    #[must_use]
    pub fn is_untrusted(&self) -> bool {
        matches!(self.source, TryError::NoTrust(_)) || self.io_kind() == Some(io::ErrorKind::InvalidData)
    }

    /// The operating system's error that the last try met, if it was one.
    #[must_use]
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&self.source);
        while let Some(error) = source {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return Some(error.kind());
            }
            source = error.source();
        }
        None
    }
}

/// Connects to the first place that answers; goes round them until `patience` has passed, and at least once.
///
/// # Errors
/// When no place answered in time.
pub async fn dial(endpoints: &Endpoints, patience: Duration) -> Result<Channel, DialError> {
    dial_trusting(endpoints, None, patience).await
}

/// Like [`dial`], also to places that are reached by TLS.
///
/// # Errors
/// When no place answered in time, or none is who it should be.
pub async fn dial_trusting(
    endpoints: &Endpoints,
    trust: Option<&Trust>,
    patience: Duration,
) -> Result<Channel, DialError> {
    dial_place(endpoints, trust, patience).await.map(|(channel, _)| channel)
}

/// Like [`dial_trusting`], and says which place has answered: what is secret may go to some alone.
///
/// # Errors
/// When no place answered in time, or none is who it should be.
pub async fn dial_place<'a>(
    endpoints: &'a Endpoints,
    trust: Option<&Trust>,
    patience: Duration,
) -> Result<(Channel, &'a Endpoint), DialError> {
    let deadline = Instant::now() + patience;
    let mut pause = PAUSE_MIN;
    loop {
        let mut failed = None;
        for endpoint in endpoints.iter() {
            match dial_one(endpoint, trust).await {
                Ok(channel) => return Ok((channel, endpoint)),
                Err(error) => failed = Some(error),
            }
        }
        let source = failed.expect("a list of endpoints is never empty");
        if Instant::now() + pause > deadline {
            return Err(DialError { endpoints: endpoints.clone(), source });
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// A channel to the first of these places that answers by TLS. It is made when a call needs it, and made again when it has broken;
/// `trust` is asked each time.
///
/// # Panics
/// Outside of a runtime.
pub fn channel_by_tls(places: &Endpoints, trust: impl Fn() -> Trust + Clone + Send + 'static) -> Channel {
    let hosts: Vec<String> = places.iter().filter_map(|place| place.tls_host().map(str::to_owned)).collect();
    let connect = move |_: Uri| connect_tls_in_turn(hosts.clone(), trust.clone());
    // The name is for nobody: the connector knows the places.
    tuned(transport::Endpoint::from_static("http://controller"))
        .initial_stream_window_size(UNREAD_BYTES_MAX)
        .initial_connection_window_size(UNREAD_BYTES_MAX)
        .connect_with_connector_lazy(tower::service_fn(connect))
}

async fn connect_tls_in_turn(
    hosts: Vec<String>,
    trust: impl Fn() -> Trust,
) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
    let deadline = Instant::now() + CALL_PATIENCE;
    let mut pause = PAUSE_MIN;
    loop {
        let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for host in &hosts {
            match connect_tls(host.clone(), trust()).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = error,
            }
        }
        // One who is not to be trusted does not get better.
        if failed.kind() == io::ErrorKind::InvalidData || Instant::now() + pause > deadline {
            return Err(failed);
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn dial_one(endpoint: &Endpoint, trust: Option<&Trust>) -> Result<Channel, TryError> {
    Ok(match endpoint {
        Endpoint::Tcp(host) => channel(format!("http://{host}"))?.tcp_nodelay(true).connect().await?,
        Endpoint::Tls(host) => {
            let trust = trust.ok_or_else(|| TryError::NoTrust(endpoint.clone()))?.clone();
            let place = host.clone();
            let connect = move |_: Uri| connect_tls(place.clone(), trust.clone());
            // The connector does the TLS, so the channel is not to look for it.
            channel(format!("http://{host}"))?.connect_with_connector(tower::service_fn(connect)).await?
        }
        Endpoint::Unix(path) => {
            let path = path.clone();
            let connect = move |_: Uri| connect_unix(path.clone());
            channel("http://localhost".into())?.connect_with_connector(tower::service_fn(connect)).await?
        }
    })
}

fn channel(uri: String) -> Result<transport::Endpoint, transport::Error> {
    transport::Endpoint::from_shared(uri).map(tuned)
}

fn tuned(endpoint: transport::Endpoint) -> transport::Endpoint {
    endpoint
        .connect_timeout(TRY_MAX)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(10))
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(1 << 22)
}

async fn connect_unix(path: PathBuf) -> io::Result<TokioIo<UnixStream>> {
    let short = ShortPath::of(&path)?;
    Ok(TokioIo::new(UnixStream::connect(short.as_path()).await?))
}

async fn connect_tls(host: String, trust: Trust) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
    let name = ServerName::try_from(bare(&host).to_owned()).map_err(io::Error::other)?;
    let connect = async {
        let stream = TcpStream::connect(&host).await?;
        stream.set_nodelay(true)?;
        TlsConnector::from(trust.config()).connect(name, stream).await
    };
    let connected =
        tokio::time::timeout(TRY_MAX, connect).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    connected.map(TokioIo::new).map_err(|error| match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(tls) => io::Error::new(error.kind(), explain(tls, &host)),
        None => error,
    })
}
