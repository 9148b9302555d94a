//! The running server: puts the parts together, says where it listens, and takes everything down in order.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::Router;
use prometheus_client::registry::Registry;
use rand::RngCore;
use rtc_backends::{Bus, Db, DbConfig};
use rtc_control::{
    Clock, Control, ControlConfig, ControlLimits, DevPair,
    webhooks::{Listening, OutboundPolicy, WebhooksConfig},
};
use rtc_model::RandomBits;
use rtc_node::{Node, NodeConfig};
use tokio::{
    net::{TcpListener, UnixListener},
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    admin::Admin,
    banner,
    config::{Config, Secret},
    data_dir::{DataDir, DataDirError, Ports},
    demo::{self, Demo},
    http::{self, Site},
    listener::{self, Bounds},
    metrics::ProcessCollector,
    output::Failure,
    tls,
};

/// Runs until SIGTERM, SIGINT or SIGHUP.
///
/// # Errors
/// A [`Failure`] that names what could not be used: directory, database, certificate, address.
pub(crate) async fn run(config: Config) -> Result<(), Failure> {
    let data = DataDir::create(&config.data.dir).map_err(|e| data_dir_failure(&e))?;
    data.remove_ports();
    // From here on a signal waits until the server can stop in order.
    let mut signals = Signals::new()?;
    let running = Running::start(&config, &data).await?;
    let ports = running.ports.clone();
    data.write_ports(&ports).map_err(|e| data_dir_failure(&e))?;
    banner::print(&config, &ports, running.join.as_deref());
    signals.next().await;
    tracing::info!(within = %config.shutdown.timeout, "shutting down; once more stops at once");
    data.remove_ports();
    tokio::select! {
        () = running.stop(config.shutdown.timeout.0) => tracing::info!("stopped"),
        () = signals.next() => tracing::warn!("stopped at once"),
    }
    data.remove("control.sock");
    Ok(())
}

/// Every part, at work.
struct Running {
    control: Control,
    node: Node,
    ports: Ports,
    accepting: Arc<AtomicBool>,
    stop: CancellationToken,
    tasks: TaskTracker,
    db: Db,
    /// The part of the page's address that joins the demo room.
    join: Option<String>,
}

impl Running {
    async fn start(config: &Config, data: &DataDir) -> Result<Self, Failure> {
        let admin_token = admin_token(config, data)?;
        let tls = tls::server_config(&config.tls, data).map_err(|e| {
            let advice = "Check tls.cert and tls.key, or use --tls self.";
            Failure::from_error("tls_unusable", &e, advice)
        })?;
        // The address first: it is what most often fails, and nothing else has begun by then.
        let http = bind(config.http.bind).await?;
        let db = open_database(config, data).await?;
        let bus = Bus::in_process();
        let mut registry = Registry::default();
        registry.register_collector(Box::new(ProcessCollector::new()));
        let http_addr = http.local_addr().map_err(|e| address_failure(config.http.bind, &e))?;
        let node = Node::start(node_config(config), bus.clone(), &mut registry)
            .map_err(|e| media_failure(config.media_bind(), &e))?;
        let control = Control::start(
            control_config(config, &admin_token, http_addr),
            db.clone(),
            bus,
            node.id(),
            &mut registry,
        )
        .await
        .map_err(|e| control_failure(&e))?;

        let mut running = Self {
            ports: Ports { http: http_addr, media_udp: node.media_addrs() },
            control,
            node,
            accepting: Arc::new(AtomicBool::new(true)),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            db,
            join: None,
        };
        let api = http::local(running.control.router(), &admin_token);
        running.listen_locally(config, data, api.clone())?;
        let api = Admin::within(api);
        let demo = Demo::prepare(&api, data).await?;
        running.join = demo.fragment(&api).await;
        let demo = demo::router(demo, api);
        let site = Site {
            registry: Arc::new(registry),
            db: running.db.clone(),
            accepting: Arc::clone(&running.accepting),
            admin_token,
            trusted_proxies: config.http.trusted_proxies.as_slice().into(),
            body_timeout: config.http.body_timeout.0,
        };
        let site = http::public(site, running.control.router(), demo, running.node.router());
        running.listen(config, http, tls.map(TlsAcceptor::from), site);
        Ok(running)
    }

    /// Opens the door of local commands.
    fn listen_locally(&self, config: &Config, data: &DataDir, api: Router) -> Result<(), Failure> {
        let socket = bind_control_socket(data)?;
        let (stop, tasks) = (self.stop.clone(), self.tasks.clone());
        self.tasks.spawn(listener::run_unix(socket, api, Bounds::new(&config.http), stop, tasks));
        Ok(())
    }

    /// Opens the door for everybody.
    fn listen(&self, config: &Config, http: TcpListener, tls: Option<TlsAcceptor>, site: Router) {
        let (stop, tasks) = (self.stop.clone(), self.tasks.clone());
        self.tasks.spawn(listener::run_tcp(
            http,
            tls,
            site,
            Bounds::new(&config.http),
            stop,
            tasks,
        ));
    }

    /// Stops accepting, says goodbye to participants, delivers what is in flight; what is not done
    /// by the deadline is cut.
    async fn stop(self, deadline: Duration) {
        self.accepting.store(false, Ordering::Relaxed);
        self.stop.cancel();
        self.tasks.close();
        let orderly = async {
            self.node.shutdown(deadline).await;
            self.control.shutdown(deadline).await;
            self.tasks.wait().await;
        };
        if timeout(deadline, orderly).await.is_err() {
            tracing::warn!(connections = self.tasks.len(), "cut what did not end in time");
        }
        self.db.close().await;
    }
}

