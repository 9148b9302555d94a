//! A room and its clients on one virtual clock.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    time::{Duration, Instant, SystemTime},
};

use rtc_media::{
    Room, RoomConfig, Seed,
    command::{
        AutoSubscribe, Command, CommandError, Description, Join, Joined, Path, Publish, Reply,
        Request, Resume, SessionNumber, Topology,
    },
    event::{Event, Signal},
    transmit::SendBatch,
};
use rtc_model::{
    Identity, ParticipantId, ParticipantKind, Permissions, Quality, RandomBits, RoomId, RoomLimits,
    RoomName, TrackFeatures, TrackId, TrackKind, TrackSource, VideoLayer,
};
use str0m::{
    Candidate, Event as EngineEvent, Input, Output, Rtc, RtcConfig,
    change::{SdpAnswer, SdpOffer, SdpPendingOffer},
    media::{Direction, MediaKind, Mid, Rid, Simulcast, SimulcastLayer},
    net::{Protocol, Receive},
    rtp::{RtpPacket, RtpWrite},
};

pub(crate) const STEP: Duration = Duration::from_millis(1);

/// xorshift64*: enough for dropping packets, replayable from its seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub(crate) fn hits(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
}

impl RandomBits for Dice {
    fn next_bits(&mut self) -> u64 {
        self.next()
    }
}

pub(crate) struct World {
    pub(crate) now: Instant,
    started: Instant,
    pub(crate) room: Room,
    pub(crate) clients: Vec<Client>,
    pub(crate) facts: Vec<rtc_media::event::Fact>,
    pub(crate) loss_percent: u64,
    pub(crate) is_closed: bool,
    dice: Dice,
    wire: BTreeMap<(Instant, u64), Flight>,
    sent: u64,
    server: SocketAddr,
}

/// A datagram under way.
enum Flight {
    Up { from: SocketAddr, datagram: Vec<u8> },
    Down { to: SocketAddr, datagram: Vec<u8> },
}

/// One way.
const DELAY: Duration = Duration::from_millis(10);

/// A section a client sends on.
pub(crate) struct Source {
    pub(crate) kind: TrackKind,
    pub(crate) mid: Mid,
    pub(crate) rids: Vec<Rid>,
    pub(crate) is_on: bool,
    seq: u64,
    keyframe_wanted: bool,
}

pub(crate) struct Client {
    pub(crate) id: ParticipantId,
    pub(crate) name: String,
    pub(crate) topology: Topology,
    pub(crate) session: SessionNumber,
    pub(crate) sources: Vec<Source>,
    /// Everything signalled, oldest first.
    pub(crate) signals: Vec<Signal>,
    /// Track → packets received on the section that carries it.
    pub(crate) received: BTreeMap<TrackId, Vec<Received>>,
    pub(crate) keyframe_requests: u32,
    /// Packets on sections that carry nothing.
    pub(crate) strays: u32,
    pub(crate) is_cut: bool,
    mids: BTreeMap<String, TrackId>,
    publisher: Engine,
    subscriber: Option<Engine>,
    next_offer: u32,
    started: Instant,
    additions: Vec<Addition>,
    receive_mids: Vec<Mid>,
    /// The room asked for an offer.
    is_asked: bool,
}

/// One packet as a subscriber saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) ext_seq: u64,
    pub(crate) timestamp: u32,
    pub(crate) is_keyframe: bool,
    /// The encoding's mark in our test payload.
    pub(crate) encoding: u8,
}

struct Engine {
    rtc: Rtc,
    address: SocketAddr,
    pending: Option<SdpPendingOffer>,
    outgoing: VecDeque<Vec<u8>>,
}

impl Engine {
    fn new(now: Instant, address: SocketAddr) -> Self {
        let mut rtc = RtcConfig::new().set_rtp_mode(true).enable_opus(true, false).build(now);
        rtc.add_local_candidate(Candidate::host(address, "udp").unwrap());
        Self { rtc, address, pending: None, outgoing: VecDeque::new() }
    }

