//! Plays one load against a running server and measures it.
//!
//! Order of events, so that memory and processor time can be told apart: everybody joins, nobody
//! publishes (idle memory); all publish; once every track flows to everybody, warm-up; then the
//! window. Joins are spread in time: the load measured is forwarding, not a storm of handshakes.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{sleep, sleep_until},
};

use crate::{
    client::{
        Client, ClientPlan, Encodings, PeerIdentity, PublishPlan, Sections, SharedWindow, Subscribe,
    },
    histogram::Histogram,
    ledger::{StreamKey, StreamLedger, Window},
    payload::MediaKind,
    process::{self, ProcessSample},
    report::{
        GeneratorReport, JoinReport, LoadDescription, PacketReport, Percentiles, Report,
        ServerReport, delivered_percent, ratio,
    },
    signal::{self, Signal},
    socket,
    token::TokenSource,
    worker::{Command, Progress, Seat, Worker},
};

/// Who publishes to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Some publish, others receive all of it.
    Broadcast {
        /// Clients that only publish.
        publishers: usize,
        /// Clients that only receive.
        subscribers: usize,
    },
    /// Everybody publishes and receives everybody else.
    Meeting {
        /// Clients.
        participants: usize,
    },
}

/// One load.
#[derive(Clone)]
pub struct Load {
    /// The server: `http://HOST:PORT`.
    pub url: String,
    /// The room.
    pub room: String,
    /// Tokens to join with.
    pub tokens: TokenSource,
    /// Who publishes to whom.
    pub shape: Shape,
    /// What every publisher sends.
    pub media: PublishPlan,
    /// From the first packet everywhere to the window.
    pub warm_up: Duration,
    /// Length of the window.
    pub duration: Duration,
    /// The server's process, for its accounting.
    pub server_pid: Option<u32>,
    /// The server's media ports, to look for drops at its sockets.
    pub server_ports: Vec<u16>,
    /// Packet threads of the generator.
    pub threads: usize,
    /// Most joins begun per second.
    pub joins_per_second: u32,
}

impl Shape {
    /// Clients that publish.
    pub fn publishers(self) -> usize {
        match self {
            Self::Broadcast { publishers, .. } => publishers,
            Self::Meeting { participants } => participants,
        }
    }

    /// Clients that receive.
    pub fn subscribers(self) -> usize {
        match self {
            Self::Broadcast { subscribers, .. } => subscribers,
            Self::Meeting { participants } => participants,
        }
    }

    /// All clients.
    pub fn clients(self) -> usize {
        match self {
            Self::Broadcast { publishers, subscribers } => publishers + subscribers,
            Self::Meeting { participants } => participants,
        }
    }

    /// Pairs of a publisher and one of its receivers.
    pub fn pairs(self) -> usize {
        match self {
            Self::Broadcast { publishers, subscribers } => publishers * subscribers,
            Self::Meeting { participants } => participants * participants.saturating_sub(1),
        }
    }

    /// Whether this client publishes, and whether it receives. Publishers come first.
    fn role(self, number: usize) -> (bool, Subscribe) {
        match self {
            Self::Broadcast { publishers, .. } if number < publishers => (true, Subscribe::Nothing),
            Self::Broadcast { .. } => (false, Subscribe::All),
            Self::Meeting { .. } => (true, Subscribe::All),
        }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Broadcast { publishers, subscribers } => {
                write!(f, "{publishers} → {subscribers}")
            }
            Self::Meeting { participants } => write!(f, "meeting {participants} × {participants}"),
        }
    }
}

/// Plays a load.
///
/// # Errors
/// When clients cannot join, media does not begin to flow, or the server's process is gone.
pub async fn play(load: &Load) -> anyhow::Result<Report> {
    let mut stage = Stage::set_up(load).await?;
    let empty = stage.look_at_server()?;
    stage.join_everybody().await?;
    let idle = stage.look_at_server()?;
    let flowing_after = stage.publish().await?;
    sleep(load.warm_up).await;
    let measured = stage.measure().await?;
    let clients = stage.take_down().await?;
    Ok(Summary { load, clients: &clients, measured: &measured }.report(
        empty,
        idle,
        flowing_after,
        &stage,
    ))
}

