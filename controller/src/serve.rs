//! One controller from start to stop: opens the journal, recovers, takes the lead, listens, and ends in good order.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::{Stream, StreamExt};
use proto::listen::{ListenError, listen_unix};
use proto::v1::admission_server::AdmissionServer;
use proto::v1::controller_server::ControllerServer;
use proto::v1::membership_server::MembershipServer;
use proto::v1::node_link_server::NodeLinkServer;
use proto::{CALL_MESSAGE_BYTES_MAX, LINK_MESSAGE_BYTES_MAX};
use thiserror::Error;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::Request;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tracing::{info, warn};

use crate::audit::recorded::Record;
use crate::audit::{Audit, AuditError};
use crate::budget::Budget;
use crate::clock;
use crate::config::{Config, ConfigFile};
use crate::door::{Door, Guest};
use crate::driver::{Driver, Letter, Post, Published, mailbox};
use crate::inflow::BoundInflow;
use crate::journal::{Alone, Election, Journal, JournalError, SledJournal};
use crate::memory::set_up_heap;
use crate::prompt::Prompt;
use crate::recover::{RecoverError, recover};
use crate::reflection;
use crate::rpc::admission::Gatekeeper;
use crate::rpc::allocate::Watcher;
use crate::rpc::caller::{Gate, nodes_only};
use crate::rpc::link::Links;
use crate::rpc::membership::Members;
use crate::rpc::relay::Relay;
use crate::rpc::rights::Rights;
use crate::rpc::sign_blob::Signatory;
use crate::rpc::{Desk, SUBMIT_BYTES_MAX, SUBMIT_BYTES_OF_ONE_MAX};
use crate::statistics::calls::CountCalls;
use crate::statistics::scrape;
use crate::tls::{Authority, AuthorityError, Lives, Mint, Tls, own_names, welcome};

/// How long calls that are under way may take when the controller stops.
const STOP_WAIT: Duration = Duration::from_secs(2);

/// What a controller is started with.
#[derive(Debug)]
pub struct Serve {
    /// The cluster's folder.
    pub dir: PathBuf,
    /// Settings and partitions.
    pub config: Config,
    /// Where they were read from.
    pub config_file: ConfigFile,
    /// A port with TLS.
    pub listen: Option<SocketAddr>,
    /// Further names and addresses by which it is reached.
    pub advertise: Vec<String>,
    /// How long certificates are good.
    pub lives: Lives,
    /// A checkpoint is made after so many records.
    pub checkpoint_records: u64,
    /// A port without encryption, on this machine only.
    pub listen_plain: Option<SocketAddr>,
    /// Where Prometheus may ask.
    pub metrics: Option<SocketAddr>,
    /// The keys of blob stores, by which URLs are signed for nodes.
    pub stores: blobs::Environment,
}