    fn drain(&mut self, events: &mut Vec<EngineEvent>) {
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(_) => return,
                Output::Transmit(transmit) => self.outgoing.push_back(transmit.contents.into()),
                Output::Event(event) => events.push(event),
            }
        }
    }

    fn tick(&mut self, now: Instant, events: &mut Vec<EngineEvent>) {
        self.rtc.handle_input(Input::Timeout(now)).unwrap();
        self.drain(events);
    }
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        eprintln!("seed {seed}");
        let mut dice = Dice::new(seed);
        let now = Instant::now();
        let server: SocketAddr = "192.0.2.1:7882".parse().unwrap();
        let room = Room::new(
            now,
            RoomConfig {
                id: RoomId::random(&mut dice),
                name: RoomName::new("test").unwrap(),
                metadata: String::new(),
                limits: RoomLimits::default(),
                created_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
                seed: Seed([u8::try_from(seed & 0xff).unwrap(); 32]),
                candidates: vec![server],
                estimate_bandwidth: true,
            },
        );
        Self {
            now,
            started: now,
            room,
            clients: Vec::new(),
            facts: Vec::new(),
            loss_percent: 0,
            is_closed: false,
            dice,
            wire: BTreeMap::new(),
            sent: 0,
            server,
        }
    }

    pub(crate) fn join(&mut self, name: &str, topology: Topology) -> usize {
        self.try_join(name, topology).expect("the room takes them")
    }

    pub(crate) fn try_join(
        &mut self,
        name: &str,
        topology: Topology,
    ) -> Result<usize, CommandError> {
        let index = self.clients.len();
        let port = 10_000 + u16::try_from(index * 2).unwrap();
        let address = |port| SocketAddr::from(([198, 51, 100, 7], port));
        let session = SessionNumber(u64::try_from(index).unwrap() + 1);
        let join = Join {
            session,
            identity: Identity::new(name).unwrap(),
            name: name.to_owned(),
            metadata: String::new(),
            attributes: BTreeMap::new(),
            kind: ParticipantKind::Standard,
            permissions: Permissions { can_update_metadata: true, ..Permissions::default() },
            topology,
            auto_subscribe: AutoSubscribe::On,
            adaptive_stream: false,
            joined_at: SystemTime::UNIX_EPOCH,
            protocol: 17,
            stream_per_track: false,
            publish: Vec::new(),
            offer: None,
        };
        let Reply::Joined(joined) =
            self.room.handle_command(self.now, Command::Join(Box::new(join)))?
        else {
            panic!("a join is answered with the joined view");
        };
        let mut client = Client {
            id: joined.participant.id,
            name: name.to_owned(),
            topology,
            session,
            sources: Vec::new(),
            signals: Vec::new(),
            received: BTreeMap::new(),
            keyframe_requests: 0,
            strays: 0,
            is_cut: false,
            mids: BTreeMap::new(),
            publisher: Engine::new(self.now, address(port)),
            subscriber: (topology == Topology::Dual)
                .then(|| Engine::new(self.now, address(port + 1))),
            next_offer: 0,
            started: self.started,
            additions: vec![Addition::Channels],
            receive_mids: Vec::new(),
            is_asked: false,
        };
        if topology == Topology::Single {
            let kinds = [TrackKind::Audio, TrackKind::Video];
            client.additions.extend(kinds.map(Addition::Receive));
        }
        self.clients.push(client);
        self.exchange();
        Ok(index)
    }

    /// Announces and offers a track.
    pub(crate) fn publish(&mut self, index: usize, kind: TrackKind, encodings: usize) {
        let client = &mut self.clients[index];
        let cid = format!("{}-{}", client.name, client.sources.len());
        let source = match kind {
            TrackKind::Audio => TrackSource::Microphone,
            TrackKind::Video => TrackSource::Camera,
        };
        let qualities = [Quality::Low, Quality::Medium, Quality::High];
        // Like native clients: the largest first.
        let layers = (0..if kind == TrackKind::Video { encodings } else { 0 })
            .map(|encoding| VideoLayer {
                quality: qualities[encoding + 3 - encodings.max(1)],
                width: 320 << encoding,
                height: 180 << encoding,
                bitrate: rtc_model::Bitrate::from_kbps(100 << (2 * encoding)),
            })
            .rev()
            .collect();
        let publish = Publish {
            cid: cid.clone(),
            existing: None,
            kind,
            source,
            name: String::new(),
            stream: String::new(),
            muted: false,
            width: 1_280,
            height: 720,
            layers,
            codecs: Vec::new(),
            features: TrackFeatures::default(),
            audio_features: Vec::new(),
            encryption: 0,
            backup_codec_policy: 0,
        };
        client.additions.push(Addition::Send { cid, kind, encodings });
        self.request(index, Request::Publish(Box::new(publish))).unwrap();
        self.exchange();
    }

    pub(crate) fn request(
        &mut self,
        index: usize,
        request: Request,
    ) -> Result<Reply, CommandError> {
        let from = self.clients[index].id;
        let reply = self.room.handle_command(self.now, Command::Participant { from, request });
        self.exchange();
        reply
    }

    /// Breaks the signalling connection, then comes back on a new one.
    pub(crate) fn resume(&mut self, index: usize) -> Box<Joined> {
        let client = &mut self.clients[index];
        let lost = Command::SessionLost { participant: client.id, session: client.session };
        client.session = SessionNumber(client.session.0 + 1_000);
        client.publisher.pending = None;
        let resume = Command::Resume(Resume {
            session: client.session,
            participant: client.id,
            identity: Identity::new(&client.name).unwrap(),
            topology: client.topology,
        });
        self.room.handle_command(self.now, lost).unwrap();
        let Reply::Resumed(joined) = self.room.handle_command(self.now, resume).unwrap() else {
            panic!("a resume is answered with the view of the room");
        };
        self.exchange();
        joined
    }

    /// Lets time pass: media is sent, datagrams and signals are exchanged.
    pub(crate) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.now += STEP;
            for client in &mut self.clients {
                client.send_media(self.now);
                client.tick(self.now);
            }
            self.arrive();
            if self.room.next_timeout() <= self.now {
                self.room.handle_timeout(self.now);
            }
            self.exchange();
        }
    }

    /// Exchanges signals until nobody has anything to say, then sends.
    pub(crate) fn exchange(&mut self) {
        for _ in 0..200 {
            let mut moved = self.deliver_signals();
            for index in 0..self.clients.len() {
                moved |= self.offer(index);
            }
            if !moved {
                self.send_all();
                return;
            }
        }
        panic!("the exchange does not settle");
    }

    /// Puts what everybody sent on the wire.
    fn send_all(&mut self) {
        for client in &mut self.clients {
            let is_cut = client.is_cut;
            for engine in std::iter::once(&mut client.publisher).chain(&mut client.subscriber) {
                while let Some(datagram) = engine.outgoing.pop_front() {
                    if is_cut || self.dice.hits(self.loss_percent) {
                        continue;
                    }
                    self.sent += 1;
                    let flight = Flight::Up { from: engine.address, datagram };
                    self.wire.insert((self.now + DELAY, self.sent), flight);
                }
            }
        }
        let mut batch = SendBatch::new();
        loop {
            let is_full = self.room.poll_transmit(self.now, &mut batch);
            for (to, datagram) in batch.iter() {
                if self.dice.hits(self.loss_percent) {
                    continue;
                }
                self.sent += 1;
                let flight = Flight::Down { to, datagram: datagram.to_vec() };
                self.wire.insert((self.now + DELAY, self.sent), flight);
            }
            batch.clear();
            if !is_full {
                return;
            }
        }
    }

    /// Takes off the wire what has arrived.
    fn arrive(&mut self) {
        while let Some(entry) = self.wire.first_entry() {
            if entry.key().0 > self.now {
                return;
            }
            match entry.remove() {
                Flight::Up { from, datagram } => {
                    let path = Path { remote: from, local: self.server };
                    self.room.handle_datagram(self.now, path, &datagram);
                }
                Flight::Down { to, datagram } => {
                    for client in self.clients.iter_mut().filter(|client| !client.is_cut) {
                        client.receive(self.now, self.server, to, &datagram);
                    }
                }
            }
        }
    }

    fn deliver_signals(&mut self) -> bool {
        let mut moved = false;
        while let Some(event) = self.room.poll_event() {
            moved = true;
            match event {
                Event::Signal { to, signal } => {
                    let Some(index) = self.clients.iter().position(|client| client.id == to) else {
                        continue;
                    };
                    if let Some(request) = self.clients[index].take_signal(signal) {
                        let from = to;
                        let command = Command::Participant { from, request };
                        self.room.handle_command(self.now, command).unwrap();
                    }
                }
                Event::Fact(fact) => self.facts.push(fact),
                Event::Closed => self.is_closed = true,
                Event::Message { .. } | Event::UfragBound(_) | Event::UfragUnbound(_) => {}
            }
        }
        moved
    }

    fn offer(&mut self, index: usize) -> bool {
        let Some(offer) = self.clients[index].make_offer() else {
            return false;
        };
        let from = self.clients[index].id;
        let command = Command::Participant { from, request: Request::Offer(offer) };
        self.room.handle_command(self.now, command).expect("a usable offer");
        true
    }

    /// The first published track of a client, by kind.
    pub(crate) fn track_of(&self, index: usize, kind: TrackKind) -> TrackId {
        let id = self.clients[index].id;
        self.room
            .participants()
            .find(|info| info.id == id)
            .and_then(|info| info.tracks.iter().find(|track| track.kind == kind))
            .map(|track| track.id)
            .expect("the track is published")
    }

    /// Packets a client has of a track.
    pub(crate) fn received(&self, index: usize, track: TrackId) -> &[Received] {
        self.clients[index].received.get(&track).map_or(&[], Vec::as_slice)
    }
}

