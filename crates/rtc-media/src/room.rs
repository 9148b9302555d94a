//! The only mutable owner of a room: routes commands, datagrams and timeouts (INV-4).
//!
//! Its parts by concern: `membership` (who is here), `tracks` (what is published and by whom it is received),
//! `negotiation` (offers and answers), `media` (packets, layers, keyframes), `presence` (speakers, quality).

pub(crate) mod media;
mod membership;
mod negotiation;
mod peers;
mod presence;
mod tracks;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use rtc_model::{
    Identity, LeaveReason, ParticipantId, RandomBits, RoomId, RoomLimits, RoomName, TrackId,
};
use str0m::{IceCreds, config::DtlsCert};

use crate::{
    command::{Command, CommandError, MessageChannel, Path, Reply, Request},
    engine,
    event::{Event, Fact, Signal},
    info::{ParticipantInfo, RoomInfo},
    participant::Participant,
    peer::{Drained, Peer, PeerKey},
    publication::Publication,
    room::{peers::Peers, presence::Presence},
    stats::{DropReason, RoomStats},
    transmit::SendBatch,
};

/// Fixes every random choice of a room, so that a run can be replayed.
#[derive(Clone)]
pub struct Seed(pub [u8; 32]);

/// What a room needs to know before its first participant.
pub struct RoomConfig {
    /// This lifetime of the room.
    pub id: RoomId,
    /// Its name within the app.
    pub name: RoomName,
    /// Free text of the app.
    pub metadata: String,
    /// Bounds.
    pub limits: RoomLimits,
    /// Wall-clock time of `now` at [`Room::new`].
    pub created_at: SystemTime,
    /// Source of ids and ICE passwords.
    pub seed: Seed,
    /// Our UDP addresses as announced to peers; the first is the one datagrams arrive at.
    pub candidates: Vec<SocketAddr>,
    /// Whether subscribers' bandwidth is estimated (otherwise everything wished for is sent).
    pub estimate_bandwidth: bool,
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// Taken; datagrams from this address belong to this room from now on.
    Taken,
    /// Counted and dropped.
    Dropped,
}

/// How often the room looks after itself: retries, speakers, timeouts of participants.
const TICK: Duration = Duration::from_millis(50);
/// Datagrams drained from engines before they are handed out; bounds the memory between two sends.
const OUTGOING_MAX: usize = 256;

/// A room.
pub struct Room {
    config: RoomConfig,
    started: Instant,
    info: RoomInfo,
    stats: RoomStats,
    random: SeededBits,
    certificate: Option<DtlsCert>,
    participants: BTreeMap<ParticipantId, Participant>,
    /// Arrival number → participant, for lists in order of joining.
    arrivals: BTreeMap<u64, ParticipantId>,
    identities: BTreeMap<Identity, ParticipantId>,
    publications: BTreeMap<TrackId, Publication>,
    peers: Peers,
    paths: BTreeMap<SocketAddr, PeerKey>,
    ufrags: BTreeMap<String, PeerKey>,
    drained: Drained,
    events: VecDeque<Event>,
    has_news: bool,
    next_news: Instant,
    to_negotiate: BTreeSet<ParticipantId>,
    to_allocate: BTreeSet<ParticipantId>,
    presence: Presence,
    next_tick: Instant,
    next_allocation: Instant,
    empty_since: Option<Instant>,
    was_joined: bool,
    is_closed: bool,
}

