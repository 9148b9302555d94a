//! Takes TCP connections and speaks HTTP/1.1 on them, encrypted or not, within bounds.

use std::{
    future::Future as _,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo};
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use crate::config::HttpConfig;

/// Bounds of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    connections: Arc<Semaphore>,
    header_timeout: Duration,
    body_timeout: Duration,
    header_size_max: usize,
}

impl Bounds {
    pub(crate) fn new(config: &HttpConfig) -> Self {
        // Above the process's own limit accepting fails, for everybody; in the kernel's queue
        // connections only wait.
        let connections = config.connections_max.min(descriptors_for_connections());
        Self {
            connections: Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS))),
            header_timeout: config.header_timeout.0,
            body_timeout: config.body_timeout.0,
            header_size_max: config.header_size_max.0,
        }
    }
}

/// Accepts until `stop`, one task of `tasks` for each connection.
pub(crate) async fn run_tcp(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    bounds: Bounds,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        // The slot first: above the limit connections wait in the kernel's queue, which refuses
        // by itself when it is full.
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = accept_within(&listener, &bounds) => accepted,
        };
        let (stream, peer, slot) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                pause_after(&error).await;
                continue;
            }
        };
        let (tls, router, bounds) = (tls.clone(), router.clone(), bounds.clone());
        let stop = stop.clone();
        tasks.spawn(async move {
            let limit = bounds.header_timeout;
            let Some(transport) = encrypt(stream, tls, limit).await else { return };
            let connection = Connection::new(transport, Some(slot), bounds.body_timeout);
            serve(connection, Some(peer), router, &bounds, stop).await;
        });
    }
}

/// Accepts local commands until `stop`. Who may open the socket is the file's mode.
pub(crate) async fn run_unix(
    listener: UnixListener,
    router: Router,
    bounds: Bounds,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                pause_after(&error).await;
                continue;
            }
        };
        let (router, bounds, stop) = (router.clone(), bounds.clone(), stop.clone());
        tasks.spawn(async move {
            let connection = Connection::new(Transport::Local(stream), None, bounds.body_timeout);
            serve(connection, None, router, &bounds, stop).await;
        });
    }
}

async fn accept_within(
    listener: &TcpListener,
    bounds: &Bounds,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slots = Arc::clone(&bounds.connections);
    let slot = slots.acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    // Signalling messages are small and urgent. Without the option they only come later.
    drop(stream.set_nodelay(true));
    Ok((stream, peer, slot))
}

/// Accepting fails for a single dead connection, or because file descriptors ran out; the latter
/// does not pass at once, and asking again without a pause would burn a core.
async fn pause_after(error: &io::Error) {
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        return;
    }
    tracing::error!(%error, "cannot accept connections");
    sleep(Duration::from_millis(200)).await;
}

async fn encrypt(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    limit: Duration,
) -> Option<Transport> {
    let Some(tls) = tls else { return Some(Transport::Plain(stream)) };
    match timeout(limit, tls.accept(stream)).await {
        Ok(Ok(stream)) => Some(Transport::Tls(Box::new(stream))),
        Ok(Err(error)) => {
            tracing::debug!(%error, "TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!("TLS handshake took too long");
            None
        }
    }
}

async fn serve(
    connection: Connection,
    peer: Option<SocketAddr>,
    router: Router,
    bounds: &Bounds,
    stop: CancellationToken,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = collapse_slashes(request.map(Body::new));
        if let Some(peer) = peer {
            request.extensions_mut().insert(ConnectInfo(peer));
        }
        router.clone().oneshot(request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(bounds.header_timeout)
        .max_header_size(bounds.header_size_max)
        .max_buf_size(bounds.header_size_max.saturating_mul(2));
    let connection = http.serve_connection(TokioIo::new(connection), service).with_upgrades();
    tokio::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "HTTP connection failed");
    }
}

/// Clients given a server URL with a slash at its end ask for `//rtc`.
fn collapse_slashes(mut request: Request<Body>) -> Request<Body> {
    let path = request.uri().path();
    if !path.starts_with("//") {
        return request;
    }
    let path = format!("/{}", path.trim_start_matches('/'));
    let target = match request.uri().query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    if let Ok(uri) = target.parse() {
        *request.uri_mut() = uri;
    }
    request
}

/// How many connections fit under the process's limit on file descriptors, which is raised as far
/// as it may be: the usual 1,024 would end a server long before its processors do.
fn descriptors_for_connections() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return usize::MAX };
    let raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    let limit = usize::try_from(if raised { hard } else { soft }).unwrap_or(usize::MAX);
    // With a very low limit half is left for the rest.
    limit.saturating_sub(DESCRIPTORS_RESERVED).max(limit / 2)
}

/// Descriptors for database, media sockets, webhooks and files.
const DESCRIPTORS_RESERVED: usize = 512;

/// One connection; holds its slot also after it became a WebSocket.
///
/// A peer that takes nothing of what it is sent is cut off after `stall_max`: what keeps it waiting
/// for ever would keep its slot for ever.
struct Connection {
    transport: Transport,
    _slot: Option<OwnedSemaphorePermit>,
    stall_max: Duration,
    /// Runs while the peer takes nothing.
    stall: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    fn new(transport: Transport, slot: Option<OwnedSemaphorePermit>, stall_max: Duration) -> Self {
        Self { transport, _slot: slot, stall_max, stall: None }
    }

    /// Passes a finished write on; one that waits, until the peer has stalled too long.
    fn unless_stalled<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let limit = self.stall_max;
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(limit)));
        stall.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Local(UnixStream),
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Transport::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
            Transport::Local(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let connection = self.get_mut();
        let written = match &mut connection.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Transport::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Transport::Local(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        connection.unless_stalled(cx, written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let connection = self.get_mut();
        let flushed = match &mut connection.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Local(stream) => Pin::new(stream).poll_flush(cx),
        };
        connection.unless_stalled(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let connection = self.get_mut();
        let shut = match &mut connection.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Local(stream) => Pin::new(stream).poll_shutdown(cx),
        };
        connection.unless_stalled(cx, shut)
    }
}
