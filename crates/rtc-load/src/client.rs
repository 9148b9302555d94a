//! One participant, sans-IO: signalling messages, datagrams and time go in; messages and datagrams
//! come out.
//!
//! Speaks the single-connection topology: the client makes every offer, adds receiving sections
//! when the server asks for them, and turns sections that were answered `inactive` back to
//! `recvonly` in its next offer (RFC 8829 keeps the wanted direction of a transceiver across
//! answers; str0m does not).

mod negotiation;
mod publisher;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rtc_api::proto::{self, signal_request, signal_response};
use str0m::{
    Candidate, Event, Input, Output, Rtc, RtcConfig, RtcError,
    config::{CryptoProvider, DtlsCert},
    media::{KeyframeRequestKind, Mid},
    net::{Protocol, Receive, Transmit},
    rtp::{RtpPacket, Vp8Descriptor},
};

use self::{negotiation::Negotiation, publisher::Publisher};
pub use self::{
    negotiation::Sections,
    publisher::{Encodings, PublishPlan, SentStream, VideoPlan},
};
use crate::{
    ledger::{Arrival, Ledger, Window},
    payload::{MediaKind, Stamp},
};

/// What a client is to do.
#[derive(Clone, Debug)]
pub struct ClientPlan {
    /// Identity in the room; also the prefix of its track ids.
    pub identity: String,
    /// Number in the stamps of what it publishes.
    pub source: u32,
    /// What it publishes once told to.
    pub publish: Option<PublishPlan>,
    /// Whether it takes what others publish.
    pub subscribe: Subscribe,
    /// Receiving sections in the first offer; the server asks for more when needed.
    pub sections: Sections,
}

/// Whether a client takes what others publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscribe {
    /// Everything.
    All,
    /// Nothing.
    Nothing,
}

/// The measured window, set by the conductor while clients run. Empty until set.
#[derive(Debug, Default)]
pub struct SharedWindow {
    start_ns: AtomicU64,
    end_ns: AtomicU64,
}

impl SharedWindow {
    /// Opens the measurement from a future start on.
    pub fn set(&self, window: Window) {
        // The end comes first: a reader between the two stores sees an empty window, never an
        // unbounded one.
        self.start_ns.store(u64::MAX, Ordering::SeqCst);
        self.end_ns.store(window.end_ns, Ordering::SeqCst);
        self.start_ns.store(window.start_ns, Ordering::SeqCst);
    }

    /// The window as it is now.
    pub fn load(&self) -> Window {
        let start_ns = self.start_ns.load(Ordering::Relaxed);
        Window { start_ns, end_ns: self.end_ns.load(Ordering::Relaxed) }
    }
}

/// What a client wants done.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Datagrams to send from the client's socket.
    pub datagrams: Vec<Transmit>,
    /// Messages for the signalling connection.
    pub messages: Vec<signal_request::Message>,
    /// What happened.
    pub events: Vec<ClientEvent>,
}

/// What happened to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// ICE and DTLS are up.
    Connected,
    /// The first packet of one more track arrived.
    TrackFlowing,
    /// The server confirmed a published track.
    Published,
    /// The client cannot go on.
    Failed(String),
}

/// When a client reached what.
#[derive(Clone, Copy, Debug, Default)]
pub struct Milestones {
    /// ICE and DTLS were up.
    pub connected: Option<Instant>,
    /// The first packet with a stamp came.
    pub first_media: Option<Instant>,
}

/// Counts of what is not in the ledger.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientCounts {
    /// Keyframes the server asked for.
    pub keyframe_requests: u64,
    /// Video that began, or changed its encoding, elsewhere than at the start of a keyframe.
    pub undecodable_starts: u64,
    /// Packets received after such a start, until the keyframe came.
    pub undecodable_packets: u64,
    /// RTP and RTCP datagrams received from `window.start` to `window.end`, padding and probes
    /// included.
    pub datagrams_in_window: u64,
    /// Session descriptions offered.
    pub offers: u64,
}