impl Room {
    /// Creates an empty room.
    pub fn new(now: Instant, config: RoomConfig) -> Self {
        let info = RoomInfo {
            id: config.id,
            name: config.name.clone(),
            metadata: config.metadata.clone(),
            created_at: config.created_at,
            empty_timeout_s: seconds(config.limits.empty_timeout),
            departure_timeout_s: seconds(config.limits.departure_timeout),
            participants_max: config.limits.participants_max,
            participant_count: 0,
            publisher_count: 0,
        };
        let random = SeededBits::new(&config.seed);
        let mut room = Self {
            config,
            started: now,
            info,
            stats: RoomStats::default(),
            random,
            certificate: engine::certificate(),
            participants: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            identities: BTreeMap::new(),
            publications: BTreeMap::new(),
            peers: Peers::default(),
            paths: BTreeMap::new(),
            ufrags: BTreeMap::new(),
            drained: Drained::default(),
            events: VecDeque::new(),
            has_news: false,
            next_news: now,
            to_negotiate: BTreeSet::new(),
            to_allocate: BTreeSet::new(),
            presence: Presence::new(now),
            next_tick: now + TICK,
            next_allocation: now,
            empty_since: Some(now),
            was_joined: false,
            is_closed: false,
        };
        let started = Arc::new(room.info.clone());
        room.events.push_back(Event::Fact(Fact::RoomStarted(started)));
        room
    }

    /// Applies one command from signalling or the control plane.
    ///
    /// # Errors
    /// [`CommandError`] when the command does not fit the room's state. The room is then unchanged.
    pub fn handle_command(
        &mut self,
        now: Instant,
        command: Command,
    ) -> Result<Reply, CommandError> {
        if self.is_closed {
            return Err(CommandError::RoomClosed);
        }
        let reply = self.apply(now, command);
        self.settle(now);
        reply
    }

    fn apply(&mut self, now: Instant, command: Command) -> Result<Reply, CommandError> {
        match command {
            Command::Join(join) => self.join(now, *join),
            Command::Resume(resume) => self.resume(&resume),
            Command::SessionLost { participant, session } => {
                self.lose_session(now, participant, session);
                Ok(Reply::Done)
            }
            Command::Leave { participant, reason } => {
                self.known(participant)?;
                self.remove(now, participant, reason);
                Ok(Reply::Done)
            }
            Command::Participant { from, request } => {
                self.known(from)?;
                self.request(now, from, request)?;
                Ok(Reply::Done)
            }
            Command::Admin(admin) => self.administer(now, admin),
            Command::SendMessage { to, channel, payload } => {
                self.send_message(&to, channel, &payload);
                Ok(Reply::Done)
            }
            Command::Close { reason } => {
                self.close(now, reason);
                Ok(Reply::Done)
            }
        }
    }

    fn request(
        &mut self,
        now: Instant,
        from: ParticipantId,
        request: Request,
    ) -> Result<(), CommandError> {
        match request {
            Request::Offer(offer) => self.take_offer(now, from, &offer),
            Request::Answer(answer) => self.take_answer(now, from, &answer),
            // An ICE-lite agent is found, it does not look: where the client might be is of no use.
            Request::Candidate { role: _, candidate } => check_candidate(&candidate),
            Request::Publish(publish) => self.announce(now, from, *publish),
            Request::Mute { track, muted } => self.mute(now, from, track, muted),
            Request::UpdateTrack { track, width, height, audio_features } => {
                self.update_track(now, from, track, (width, height), audio_features)
            }
            Request::Subscribe { tracks, subscribe } => {
                self.set_intents(now, from, &tracks, subscribe)
            }
            Request::TrackSettings { tracks, wish } => self.set_wishes(now, from, &tracks, wish),
            Request::SubscriptionPermission(grants) => {
                self.set_grants(now, from, grants);
                Ok(())
            }
            Request::UpdateMetadata { request_id, change } => {
                self.update_own_metadata(from, request_id, change);
                Ok(())
            }
            Request::SyncState(state) => {
                self.sync_state(now, from, &state);
                Ok(())
            }
            Request::Simulate(simulation) => {
                self.simulate(now, from, simulation);
                Ok(())
            }
        }
    }