/// Why a controller cannot start or go on. Each names what was in the way.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The folder cannot be made.
    #[error("cannot use the folder {}", dir.display())]
    Folder {
        /// Which.
        dir: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The journal is in use, damaged or newer.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal does not lead to a state.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The socket cannot be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The port is for others to reach.
    #[error("--listen-plain {0} is not an address of this machine alone: give 127.0.0.1:PORT or [::1]:PORT")]
    NotLoopback(SocketAddr),
    /// There is no CA, or it does not sign.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The port cannot be opened.
    #[error("cannot listen on {address}")]
    Port {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nor can the one for metrics.
    #[error(transparent)]
    Metrics(io::Error),
    /// The runtime or a thread cannot be started, or signals cannot be heard.
    #[error("the operating system gives no thread or signal")]
    Runtime(#[source] io::Error),
    /// The driver ended by itself.
    #[error(
        "the driver has ended, which is a defect; the journal holds all that was acknowledged: start the controller again"
    )]
    Driver,
    /// The audit log cannot be kept.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The server failed while it ran.
    #[error("the server stopped")]
    Server(#[from] tonic::transport::Error),
}

/// Runs a controller until SIGTERM or SIGINT.
///
/// # Errors
/// What kept it from starting; nothing has been changed then.
pub fn serve(serve: Serve) -> Result<(), ServeError> {
    set_up_heap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(ServeError::Runtime)?;
    if let Some(address) = serve.listen_plain.filter(|address| !address.ip().is_loopback()) {
        return Err(ServeError::NotLoopback(address));
    }
    let journal: Arc<dyn Journal> = Arc::new(SledJournal::open(&serve.dir.join("journal"))?);
    let cluster = recover(&*journal)?;
    let (audit, auditor) = Audit::open(serve.dir.join("audit"))?;
    let socket = serve.dir.join("controller.sock");
    let unix = runtime.block_on(listen_unix(&socket))?;
    let tcp = serve.listen_plain.map(|address| runtime.block_on(listen_tcp(address))).transpose()?;
    let secure = serve.listen.map(|address| runtime.block_on(Secure::open(&serve, address))).transpose()?;
    let metrics = serve.metrics.map(|address| runtime.block_on(traces::scrape::listen(address)));
    let metrics = metrics.transpose().map_err(ServeError::Metrics)?;
    let election = Alone::new(journal.clone(), vec![format!("unix://{}", socket.display())]);
    let epoch = election.campaign()?;
    let pid_file = serve.dir.join("controller.pid");
    write_pid(&pid_file).map_err(|source| ServeError::Folder { dir: serve.dir.clone(), source })?;

    let published = Arc::new(Published::new(cluster.clone(), journal.next_sequence()));
    let (post, mailbox) = mailbox();
    let driver = Driver::new(cluster, serve.config.clone(), journal.clone(), epoch, published.clone(), mailbox)
        .checkpoint_after(serve.checkpoint_records);
    let (alive, ended) = oneshot::channel::<()>();
    let run = move || {
        let _dropped_at_the_end = alive;
        driver.run();
    };
    let door = Door::open(serve.config.settings.connections_max);
    let driver = std::thread::Builder::new().name("driver".into()).spawn(run).map_err(ServeError::Runtime)?;
    let config = Arc::new(ArcSwap::from_pointee(serve.config));
    let desk = Desk {
        post: post.clone(),
        published: published.clone(),
        journal,
        audit: audit.clone(),
        rights: Rights::new(config.clone()),
        config,
        config_file: Arc::new(serve.config_file),
        plain_port: serve.listen_plain.map_or(0, |address| address.port()),
        epoch,
        started_ms: clock::now().0,
        submit_bytes: Budget::new(SUBMIT_BYTES_OF_ONE_MAX, SUBMIT_BYTES_MAX),
        submit_rate: Arc::default(),
        relay: Relay::new(post.clone(), published.clone()),
        readings: Arc::default(),
        holders: Arc::default(),
        dir: serve.dir.as_path().into(),
    };
    if let Some(listener) = metrics {
        runtime.spawn(traces::scrape::serve(listener, scrape::source(desk.published.clone())));
    }
    let (listen, listen_plain, metrics) = (serve.listen, serve.listen_plain, serve.metrics);
    info!(epoch, socket = %socket.display(), ?listen, ?listen_plain, ?metrics, "controller up");
    let signatory = Arc::new(Signatory::new(desk.published.clone(), desk.journal.clone(), serve.stores));
    let ways = Ways { unix, tcp, secure, node_life: serve.lives.node, signatory };
    let served = runtime.block_on(listen_until_told(desk, post.clone(), &door, ways, ended));
    runtime.block_on(post.put(Letter::Stop));
    if driver.join().is_err() {
        warn!("the driver has panicked; the journal holds all that was acknowledged");
    }
    audit.stop();
    if auditor.join().is_err() {
        warn!("the audit log's writer has panicked");
    }
    // The files go with the process that they stand for; a new one may already be starting.
    for file in [pid_file, socket] {
        fs::remove_file(&file).ok();
    }
    served
}

async fn listen_tcp(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Port { address, source })
}

fn write_pid(path: &std::path::Path) -> io::Result<()> {
    let aside = path.with_extension("pid.new");
    fs::write(&aside, format!("{}\n", std::process::id()))?;
    fs::rename(aside, path)
}

/// The ways in.
struct Ways {
    unix: UnixListener,
    tcp: Option<TcpListener>,
    secure: Option<Secure>,
    node_life: Duration,
    signatory: Arc<Signatory>,
}

/// A port with TLS, and the CA behind it.
struct Secure {
    listener: TcpListener,
    tls: Tls,
    authority: Arc<Authority>,
    mint: Arc<Mint>,
}

impl Secure {
    async fn open(serve: &Serve, address: SocketAddr) -> Result<Secure, ServeError> {
        let authority = Arc::new(Authority::open(&serve.dir.join("tls"))?);
        let names = own_names(address, &serve.advertise);
        info!(authority = %authority.fingerprint(), ?names, "TLS");
        let tls = Tls::new(authority.clone(), names, serve.lives.server)?;
        let mint = Mint::open(&serve.dir.join("tls"), authority.fingerprint(), &serve.config.settings.cluster_name)?;
        Ok(Secure { listener: listen_tcp(address).await?, tls, authority, mint: Arc::new(mint) })
    }
}