/// What the next offer adds.
enum Addition {
    Channels,
    Receive(TrackKind),
    Send { cid: String, kind: TrackKind, encodings: usize },
}

const RIDS: [&str; 3] = ["q", "h", "f"];

impl Client {
    fn make_offer(&mut self) -> Option<Description> {
        let is_asked = std::mem::take(&mut self.is_asked);
        if self.publisher.pending.is_some() || (self.additions.is_empty() && !is_asked) {
            self.is_asked = is_asked;
            return None;
        }
        let mut change = self.publisher.rtc.sdp_api();
        // As a browser's transceivers: what was answered inactive is offered again.
        for mid in &self.receive_mids {
            change.set_direction(*mid, Direction::RecvOnly);
        }
        for addition in self.additions.drain(..) {
            match addition {
                Addition::Channels => {
                    change.add_channel("_reliable".to_owned());
                }
                Addition::Receive(kind) => {
                    let mid =
                        change.add_media(media_kind(kind), Direction::RecvOnly, None, None, None);
                    self.receive_mids.push(mid);
                }
                Addition::Send { cid, kind, encodings } => {
                    let simulcast = (encodings > 1).then(|| {
                        let mut simulcast = Simulcast::new();
                        for rid in RIDS.iter().take(encodings) {
                            simulcast.add_send_layer(SimulcastLayer::new(rid));
                        }
                        simulcast
                    });
                    let rids = RIDS.iter().take(encodings).filter(|_| encodings > 1);
                    let rids = rids.map(|rid| Rid::from(*rid)).collect();
                    let mid = change.add_media(
                        media_kind(kind),
                        Direction::SendOnly,
                        Some("local".to_owned()),
                        Some(cid.clone()),
                        simulcast,
                    );
                    self.sources.push(Source {
                        kind,
                        mid,
                        rids,
                        is_on: true,
                        seq: 100,
                        keyframe_wanted: true,
                    });
                }
            }
        }
        if !change.has_changes() {
            // This engine makes no offer that changes nothing.
            change.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
        }
        let (offer, pending) = change.apply().expect("a change needs an offer");
        self.publisher.pending = Some(pending);
        self.next_offer += 1;
        Some(Description { id: self.next_offer, sdp: offer.to_sdp_string() })
    }