    /// Takes one datagram. Malformed, replayed or unauthenticated input is counted in [`RoomStats`] and dropped.
    pub fn handle_datagram(&mut self, now: Instant, path: Path, datagram: &[u8]) -> Handled {
        self.stats.datagrams_received_total += 1;
        let key = match self.peer_for(now, path, datagram) {
            Ok(key) => key,
            Err(reason) => {
                self.stats.drop(reason);
                return Handled::Dropped;
            }
        };
        let Some(peer) = self.peers.get_mut(key) else {
            self.stats.drop(DropReason::NoPeer);
            return Handled::Dropped;
        };
        if !peer.handle_datagram(now, path, datagram, &mut self.drained) {
            self.stats.drop(DropReason::Refused);
        }
        self.after_drain(now, key);
        self.settle(now);
        Handled::Taken
    }

    fn peer_for(
        &mut self,
        now: Instant,
        path: Path,
        datagram: &[u8],
    ) -> Result<PeerKey, DropReason> {
        // RFC 7983 §7: the first byte tells the protocols apart.
        match datagram.first() {
            Some(0..=1) => {
                let ufrag =
                    crate::route::local_ufrag(datagram).ok_or(DropReason::UnknownProtocol)?;
                let key = *self.ufrags.get(ufrag).ok_or(DropReason::NoPeer)?;
                let peer = self.peers.get(key).ok_or(DropReason::NoPeer)?;
                if !peer.accepts(now, path, datagram) {
                    return Err(DropReason::Refused);
                }
                self.bind_path(path.remote, key);
                Ok(key)
            }
            Some(20..=63 | 128..=191) => {
                self.paths.get(&path.remote).copied().ok_or(DropReason::NoPeer)
            }
            _ => Err(DropReason::UnknownProtocol),
        }
    }