fn node_config(config: &Config) -> NodeConfig {
    NodeConfig {
        media: config.media_bind(),
        public_ip: config.media.public_ip,
        threads: config.media.threads,
        trusted_proxies: config.http.trusted_proxies.clone(),
        limits: config.node_limits(),
        room_limits: config.room_limits(),
        estimate_bandwidth: config.media.estimate_bandwidth,
        ..NodeConfig::default()
    }
}

/// The control plane's store: the one configured, or a file of the data directory.
pub(crate) async fn open_database(config: &Config, data: &DataDir) -> Result<Db, Failure> {
    let url = config.postgres.as_ref().and_then(|postgres| postgres.url.as_ref());
    let (place, advice) = match url {
        Some(url) => (
            DbConfig::Postgres { url: url.expose().to_owned() },
            "Check that the PostgreSQL server runs and that postgres.url is right.",
        ),
        None => (
            DbConfig::Sqlite { path: data.file("sparkrtc.db") },
            "Check the disk, or restore the data directory from a backup.",
        ),
    };
    Db::open(&place).await.map_err(|e| Failure::from_error("database_unusable", &e, advice))
}

/// The administrator's token: the one configured, or the one of the data directory.
pub(crate) fn admin_token(config: &Config, data: &DataDir) -> Result<Secret, Failure> {
    match &config.admin.token {
        Some(token) => Ok(token.clone()),
        None => data.admin_token().map_err(|e| data_dir_failure(&e)),
    }
}

/// What the control plane is told; `http` is where this server listens or would listen.
pub(crate) fn control_config(
    config: &Config,
    admin_token: &Secret,
    http: SocketAddr,
) -> ControlConfig {
    ControlConfig {
        admin_token: rtc_control::Secret::new(admin_token.expose()),
        public_url: banner::public_url(config, http),
        base_domain: config.apps.base_domain.clone(),
        dev_pair: config.apps.dev_pair.then(DevPair::customary),
        limits: ControlLimits::default(),
        webhooks: webhooks_config(config, http),
        clock: Clock::System,
    }
}

fn webhooks_config(config: &Config, http: SocketAddr) -> WebhooksConfig {
    let allowed = config.callbacks.allow_networks.clone();
    // A proxy in front brings strangers to a listener on loopback.
    let proxied = !config.http.trusted_proxies.is_empty();
    let listening = if proxied { Listening::Anywhere } else { Listening::at(http) };
    let policy = OutboundPolicy::new(listening, allowed);
    WebhooksConfig { urls: config.webhooks.urls.clone(), policy: Arc::new(policy) }
}

pub(crate) fn control_failure(error: &rtc_control::Error) -> Failure {
    Failure::from_error("control_plane", error, "See the log for the cause.")
}

/// Random bits of the operating system.
pub(crate) struct OsBits;

impl RandomBits for OsBits {
    fn next_bits(&mut self) -> u64 {
        rand::rng().next_u64()
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|e| address_failure(address, &e))
}

fn address_failure(address: SocketAddr, error: &io::Error) -> Failure {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "Another server may be running. Stop it, or choose another address with --http."
        }
        io::ErrorKind::PermissionDenied => {
            "Ports below 1024 need a privilege; choose a higher one."
        }
        _ => "Choose an address of this machine with --http.",
    };
    Failure::new("address_unusable", format!("cannot listen on {address}: {error}"), advice)
}

fn media_failure(address: SocketAddr, error: &dyn std::error::Error) -> Failure {
    let cause = crate::output::chain(error);
    let advice = "Another server may be running. Stop it, or choose another address with --media.";
    Failure::new(
        "media_address_unusable",
        format!("cannot start media on {address}: {cause}"),
        advice,
    )
}

pub(crate) fn data_dir_failure(error: &DataDirError) -> Failure {
    match error {
        DataDirError::Held(_) => Failure::from_error(
            "data_dir_held",
            error,
            "Stop the other server, or choose another directory with --data-dir.",
        ),
        DataDirError::Missing(_) => Failure::from_error(
            "data_dir_missing",
            error,
            "Start `sparkrtc` once, or name the directory with --data-dir.",
        ),
        DataDirError::Io { .. } => Failure::from_error(
            "data_dir_unusable",
            error,
            "Check that the directory belongs to you and has room.",
        ),
    }
}

/// The socket of local commands; mode 0600 inside a directory of mode 0700.
fn bind_control_socket(data: &DataDir) -> Result<UnixListener, Failure> {
    let path = data.file("control.sock");
    // Left by a server that was killed: we hold the lock, so nobody listens.
    data.remove("control.sock");
    let bound = UnixListener::bind(&path).and_then(|listener| {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    });
    bound.map_err(|error| {
        let message = format!("cannot listen on {}: {error}", path.display());
        let advice = "A path of at most 100 characters on a local disk is needed; see --data-dir.";
        Failure::new("control_socket_unusable", message, advice)
    })
}

/// The wishes to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// The terminal was closed.
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let open =
            |kind| signal(kind).map_err(|e| Failure::from_error("signals", &e, "Report this."));
        Ok(Self {
            terminate: open(SignalKind::terminate())?,
            interrupt: open(SignalKind::interrupt())?,
            hangup: open(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