/// Serves all ways in until a signal, then gives calls under way [`STOP_WAIT`].
async fn listen_until_told(
    desk: Desk,
    post: Post,
    door: &Door,
    ways: Ways,
    driver_ended: oneshot::Receiver<()>,
) -> Result<(), ServeError> {
    let mut term = signal(SignalKind::terminate()).map_err(ServeError::Runtime)?;
    let mut int = signal(SignalKind::interrupt()).map_err(ServeError::Runtime)?;
    let (stop, stopped) = watch::channel(false);
    let told = |mut stopped: watch::Receiver<bool>| async move {
        // The sender gone means the same as a stop.
        let _gone = stopped.wait_for(|stop| *stop).await;
    };
    let Ways { unix, tcp, secure, node_life, signatory } = ways;
    let audit = desk.audit.clone();
    let server = server().layer(CountCalls(desk.published.clone())).layer(Record(audit.clone())).layer(BoundInflow);
    Watcher { post: desk.post.clone(), published: desk.published.clone(), holders: desk.holders.clone() }
        .wait_for_all();
    let keys = secure.as_ref().map(|secure| (secure.authority.clone(), secure.mint.clone()));
    let links = Links {
        post: post.clone(),
        rights: desk.rights.clone(),
        published: desk.published.clone(),
        audit: audit.clone(),
        relay: desk.relay.clone(),
        readings: desk.readings.clone(),
        signatory,
    };
    let routes = routes(desk, post, links, keys, node_life).await;
    let by_unix = server
        .clone()
        .add_routes(routes.clone())
        .serve_with_incoming_shutdown(by_user(door, unix), told(stopped.clone()));
    let by_tcp = async {
        match tcp {
            Some(tcp) => {
                let incoming = door.guests(TcpListenerStream::new(tcp), |_| None).map(|guest| guest.map(Prompt::new));
                let server = server.clone().add_routes(routes.clone());
                server.serve_with_incoming_shutdown(incoming, told(stopped.clone())).await
            }
            None => {
                told(stopped.clone()).await;
                Ok(())
            }
        }
    };
    let by_tls = async {
        let Some(Secure { listener, tls, .. }) = secure else {
            told(stopped.clone()).await;
            return Ok(());
        };
        let incoming = Box::pin(welcome(listener, tls.acceptor.clone(), door, audit));
        let server = server.clone().add_routes(routes.clone());
        tokio::select! {
            served = server.serve_with_incoming_shutdown(incoming, told(stopped.clone())) => served,
            () = tls.keep_fresh() => unreachable!("it goes on for ever"),
        }
    };
    let both = async { tokio::try_join!(by_unix, by_tcp, by_tls) };
    tokio::pin!(both);
    tokio::select! {
        served = &mut both => {
            served?;
        }
        // Without its driver a controller can only say no: better that it ends, and is started again.
        _ = driver_ended => return Err(ServeError::Driver),
        _ = term.recv() => info!("SIGTERM"),
        _ = int.recv() => info!("SIGINT"),
    }
    stop.send_replace(true);
    // Links of nodes never end by themselves: when the time has passed they are cut, and the nodes come again.
    if tokio::time::timeout(STOP_WAIT, both).await.is_err() {
        info!("cutting the calls that are still under way");
    }
    Ok(())
}

/// Those who come by the socket, counted by user; the controller's own user and root are not, who could end it all the same.
fn by_user(
    door: &Door,
    unix: UnixListener,
) -> impl Stream<Item = io::Result<Prompt<Guest<UnixStream>>>> + Send + 'static {
    let own = rustix::process::geteuid().as_raw();
    let other = move |uid: &u32| *uid != 0 && *uid != own;
    let whose = move |stream: &UnixStream| stream.peer_cred().ok().map(|peer| peer.uid()).filter(other);
    door.guests(UnixListenerStream::new(unix), whose).map(|guest| guest.map(Prompt::new))
}

fn server() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(1 << 22)
        .tcp_nodelay(true)
}

/// The services, each behind the gate that says for whom it is.
async fn routes(
    desk: Desk,
    post: Post,
    links: Links,
    keys: Option<(Arc<Authority>, Arc<Mint>)>,
    node_life: Duration,
) -> Routes {
    let published = desk.published.clone();
    let (authority, mint) = keys.unzip();
    let users = Gate { published: published.clone(), mint: mint.clone(), config: Some(desk.config.clone()) };
    // Tokens and members are no business of whoever is on a node.
    let admission = Gate { config: None, ..users.clone() };
    let gatekeeper = Gatekeeper {
        post: post.clone(),
        rights: desk.rights.clone(),
        published: published.clone(),
        authority: authority.clone(),
        mint,
    };
    let members = authority.map(|authority| {
        let (post, published) = (post.clone(), published.clone());
        MembershipServer::new(Members { post, published, authority, life: node_life, rate: Arc::default() })
    });
    let (health_reporter, health) = tonic_health::server::health_reporter();
    health_reporter.set_serving::<ControllerServer<Desk>>().await;
    let controller = ControllerServer::new(desk)
        .max_decoding_message_size(CALL_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(CALL_MESSAGE_BYTES_MAX);
    let links = NodeLinkServer::new(links)
        .max_decoding_message_size(LINK_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(LINK_MESSAGE_BYTES_MAX);
    let nodes = move |request: Request<()>| nodes_only(&published, request);
    let routes = Routes::new(health)
        .add_service(InterceptedService::new(reflection::v1(), users.clone()))
        .add_service(InterceptedService::new(reflection::v1alpha(), users.clone()))
        .add_service(InterceptedService::new(controller, users))
        .add_service(InterceptedService::new(AdmissionServer::new(gatekeeper), admission))
        .add_service(InterceptedService::new(links, nodes));
    match members {
        Some(members) => routes.add_service(members),
        None => routes,
    }
}