    /// Advances time. Call at or after [`Self::next_timeout`].
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(key) = self.peers.pop_due(now) {
            if let Some(peer) = self.peers.get_mut(key) {
                peer.flush(now, &mut self.drained);
            }
            self.after_drain(now, key);
            if self.drained.datagrams.len() >= OUTGOING_MAX {
                break;
            }
        }
        if now >= self.next_tick {
            self.next_tick = now + TICK;
            self.tick(now);
        }
        self.settle(now);
    }

    fn tick(&mut self, now: Instant) {
        self.retry_keyframes(now);
        self.retry_negotiation(now);
        self.start_delayed(now);
        self.watch_presence(now);
        self.watch_layers(now);
        self.expire(now);
    }

    /// Fills `batch` until it is full or nothing is left. `true`: it is full, send it and call again.
    ///
    /// Call any number of `handle_*` for one receive batch, then this until it returns `false`, then
    /// [`Self::poll_event`] until `None`.
    pub fn poll_transmit(&mut self, now: Instant, batch: &mut SendBatch) -> bool {
        loop {
            while let Some((destination, datagram)) = self.drained.datagrams.pop_front() {
                batch.push(destination, &datagram);
                self.stats.datagrams_sent_total += 1;
                if !batch.has_room() {
                    return true;
                }
            }
            let Some(key) = self.peers.pop_dirty() else {
                return false;
            };
            if let Some(peer) = self.peers.get_mut(key) {
                peer.flush(now, &mut self.drained);
            }
            self.after_drain(now, key);
            self.settle(now);
        }
    }

    /// The next event, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn next_timeout(&self) -> Instant {
        self.peers.next_due().map_or(self.next_tick, |due| due.min(self.next_tick))
    }

    /// The room as everybody in it may know it.
    pub fn info(&self) -> &RoomInfo {
        &self.info
    }

    /// Every participant, hidden ones too, in order of joining.
    pub fn participants(&self) -> impl Iterator<Item = &Arc<ParticipantInfo>> {
        self.arrivals
            .values()
            .filter_map(|id| self.participants.get(id))
            .map(|participant| &participant.info)
    }

    /// What has been counted.
    pub fn stats(&self) -> &RoomStats {
        &self.stats
    }

    /// Whether the room has ended; nothing more will come of it than what can be polled.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    // ---- shared by the parts ----

    fn settle(&mut self, now: Instant) {
        self.spread_news(now);
        while let Some(participant) = self.to_negotiate.pop_first() {
            self.negotiate(now, participant);
        }
        while let Some(participant) = self.to_allocate.pop_first() {
            self.allocate(now, participant);
        }
    }

    /// Acts on what an engine said, and notes when it wants to be called again.
    fn after_drain(&mut self, now: Instant, key: PeerKey) {
        self.peers.note(key);
        let mut events = std::mem::take(&mut self.drained.events);
        for event in events.drain(..) {
            self.take_engine_event(now, key, event);
        }
        // The buffer is kept: no allocation per packet.
        if self.drained.events.is_empty() {
            self.drained.events = events;
        }
    }

    fn known(&self, participant: ParticipantId) -> Result<&Participant, CommandError> {
        self.participants.get(&participant).ok_or(CommandError::ParticipantNotFound)
    }

    fn signal(&mut self, to: ParticipantId, signal: Signal) {
        self.events.push_back(Event::Signal { to, signal });
    }

    fn fact(&mut self, fact: Fact) {
        self.events.push_back(Event::Fact(fact));
    }

    /// Wall-clock time, from the moment the room was opened.
    fn wall_clock(&self, now: Instant) -> SystemTime {
        self.config.created_at + now.saturating_duration_since(self.started)
    }

    fn add_peer(
        &mut self,
        now: Instant,
        owner: ParticipantId,
        role: crate::command::PeerRole,
        sends: bool,
    ) -> PeerKey {
        let credentials = IceCreds {
            ufrag: self.random.text(UFRAG_LENGTH),
            pass: self.random.text(ICE_PASSWORD_LENGTH),
        };
        let rtc = engine::build(
            now,
            engine::EngineConfig {
                credentials,
                certificate: self.certificate.as_ref(),
                candidates: &self.config.candidates,
                message_bytes_max: self.config.limits.message_bytes_max,
                estimate_bandwidth: self.config.estimate_bandwidth && sends,
            },
        );
        let peer = Peer::new(now, owner, role, rtc);
        let ufrag = peer.ufrag().to_owned();
        let key = self.peers.insert(peer);
        self.bind_ufrag(key, ufrag);
        key
    }

    /// Datagrams from this address belong to this peer from now on. A peer keeps its last few addresses.
    fn bind_path(&mut self, remote: SocketAddr, key: PeerKey) {
        if self.paths.insert(remote, key) == Some(key) {
            return;
        }
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        peer.remotes.retain(|known| *known != remote);
        peer.remotes.push_back(remote);
        if peer.remotes.len() > REMOTES_MAX
            && let Some(oldest) = peer.remotes.pop_front()
            && self.paths.get(&oldest) == Some(&key)
        {
            self.paths.remove(&oldest);
        }
    }

    fn bind_ufrag(&mut self, key: PeerKey, ufrag: String) {
        if self.ufrags.get(&ufrag) == Some(&key) {
            return;
        }
        let stale: Vec<String> = self
            .ufrags
            .iter()
            .filter(|(_, bound)| **bound == key)
            .map(|(old, _)| old.clone())
            .collect();
        for old in stale {
            self.ufrags.remove(&old);
            self.events.push_back(Event::UfragUnbound(old));
        }
        self.ufrags.insert(ufrag.clone(), key);
        self.events.push_back(Event::UfragBound(ufrag));
    }

    fn remove_peer(&mut self, now: Instant, key: PeerKey) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.close();
            peer.flush(now, &mut self.drained);
            self.drained.events.clear();
        }
        self.peers.remove(key);
        self.presence.forget_peer(key);
        self.paths.retain(|_, bound| *bound != key);
        let unbound: Vec<String> = self
            .ufrags
            .iter()
            .filter(|(_, bound)| **bound == key)
            .map(|(ufrag, _)| ufrag.clone())
            .collect();
        for ufrag in unbound {
            self.ufrags.remove(&ufrag);
            self.events.push_back(Event::UfragUnbound(ufrag));
        }
    }

    fn send_message(&mut self, to: &[ParticipantId], channel: MessageChannel, payload: &[u8]) {
        for participant in to {
            let Some(participant) = self.participants.get(participant) else {
                continue;
            };
            let key = if self
                .peers
                .get(participant.subscriber)
                .is_some_and(|peer| peer.has_channel(channel))
            {
                participant.subscriber
            } else {
                participant.publisher
            };
            let sent =
                self.peers.get_mut(key).is_some_and(|peer| peer.send_message(channel, payload));
            self.peers.note(key);
            if sent {
                self.stats.messages_sent_total += 1;
            } else {
                self.stats.messages_dropped_total += 1;
            }
        }
    }

    fn receive_message(
        &mut self,
        now: Instant,
        from: ParticipantId,
        channel: MessageChannel,
        payload: Vec<u8>,
    ) {
        let limits = &self.config.limits;
        let Some(participant) = self.participants.get_mut(&from) else {
            return;
        };
        self.stats.messages_received_total += 1;
        let is_permitted = participant.permissions().can_publish_data
            && payload.len() <= limits.message_bytes_max
            && participant.messages.take(now, payload.len(), limits.message_bytes_per_second_max);
        if is_permitted {
            self.events.push_back(Event::Message { from, channel, payload });
        } else {
            self.stats.messages_dropped_total += 1;
        }
    }

    /// Ends the room: everybody is told and removed.
    fn close(&mut self, now: Instant, reason: LeaveReason) {
        let everybody: Vec<ParticipantId> = self.arrivals.values().copied().collect();
        for participant in everybody {
            self.remove(now, participant, reason);
        }
        self.finish();
    }

    fn finish(&mut self) {
        if !self.is_closed {
            self.is_closed = true;
            self.fact(Fact::RoomFinished(Arc::new(self.info.clone())));
            self.events.push_back(Event::Closed);
        }
    }
}