/// One participant.
pub struct Client {
    plan: ClientPlan,
    rtc: Rtc,
    local: SocketAddr,
    negotiation: Negotiation,
    publisher: Publisher,
    window: Arc<SharedWindow>,
    ledger: Ledger,
    video_seen: Vec<VideoSeen>,
    milestones: Milestones,
    counts: ClientCounts,
    timeout: Instant,
    failed: bool,
}

/// What a decoder would know of a publisher's video.
struct VideoSeen {
    source: u32,
    encoding: u8,
    /// Set while a keyframe is missing: when it was last asked for.
    asked: Option<Instant>,
}

impl Client {
    /// A client that will use the socket bound to `local`.
    ///
    /// # Errors
    /// When `local` cannot be an ICE host candidate.
    pub fn new(
        plan: ClientPlan,
        identity: &PeerIdentity,
        local: SocketAddr,
        window: Arc<SharedWindow>,
        now: Instant,
    ) -> anyhow::Result<Self> {
        let mut rtc = RtcConfig::new()
            .set_crypto_provider(Arc::clone(&identity.crypto))
            .set_dtls_cert(identity.certificate.clone())
            .clear_codecs()
            .enable_opus(true, false)
            .enable_vp8(true)
            .set_rtp_mode(true)
            .set_stats_interval(None)
            .build(now);
        let candidate = Candidate::host(local, Protocol::Udp)?;
        rtc.add_local_candidate(candidate);
        let publisher = Publisher::new(&plan);
        let negotiation = Negotiation::new(plan.sections);
        Ok(Self {
            plan,
            rtc,
            local,
            negotiation,
            publisher,
            window,
            ledger: Ledger::default(),
            video_seen: Vec::new(),
            milestones: Milestones::default(),
            counts: ClientCounts::default(),
            timeout: now,
            failed: false,
        })
    }

    /// The request to join with, the first offer in it.
    pub fn join_request(&mut self) -> proto::JoinRequest {
        let offer = self.negotiation.offer(&mut self.rtc, &mut self.publisher);
        self.counts.offers += 1;
        proto::JoinRequest {
            client_info: Some(proto::ClientInfo {
                sdk: proto::client_info::Sdk::Rust.into(),
                version: env!("CARGO_PKG_VERSION").into(),
                protocol: SIGNAL_PROTOCOL,
                os: std::env::consts::OS.into(),
                ..Default::default()
            }),
            connection_settings: Some(proto::ConnectionSettings {
                auto_subscribe: self.plan.subscribe == Subscribe::All,
                ..Default::default()
            }),
            publisher_offer: offer,
            ..Default::default()
        }
    }

    /// Announces and offers what the plan publishes.
    pub fn publish(&mut self, outbox: &mut Outbox) {
        outbox
            .messages
            .extend(self.publisher.announcements().map(signal_request::Message::AddTrack));
        self.negotiation.want_publish();
        self.offer(outbox);
    }

    /// Takes a message of the server.
    pub fn handle_signal(
        &mut self,
        now: Instant,
        message: signal_response::Message,
        outbox: &mut Outbox,
    ) {
        match message {
            signal_response::Message::Answer(answer) => self.handle_answer(now, &answer, outbox),
            signal_response::Message::MediaSectionsRequirement(more) => {
                let more = Sections { audio: more.num_audios, video: more.num_videos };
                self.negotiation.want_sections(more);
                self.offer(outbox);
            }
            signal_response::Message::Trickle(trickle) => self.handle_trickle(&trickle, outbox),
            signal_response::Message::TrackPublished(_) => {
                outbox.events.push(ClientEvent::Published);
            }
            signal_response::Message::Offer(_) => {
                self.fail("the server made an offer in the single topology", outbox);
            }
            signal_response::Message::Leave(leave) => {
                self.fail(
                    format_args!("the server ended the session: {:?}", leave.reason()),
                    outbox,
                );
            }
            // Everything else does not touch media.
            _ => return,
        }
        self.advance(now, outbox);
    }

    fn handle_answer(
        &mut self,
        now: Instant,
        answer: &proto::SessionDescription,
        outbox: &mut Outbox,
    ) {
        match self.negotiation.handle_answer(&mut self.rtc, answer) {
            Ok(()) => {
                self.publisher.begin_when_ready(&mut self.rtc, now);
                self.offer(outbox);
            }
            Err(error) => self.fail(format_args!("unusable answer: {error:#}"), outbox),
        }
    }