    fn take_signal(&mut self, signal: Signal) -> Option<Request> {
        self.signals.push(signal.clone());
        match signal {
            Signal::Answer { id, sdp, mid_to_track } => {
                assert_eq!(id, self.next_offer, "the answer repeats the offer's number");
                let answer = SdpAnswer::from_sdp_string(&sdp).expect("a readable answer");
                let pending = self.publisher.pending.take().expect("an answer follows an offer");
                self.publisher
                    .rtc
                    .sdp_api()
                    .accept_answer(pending, answer)
                    .expect("a fitting answer");
                if self.subscriber.is_none() {
                    self.mids = mid_to_track;
                }
                None
            }
            Signal::Offer { id, sdp, mid_to_track } => {
                let offer = SdpOffer::from_sdp_string(&sdp).expect("a readable offer");
                let engine = self.subscriber.as_mut().expect("offers go to two-connection clients");
                let answer = engine.rtc.sdp_api().accept_offer(offer).expect("a usable offer");
                self.mids = mid_to_track;
                Some(Request::Answer(Description { id, sdp: answer.to_sdp_string() }))
            }
            Signal::MediaSectionsRequired { audios, videos } => {
                let audio = (0..audios).map(|_| Addition::Receive(TrackKind::Audio));
                let video = (0..videos).map(|_| Addition::Receive(TrackKind::Video));
                self.additions.extend(audio.chain(video));
                self.is_asked = true;
                None
            }
            _ => None,
        }
    }

    fn engines(&mut self) -> impl Iterator<Item = &mut Engine> {
        std::iter::once(&mut self.publisher).chain(&mut self.subscriber)
    }

    fn tick(&mut self, now: Instant) {
        let mut events = Vec::new();
        for engine in self.engines() {
            engine.tick(now, &mut events);
        }
        self.take_events(events);
    }

    fn receive(&mut self, now: Instant, server: SocketAddr, to: SocketAddr, datagram: &[u8]) {
        let mut events = Vec::new();
        for engine in self.engines().filter(|engine| engine.address == to) {
            let Ok(input) = Receive::new(Protocol::Udp, server, to, datagram) else {
                panic!("the room sends what is none of STUN, DTLS, RTP, RTCP");
            };
            engine.rtc.handle_input(Input::Receive(now, input)).unwrap();
            engine.drain(&mut events);
        }
        self.take_events(events);
    }

