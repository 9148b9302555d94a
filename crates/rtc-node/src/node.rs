//! A node: starts its threads and tasks, and ends them.

use std::{io, net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use axum::Router;
use prometheus_client::registry::Registry as MetricsRegistry;
use prost::Message as _;
use rtc_api::{
    cluster::{AppChanged, RoomEvent, SUBJECT_APP_CHANGED, SUBJECT_ROOM_EVENTS, subject_node},
    code::{ErrorCode, Refusal},
};
use rtc_backends::bus::{Bus, BusError, Subscription};
use rtc_model::{LeaveReason, NodeId};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::NodeConfig,
    metrics::Metrics,
    packet_loop::{OsBits, PacketThread, ThreadConfig},
    proto,
    registry::Registry,
    room_calls,
    signal::{self, Authorizer, Signalling},
    thread::{REPORT_QUEUE, ThreadCommand, ThreadCounters, ThreadHandle, ThreadReport},
};

/// Runs rooms on this machine.
pub struct Node {
    context: Arc<Context>,
    media: Vec<SocketAddr>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A media port cannot be used.
    #[error("cannot open the media socket at {address}")]
    Socket {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The threads' ports go past 65,535.
    #[error("media ports from {base} for {threads} threads go past 65535")]
    Ports {
        /// The first port.
        base: u16,
        /// How many.
        threads: usize,
    },
    /// The bus does not let this node serve its subject.
    #[error("cannot serve the node's subject on the bus")]
    Bus(#[from] BusError),
}

/// What everything async on a node shares.
pub(crate) struct Context {
    pub(crate) id: NodeId,
    pub(crate) config: NodeConfig,
    pub(crate) registry: Registry,
    pub(crate) threads: Vec<ThreadHandle>,
    pub(crate) metrics: Metrics,
    pub(crate) signalling: Signalling,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    bus: Bus,
}

impl Context {
    /// A packet thread.
    pub(crate) fn thread(&self, index: usize) -> Result<&ThreadHandle, Refusal> {
        self.threads.get(index).ok_or_else(|| ErrorCode::Internal.into())
    }
}

impl Node {
    /// Opens the media sockets and starts threads and tasks. Needs a tokio runtime; the node is ready when
    /// this returns.
    ///
    /// # Errors
    /// [`NodeError`] when a port or the bus cannot be used; nothing is left running then.
    pub fn start(
        config: NodeConfig,
        bus: Bus,
        registry: &mut MetricsRegistry,
    ) -> Result<Self, NodeError> {
        let id = NodeId::random(&mut OsBits);
        let requests = bus.serve(&subject_node(id), REQUEST_QUEUE)?;
        let app_changes = bus.subscribe(SUBJECT_APP_CHANGED, APP_CHANGE_QUEUE);
        let (reports, report_queue) = mpsc::channel(REPORT_QUEUE);
        let started = start_threads(&config, &reports)?;
        let media = started.iter().map(|thread| thread.bound).collect();
        let (handles, threads) =
            started.into_iter().map(|thread| (thread.handle, thread.join)).unzip();
        let context = Arc::new(Context {
            id,
            registry: Registry::new(Vec::len(&handles), &config.limits),
            threads: handles,
            metrics: Metrics::register(registry),
            signalling: Signalling::new(
                Authorizer::new(bus.clone()),
                config.limits.joins_per_address_per_second_max,
            ),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            config,
            bus,
        });
        // These live until `stop`; the tracker is for what must come to its end before that.
        drop(tokio::spawn(room_calls::serve(Arc::clone(&context), requests)));
        drop(tokio::spawn(forget_changed_apps(Arc::clone(&context), app_changes)));
        drop(tokio::spawn(take_reports(Arc::clone(&context), report_queue)));
        Ok(Self { context, media, threads })
    }

    /// The signalling paths: `/rtc`, `/rtc/v1` and their `validate`. Requests should carry
    /// `ConnectInfo<SocketAddr>`; without it joins are not limited per address.
    pub fn router(&self) -> Router {
        signal::router(Arc::clone(&self.context))
    }

    /// This run's name.
    pub fn id(&self) -> NodeId {
        self.context.id
    }

    /// Where media arrives: one address per packet thread.
    pub fn media_addrs(&self) -> Vec<SocketAddr> {
        self.media.clone()
    }

    /// Refuses newcomers, tells everybody to leave, and ends. What has not ended by the deadline is cut off.
    pub async fn shutdown(self, deadline: Duration) {
        let Self { context, threads, .. } = self;
        context.registry.drain();
        for thread in &context.threads {
            let reason = LeaveReason::ServerShutdown;
            // A thread that takes nothing more has ended already.
            let _ = thread.send(ThreadCommand::CloseRooms { app: None, reason }).await.ok();
        }
        context.tasks.close();
        if timeout(deadline, context.tasks.wait()).await.is_err() {
            let left = context.tasks.len();
            tracing::warn!(left, "sessions did not end by the deadline and are cut off");
        }
        for thread in &context.threads {
            let _ = thread.send(ThreadCommand::Stop).await.ok();
        }
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a packet thread had panicked");
                }
            }
        });
        if timeout(THREADS_END_WITHIN, joined).await.is_err() {
            tracing::error!("packet threads did not end");
        }
        context.stop.cancel();
    }
}