struct Stage<'a> {
    load: &'a Load,
    local: IpAddr,
    identity: PeerIdentity,
    window: Arc<SharedWindow>,
    progress: Arc<Progress>,
    workers: Vec<Worker>,
    sessions: JoinSet<()>,
    ports: BTreeSet<u16>,
    started: Vec<Instant>,
    response: Histogram,
    generator_drops_before: u64,
    server_drops_before: u64,
}

/// What was seen at both edges of the window.
struct Measured {
    server: Option<(ProcessSample, ProcessSample)>,
    generator: (ProcessSample, ProcessSample),
    seconds: f64,
    load_average: f64,
    generator_drops: u64,
    server_drops: u64,
}

impl<'a> Stage<'a> {
    async fn set_up(load: &'a Load) -> anyhow::Result<Self> {
        let remote = signal::resolve(&load.url).await?;
        let progress = Arc::new(Progress::default());
        let workers = (0..load.threads.max(1))
            .map(|index| Worker::start(index, Arc::clone(&progress)))
            .collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Self {
            load,
            local: socket::local_ip_towards(remote)?,
            identity: PeerIdentity::generate()?,
            window: Arc::new(SharedWindow::default()),
            progress,
            workers,
            sessions: JoinSet::new(),
            ports: BTreeSet::new(),
            started: Vec::new(),
            response: Histogram::default(),
            generator_drops_before: 0,
            server_drops_before: process::udp_drops(|port| load.server_ports.contains(&port))?,
        })
    }

    fn look_at_server(&self) -> anyhow::Result<Option<ProcessSample>> {
        let look = |pid| ProcessSample::take(pid).context("looking at the server's process");
        self.load.server_pid.map(look).transpose()
    }

    /// Everybody joins; returns when all are connected.
    async fn join_everybody(&mut self) -> anyhow::Result<()> {
        let clients = self.load.shape.clients();
        let distance = Duration::from_secs(1) / self.load.joins_per_second.max(1);
        let mut joining = JoinSet::new();
        let begin = tokio::time::Instant::now();
        for number in 0..clients {
            sleep_until(begin + distance * u32::try_from(number)?).await;
            let (client, socket) = self.new_client(number)?;
            let identity = client.plan().identity.clone();
            let token = self.load.tokens.token(number, &identity, &self.load.room)?;
            self.started.push(Instant::now());
            joining.spawn(join(self.load.url.clone(), token, number, client, socket));
            while let Some(joined) = joining.try_join_next() {
                self.seat(joined??);
            }
        }
        while let Some(joined) = joining.join_next().await {
            self.seat(joined??);
        }
        self.wait("ICE and DTLS of all clients", CONNECT_WITHIN, |progress| {
            progress.connected.load(Ordering::Relaxed) >= clients
        })
        .await?;
        self.generator_drops_before = process::udp_drops(|port| self.ports.contains(&port))?;
        Ok(())
    }

    fn new_client(&mut self, number: usize) -> anyhow::Result<(Client, std::net::UdpSocket)> {
        let socket = socket::open(self.local)?;
        let local = socket.local_addr()?;
        self.ports.insert(local.port());
        let (publishes, subscribe) = self.load.shape.role(number);
        let plan = ClientPlan {
            identity: format!("load-{number}"),
            source: u32::try_from(number)?,
            publish: publishes.then_some(self.load.media),
            subscribe,
            sections: FIRST_SECTIONS,
        };
        let window = Arc::clone(&self.window);
        let client = Client::new(plan, &self.identity, local, window, Instant::now())?;
        Ok((client, socket))
    }

    fn seat(&mut self, joined: Joined) {
        let took = joined.responded.duration_since(self.started[joined.number]);
        self.response.record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        let worker = self.workers[joined.number % self.workers.len()].handle();
        let (messages, outgoing) = mpsc::channel(MESSAGES_MAX);
        let seat = Seat { client: joined.client, socket: joined.socket, messages };
        worker.send(Command::Add(joined.number, Box::new(seat)));
        let progress = Arc::clone(&self.progress);
        self.sessions.spawn(joined.signal.run(joined.number, outgoing, worker, progress));
    }

    /// All publishers begin; returns how long it took until everything flowed everywhere.
    async fn publish(&mut self) -> anyhow::Result<Duration> {
        let begin = Instant::now();
        let shape = self.load.shape;
        for number in 0..shape.publishers() {
            let worker = self.workers[number % self.workers.len()].handle();
            worker.send(Command::Publish(number));
        }
        let tracks =
            usize::from(self.load.media.audio) + usize::from(self.load.media.video.is_some());
        let expected = shape.pairs() * tracks;
        self.wait("media at all receivers", FLOW_WITHIN, |progress| {
            progress.flowing.load(Ordering::Relaxed) >= expected
        })
        .await?;
        Ok(begin.elapsed())
    }

    /// Waits for a state of all clients, and gives up when one of them failed.
    async fn wait(
        &self,
        what: &str,
        within: Duration,
        reached: impl Fn(&Progress) -> bool,
    ) -> anyhow::Result<()> {
        let begin = Instant::now();
        while !reached(&self.progress) {
            if let Some(failure) = self.progress.first_failure() {
                bail!("while waiting for {what}: {failure}");
            }
            if begin.elapsed() > within {
                bail!("gave up waiting for {what}: {:?}", self.progress);
            }
            sleep(POLL_EVERY).await;
        }
        Ok(())
    }

    async fn measure(&self) -> anyhow::Result<Measured> {
        let lead = Duration::from_millis(100);
        let begin = tokio::time::Instant::now() + lead;
        let start_ns = socket::wall_ns() + u64::try_from(lead.as_nanos())?;
        let end_ns = start_ns + u64::try_from(self.load.duration.as_nanos())?;
        self.window.set(Window { start_ns, end_ns });
        sleep_until(begin).await;
        let load_average = process::load_average()?;
        let before = (self.look_at_server()?, ProcessSample::take(std::process::id())?);
        let measured_from = Instant::now();
        sleep_until(begin + self.load.duration).await;
        let after = (self.look_at_server()?, ProcessSample::take(std::process::id())?);
        let seconds = measured_from.elapsed().as_secs_f64();
        // Repairs of packets lost at the end of the window still count.
        sleep(REPAIR_TIME).await;
        Ok(Measured {
            server: before.0.zip(after.0),
            generator: (before.1, after.1),
            seconds,
            load_average,
            generator_drops: process::udp_drops(|port| self.ports.contains(&port))?
                .saturating_sub(self.generator_drops_before),
            server_drops: process::udp_drops(|port| self.load.server_ports.contains(&port))?
                .saturating_sub(self.server_drops_before),
        })
    }

    /// Ends threads and sessions; the clients come back with what they counted, in no particular
    /// order.
    async fn take_down(&mut self) -> anyhow::Result<Vec<Client>> {
        let mut clients = Vec::new();
        for worker in self.workers.drain(..) {
            clients.extend(worker.stop()?);
        }
        // The threads dropped their ends of the sessions, so every session says goodbye and ends.
        while let Some(ended) = self.sessions.join_next().await {
            ended?;
        }
        Ok(clients)
    }
}