    fn handle_trickle(&mut self, trickle: &proto::TrickleRequest, outbox: &mut Outbox) {
        match negotiation::parse_candidate(&trickle.candidate_init) {
            Ok(Some(candidate)) => self.rtc.add_remote_candidate(candidate),
            Ok(None) => {}
            Err(error) => self.fail(format_args!("unusable candidate: {error:#}"), outbox),
        }
    }

    fn offer(&mut self, outbox: &mut Outbox) {
        if let Some(offer) = self.negotiation.offer(&mut self.rtc, &mut self.publisher) {
            self.counts.offers += 1;
            outbox.messages.push(signal_request::Message::Offer(offer));
        }
    }

    /// Takes a datagram. `received_ns` is its arrival in nanoseconds of the Unix epoch.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        source: SocketAddr,
        datagram: &[u8],
        received_ns: u64,
        outbox: &mut Outbox,
    ) {
        // RFC 7983: 128 to 191 is RTP and RTCP.
        let is_media = datagram.first().is_some_and(|first| (128..192).contains(first));
        if is_media && self.window.load().contains(received_ns) {
            self.counts.datagrams_in_window += 1;
        }
        let Ok(receive) = Receive::new(Protocol::Udp, source, self.local, datagram) else {
            return;
        };
        let result = self.rtc.handle_input(Input::Receive(now, receive));
        self.finish(now, received_ns, result, outbox);
    }

    /// Advances time; call at [`Client::next_timeout`].
    pub fn handle_timeout(&mut self, now: Instant, outbox: &mut Outbox) {
        self.advance(now, outbox);
    }

    /// Sends every packet that is due. `wall_ns` is the time in nanoseconds of the Unix epoch.
    pub fn send_due(&mut self, now: Instant, wall_ns: u64, outbox: &mut Outbox) {
        let window = self.window.load();
        if self.publisher.write_due(&mut self.rtc, now, wall_ns, window) {
            self.advance(now, outbox);
        }
    }

    fn advance(&mut self, now: Instant, outbox: &mut Outbox) {
        let result = self.rtc.handle_input(Input::Timeout(now));
        self.finish(now, 0, result, outbox);
    }

    fn finish(
        &mut self,
        now: Instant,
        received_ns: u64,
        result: Result<(), RtcError>,
        outbox: &mut Outbox,
    ) {
        if let Err(error) = result.and_then(|()| self.drain(now, received_ns, outbox)) {
            self.fail(format_args!("media engine: {error}"), outbox);
        }
    }

    fn drain(
        &mut self,
        now: Instant,
        received_ns: u64,
        outbox: &mut Outbox,
    ) -> Result<(), RtcError> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => {
                    self.timeout = at;
                    return Ok(());
                }
                Output::Transmit(transmit) => outbox.datagrams.push(transmit),
                Output::Event(event) => self.handle_event(now, received_ns, event, outbox),
            }
        }
    }

    fn handle_event(&mut self, now: Instant, received_ns: u64, event: Event, outbox: &mut Outbox) {
        match event {
            Event::RtpPacket(packet) => self.handle_rtp(now, received_ns, &packet, outbox),
            Event::Connected => {
                self.milestones.connected = Some(now);
                outbox.events.push(ClientEvent::Connected);
                self.publisher.set_connected();
                self.publisher.begin_when_ready(&mut self.rtc, now);
            }
            Event::KeyframeRequest(request) => {
                self.counts.keyframe_requests += 1;
                self.publisher.request_keyframe(request.mid, request.rid);
            }
            Event::Closed => self.fail("the server closed the peer connection", outbox),
            _ => {}
        }
    }

    fn handle_rtp(
        &mut self,
        now: Instant,
        received_ns: u64,
        packet: &RtpPacket,
        outbox: &mut Outbox,
    ) {
        let stamp = Stamp::read(&packet.payload);
        if let Some(stamp) = stamp.filter(|stamp| stamp.kind == MediaKind::Video) {
            self.watch_decoding(now, &stamp, packet);
        }
        let arrival =
            self.ledger.record(self.window.load(), stamp, received_ns, packet.payload.len());
        if arrival == Arrival::FirstOfTrack {
            self.milestones.first_media.get_or_insert(now);
            outbox.events.push(ClientEvent::TrackFlowing);
        }
    }

    /// A decoder can begin with an encoding at a keyframe only; without one it asks, again and
    /// again (RFC 4585 §6.3.1).
    fn watch_decoding(&mut self, now: Instant, stamp: &Stamp, packet: &RtpPacket) {
        let payload = &packet.payload;
        let keyframe = Vp8Descriptor::parse(payload).is_ok_and(|vp8| vp8.starts_keyframe(payload));
        let position = self.video_seen.iter().position(|seen| seen.source == stamp.source);
        let index = position.unwrap_or(self.video_seen.len());
        if position.is_none() {
            let (source, encoding) = (stamp.source, stamp.encoding);
            self.video_seen.push(VideoSeen { source, encoding, asked: None });
        }
        let seen = &mut self.video_seen[index];
        let is_start = position.is_none() || seen.encoding != stamp.encoding;
        seen.encoding = stamp.encoding;
        if keyframe || (!is_start && seen.asked.is_none()) {
            seen.asked = None;
            return;
        }
        self.counts.undecodable_starts += u64::from(is_start);
        self.counts.undecodable_packets += 1;
        if seen.asked.is_none_or(|at| now.duration_since(at) >= ASK_AGAIN_AFTER) {
            seen.asked = Some(now);
            let mut direct = self.rtc.direct_api();
            if let Some(stream) = direct.stream_rx(&packet.header.ssrc) {
                stream.request_keyframe(KeyframeRequestKind::Pli);
            }
        }
    }

    fn fail(&mut self, why: impl std::fmt::Display, outbox: &mut Outbox) {
        if !self.failed {
            self.failed = true;
            let identity = &self.plan.identity;
            outbox.events.push(ClientEvent::Failed(format!("{identity}: {why}")));
        }
    }

    /// When [`Client::handle_timeout`] is due.
    pub fn next_timeout(&self) -> Instant {
        if self.failed { far_from(self.timeout) } else { self.timeout }
    }

    /// When [`Client::send_due`] has something to send; `None` while nothing is published.
    pub fn next_send(&self) -> Option<Instant> {
        if self.failed { None } else { self.publisher.next_due() }
    }

    /// The plan.
    pub fn plan(&self) -> &ClientPlan {
        &self.plan
    }

    /// What was received.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What was sent, by encoding.
    pub fn sent(&self) -> impl Iterator<Item = SentStream> {
        self.publisher.sent()
    }

    /// How late packets left, in microseconds after their due time, within the window.
    pub fn lateness_us(&self) -> &crate::histogram::Histogram {
        self.publisher.lateness_us()
    }

    /// Times reached.
    pub fn milestones(&self) -> Milestones {
        self.milestones
    }

    /// Other counts.
    pub fn counts(&self) -> ClientCounts {
        self.counts
    }

    /// The peer connection's sections that receive at the moment.
    pub fn receiving_sections(&self) -> impl Iterator<Item = Mid> {
        self.negotiation.receiving(&self.rtc)
    }
}

/// What all clients of a run share: the crypto library and one DTLS certificate, so that making
/// certificates does not weigh on the generator.
#[derive(Clone)]
pub struct PeerIdentity {
    crypto: Arc<CryptoProvider>,
    certificate: DtlsCert,
}

impl PeerIdentity {
    /// Makes a certificate.
    ///
    /// # Errors
    /// When the crypto library refuses.
    pub fn generate() -> anyhow::Result<Self> {
        let crypto = Arc::new(str0m::crypto::from_feature_flags());
        let certificate = crypto
            .dtls_provider
            .generate_certificate()
            .ok_or_else(|| anyhow::anyhow!("the crypto library made no certificate"))?;
        Ok(Self { crypto, certificate })
    }
}

fn far_from(now: Instant) -> Instant {
    now + Duration::from_secs(86_400)
}

/// How long a decoder waits for a keyframe before it asks again, as libwebrtc does.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(200);
/// LiveKit's signal protocol number that the client claims.
const SIGNAL_PROTOCOL: i32 = 17;