    fn take_events(&mut self, events: Vec<EngineEvent>) {
        for event in events {
            match event {
                EngineEvent::RtpPacket(packet) => self.take_packet(&packet),
                EngineEvent::KeyframeRequest(request) => {
                    self.keyframe_requests += 1;
                    for source in self.sources.iter_mut().filter(|s| s.mid == request.mid) {
                        source.keyframe_wanted = true;
                    }
                }
                _ => {}
            }
        }
    }

    fn take_packet(&mut self, packet: &RtpPacket) {
        let engine = self.subscriber.as_mut().unwrap_or(&mut self.publisher);
        let mut api = engine.rtc.direct_api();
        let mid = api.stream_rx(&packet.header.ssrc).expect("a known stream").mid().to_string();
        let Some(track) = self.mids.get(&mid) else {
            // Was under way when the section was given back.
            self.strays += 1;
            return;
        };
        self.received.entry(*track).or_default().push(Received {
            ext_seq: *packet.seq_no,
            timestamp: packet.header.timestamp,
            is_keyframe: packet.payload.len() > 4 && packet.payload[4] & 1 == 0,
            encoding: packet.payload.last().copied().unwrap_or(0),
        });
    }

    /// One packet per source and step for audio, one frame of two packets each 35 ms for video.
    fn send_media(&mut self, now: Instant) {
        let elapsed = u64::try_from((now - self.started).as_millis()).unwrap();
        let connected = self.publisher.rtc.is_connected();
        for source in self.sources.iter_mut().filter(|source| source.is_on && connected) {
            let interval = if source.kind == TrackKind::Audio { 20 } else { 35 };
            if elapsed % interval != 0 {
                continue;
            }
            let clock = if source.kind == TrackKind::Audio { 48 } else { 90 };
            let time = u32::try_from(elapsed * clock).unwrap();
            let rids: Vec<Option<Rid>> = if source.rids.is_empty() {
                vec![None]
            } else {
                source.rids.iter().copied().map(Some).collect()
            };
            let keyframe = std::mem::take(&mut source.keyframe_wanted);
            for part in 0..2_u8 {
                for (encoding, rid) in rids.iter().enumerate() {
                    let encoding = u8::try_from(encoding).unwrap();
                    let payload = match source.kind {
                        TrackKind::Audio => vec![0xFC, 1, 2, 3, encoding],
                        TrackKind::Video => frame(elapsed / interval, keyframe, part, encoding),
                    };
                    write(&mut self.publisher.rtc, now, source, *rid, (time, part == 1), payload);
                }
                source.seq += 1;
                if source.kind == TrackKind::Audio {
                    break;
                }
            }
        }
    }
}

fn write(
    rtc: &mut Rtc,
    now: Instant,
    source: &Source,
    rid: Option<Rid>,
    (time, marker): (u32, bool),
    payload: Vec<u8>,
) {
    let pt = rtc.media(source.mid).unwrap().remote_pts().first().copied().unwrap();
    let mut api = rtc.direct_api();
    let stream = api.stream_tx_by_mid(source.mid, rid).expect("a negotiated stream");
    stream.write_rtp(
        RtpWrite::new(pt, source.seq.into(), time, now, payload)
            .marker(marker)
            .nackable(source.kind == TrackKind::Video),
    );
}

/// A VP8 packet: descriptor with a 15-bit picture id, the first octets of a frame, the encoding's mark.
fn frame(number: u64, keyframe: bool, part: u8, encoding: u8) -> Vec<u8> {
    let id = u16::try_from(number & 0x7fff).unwrap().to_be_bytes();
    let start = if part == 0 { 0x90 } else { 0x80 };
    let mut payload = vec![start, 0x80, 0x80 | id[0], id[1]];
    if part == 0 {
        payload.extend([if keyframe { 0x10 } else { 0x11 }, 2, 0, 0x9d, 0x01, 0x2a, 64, 1, 180, 0]);
    } else {
        payload.push(0xff);
    }
    let filler = usize::from(encoding) * 300 + 100;
    payload.extend(std::iter::repeat_n(0xAA, filler));
    payload.push(encoding);
    payload
}

fn media_kind(kind: TrackKind) -> MediaKind {
    match kind {
        TrackKind::Audio => MediaKind::Audio,
        TrackKind::Video => MediaKind::Video,
    }
}