struct Joined {
    number: usize,
    client: Client,
    socket: std::net::UdpSocket,
    signal: Signal,
    responded: Instant,
}

async fn join(
    url: String,
    token: String,
    number: usize,
    mut client: Client,
    socket: std::net::UdpSocket,
) -> anyhow::Result<Joined> {
    let request = client.join_request();
    let (signal, _) = Signal::join(&url, &token, request)
        .await
        .with_context(|| format!("client {number} joining"))?;
    Ok(Joined { number, client, socket, signal, responded: Instant::now() })
}

struct Summary<'a> {
    load: &'a Load,
    clients: &'a [Client],
    measured: &'a Measured,
}

impl Summary<'_> {
    fn report(
        &self,
        empty: Option<ProcessSample>,
        idle: Option<ProcessSample>,
        flowing_after: Duration,
        stage: &Stage<'_>,
    ) -> Report {
        let packets = self.packets();
        let mut delays = Histogram::default();
        self.clients.iter().for_each(|client| delays.merge(client.ledger().delays_us()));
        let server = match (empty, idle, self.measured.server) {
            (Some(empty), Some(idle), Some(edges)) => {
                Some(self.server(empty, idle, edges, packets.delivered))
            }
            _ => None,
        };
        Report {
            load: self.description(),
            joins: JoinReport {
                response_ms: Percentiles::of(&stage.response, 1_000.0),
                connected_ms: Percentiles::of(&self.connected(&stage.started), 1_000.0),
                all_flowing_ms: flowing_after.as_secs_f64() * 1_000.0,
            },
            delay_us: Percentiles::of(&delays, 1.0),
            server,
            generator: self.generator(packets.delivered, &stage.progress),
            load_average: self.measured.load_average,
            packets,
        }
    }

    fn description(&self) -> LoadDescription {
        let shape = self.load.shape;
        let video = self.load.media.video;
        LoadDescription {
            name: shape.to_string(),
            publishers: shape.publishers(),
            subscribers: shape.subscribers(),
            video_bps: video.map_or(0, |video| video.bitrate_bps),
            fps: video.map_or(0, |video| video.fps),
            packet_bytes: video.map_or(0, |video| video.packet_bytes),
            simulcast: self.is_simulcast(),
            window_s: self.measured.seconds,
        }
    }

    fn is_simulcast(&self) -> bool {
        self.load.media.video.is_some_and(|video| video.encodings == Encodings::Simulcast)
    }

    fn packets(&self) -> PacketReport {
        let mut report = PacketReport::default();
        let mut sent: BTreeMap<StreamKey, u64> = BTreeMap::new();
        let mut offers = 0;
        for client in self.clients {
            let source = client.plan().source;
            for stream in client.sent() {
                report.sent += stream.in_window;
                *sent.entry(StreamKey { source, kind: stream.kind }).or_default() +=
                    stream.in_window;
            }
            let counts = client.counts();
            report.keyframe_requests += counts.keyframe_requests;
            report.undecodable_starts += counts.undecodable_starts;
            report.undecodable_packets += counts.undecodable_packets;
            report.datagrams += counts.datagrams_in_window;
            report.padding += client.ledger().foreign();
            offers += counts.offers;
        }
        let mut bytes = 0;
        for client in self.clients.iter().filter(|c| c.plan().subscribe == Subscribe::All) {
            bytes += self.add_receiver(client, &sent, &mut report);
        }
        report.delivered_percent = delivered_percent(report.delivered, report.expected);
        report.saturated = report.delivered_percent < SATURATED_BELOW_PERCENT;
        report.per_second = per(report.delivered, self.load.duration.as_secs_f64());
        report.bits_per_second = 8.0 * per(bytes, self.load.duration.as_secs_f64());
        report.offers_per_client = per(offers, self.client_count().max(1.0));
        report
    }

    /// Adds what one receiver should have got and what it got; returns the bytes.
    fn add_receiver(
        &self,
        client: &Client,
        sent: &BTreeMap<StreamKey, u64>,
        report: &mut PacketReport,
    ) -> u64 {
        let ledger: BTreeMap<StreamKey, &StreamLedger> = client.ledger().streams().collect();
        let nothing = StreamLedger::default();
        let mut bytes = 0;
        for (key, count) in sent.iter().filter(|(key, _)| key.source != client.plan().source) {
            let stream = ledger.get(key).copied().unwrap_or(&nothing);
            // Of three encodings a receiver gets one at a time: what was sent of the others is
            // not missing.
            let is_choice = self.is_simulcast() && key.kind == MediaKind::Video;
            let expected = if is_choice { stream.expected_in_runs() } else { *count };
            report.expected += expected;
            report.delivered += stream.distinct();
            report.repeated += stream.repeated();
            if key.kind == MediaKind::Audio {
                report.audio_expected += expected;
                report.audio_delivered += stream.distinct();
            }
            bytes += stream.bytes();
        }
        bytes
    }

    fn client_count(&self) -> f64 {
        per(u64::try_from(self.clients.len()).unwrap_or(u64::MAX), 1.0)
    }

    fn connected(&self, started: &[Instant]) -> Histogram {
        let mut histogram = Histogram::default();
        for client in self.clients {
            let number = usize::try_from(client.plan().source).unwrap_or(usize::MAX);
            let connected = client.milestones().connected;
            if let Some((connected, started)) = connected.zip(started.get(number)) {
                let took = connected.duration_since(*started).as_micros();
                histogram.record(u64::try_from(took).unwrap_or(u64::MAX));
            }
        }
        histogram
    }

    fn server(
        &self,
        empty: ProcessSample,
        idle: ProcessSample,
        (before, after): (ProcessSample, ProcessSample),
        delivered: u64,
    ) -> ServerReport {
        let processor = after.since(before);
        let clients = u64::try_from(self.clients.len()).unwrap_or(u64::MAX);
        let kib_per_client = |sample: ProcessSample| {
            let growth = sample.resident_bytes.saturating_sub(empty.resident_bytes);
            per(growth, 1_024.0) / per(clients, 1.0).max(1.0)
        };
        let us_per_packet = ratio(processor.run_s * 1e6, delivered);
        ServerReport {
            processor,
            us_per_packet,
            user_us_per_packet: ratio(processor.user_s * 1e6, delivered),
            system_us_per_packet: ratio(processor.system_s * 1e6, delivered),
            s_per_million: us_per_packet,
            window_s: self.measured.seconds,
            busy_processors: processor.run_s / self.measured.seconds,
            join_ms_per_client: ratio(idle.since(empty).run_s * 1e3, clients),
            empty_kib: empty.resident_bytes / 1_024,
            idle_kib_per_client: kib_per_client(idle),
            loaded_kib_per_client: kib_per_client(after),
            receive_drops: self.measured.server_drops,
            threads: after.threads,
        }
    }

    fn generator(&self, delivered: u64, progress: &Progress) -> GeneratorReport {
        let (before, after) = self.measured.generator;
        let processor = after.since(before);
        let mut lateness = Histogram::default();
        self.clients.iter().for_each(|client| lateness.merge(client.lateness_us()));
        GeneratorReport {
            processor,
            us_per_packet: ratio(processor.run_s * 1e6, delivered),
            receive_drops: self.measured.generator_drops,
            send_failures: progress.send_failures.load(Ordering::Relaxed),
            lateness_us: Percentiles::of(&lateness, 1.0),
            failed_clients: progress.failed.load(Ordering::Relaxed),
        }
    }
}

fn per(count: u64, by: f64) -> f64 {
    count as f64 / by
}

/// Below this share of delivered packets a server does not keep up.
pub const SATURATED_BELOW_PERCENT: f64 = 99.9;
/// What browsers' SDK offers before it knows how many tracks will come.
const FIRST_SECTIONS: Sections = Sections { audio: 3, video: 3 };
/// Signalling messages of one client that wait to be sent.
const MESSAGES_MAX: usize = 64;
const CONNECT_WITHIN: Duration = Duration::from_secs(60);
const FLOW_WITHIN: Duration = Duration::from_secs(60);
const POLL_EVERY: Duration = Duration::from_millis(5);
const REPAIR_TIME: Duration = Duration::from_millis(500);