/// Addresses of one peer that are remembered: a client checks from each of its interfaces.
const REMOTES_MAX: usize = 16;

/// RFC 8839 §5.4 asks for 4 to 256 characters; 16 of ours hold 80 bits, so no two rooms of a node ever share one.
const UFRAG_LENGTH: usize = 16;
/// RFC 8839 §5.4 asks for at least 22 characters; ours hold 160 bits.
const ICE_PASSWORD_LENGTH: usize = 32;

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

/// Longest candidate line looked at; real ones stay under 200 characters.
const CANDIDATE_BYTES_MAX: usize = 1_024;

fn check_candidate(candidate: &str) -> Result<(), CommandError> {
    if candidate.len() > CANDIDATE_BYTES_MAX {
        return Err(CommandError::TooLarge { what: "ICE candidate", limit: CANDIDATE_BYTES_MAX });
    }
    Ok(())
}

/// Random bits from a 256-bit seed: cryptographic (`ChaCha20`, RFC 8439), because ICE passwords derive
/// from it.
struct SeededBits {
    generator: rand_chacha::ChaCha20Rng,
}

impl SeededBits {
    fn new(seed: &Seed) -> Self {
        use rand_chacha::rand_core::SeedableRng;
        Self { generator: rand_chacha::ChaCha20Rng::from_seed(seed.0) }
    }

    fn text(&mut self, length: usize) -> String {
        const SYMBOLS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let mut text = String::with_capacity(length);
        while text.len() < length {
            let mut bits = self.next_bits();
            for _ in 0..12 {
                if text.len() < length {
                    let symbol = usize::try_from(bits & 31).unwrap_or(0);
                    text.push(char::from(SYMBOLS.get(symbol).copied().unwrap_or(b'a')));
                }
                bits >>= 5;
            }
        }
        text
    }
}

impl RandomBits for SeededBits {
    fn next_bits(&mut self) -> u64 {
        use rand_chacha::rand_core::RngCore;
        self.generator.next_u64()
    }
}