fn start_threads(
    config: &NodeConfig,
    reports: &mpsc::Sender<ThreadReport>,
) -> Result<Vec<PacketThread>, NodeError> {
    let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let count = config.threads.map_or_else(cores, NonZeroUsize::get);
    let base = config.media.port();
    let mut threads = Vec::with_capacity(count);
    for index in 0..count {
        let port = match base {
            0 => Some(0),
            base => u16::try_from(index).ok().and_then(|offset| base.checked_add(offset)),
        };
        let port = port.ok_or(NodeError::Ports { base, threads: count })?;
        let bind = SocketAddr::new(config.media.ip(), port);
        let thread = ThreadConfig {
            index,
            bind,
            public_ip: config.public_ip,
            room_limits: config.room_limits.clone(),
            estimate_bandwidth: config.estimate_bandwidth,
        };
        let started = PacketThread::start(thread, reports.clone());
        threads.push(started.map_err(|source| NodeError::Socket { address: bind, source })?);
    }
    Ok(threads)
}

async fn forget_changed_apps(cx: Arc<Context>, mut changes: Subscription) {
    loop {
        let change = tokio::select! {
            () = cx.stop.cancelled() => return,
            change = changes.next() => change,
        };
        let Some(change) = change else { return };
        match serde_json::from_slice::<AppChanged>(&change) {
            Ok(AppChanged { app }) => cx.signalling.authorizer.forget(&app),
            Err(error) => tracing::error!(%error, "an app's change cannot be read"),
        }
    }
}

async fn take_reports(cx: Arc<Context>, mut reports: mpsc::Receiver<ThreadReport>) {
    let mut counted = vec![ThreadCounters::default(); cx.threads.len()];
    loop {
        let report = tokio::select! {
            () = cx.stop.cancelled() => return,
            report = reports.recv() => report,
        };
        match report {
            None => return,
            Some(ThreadReport::Vacant { key, ticket }) => cx.registry.vacate(&key, ticket),
            Some(ThreadReport::Occupancy { key, participants }) => {
                cx.registry.occupy(&key, participants);
            }
            Some(ThreadReport::Fact { app, room, fact, at }) => {
                if let Some(event) = proto::webhook::event(&room, &fact, at) {
                    publish(&cx.bus, &RoomEvent { app, event });
                }
            }
            Some(ThreadReport::Counters { thread, counters }) => {
                if let Some(former) = counted.get_mut(thread) {
                    cx.metrics.add(former, &counters);
                    *former = *counters;
                }
            }
        }
    }
}

fn publish(bus: &Bus, event: &RoomEvent) {
    match serde_json::to_vec(event) {
        Ok(body) => bus.publish(SUBJECT_ROOM_EVENTS, body),
        Err(error) => {
            let bytes = event.event.encoded_len();
            tracing::error!(%error, bytes, "a room's event cannot be written");
        }
    }
}

/// Requests of the control plane waiting to be taken up.
const REQUEST_QUEUE: usize = 1_024;
/// Changes of apps waiting to be taken up.
const APP_CHANGE_QUEUE: usize = 1_024;
/// Threads end after the round they are in.
const THREADS_END_WITHIN: Duration = Duration::from_secs(2);
