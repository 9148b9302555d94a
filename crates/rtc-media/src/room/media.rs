//! Packets, keyframes and layers.

use std::time::{Duration, Instant};

use rtc_model::{
    Bitrate, Codec, Layer, ParticipantId, Quality, RandomBits, StreamState, TrackId, TrackKind,
    TrackSource,
};
use str0m::{
    bwe::BweKind,
    format::PayloadParams,
    media::{Mid, Pt},
    rtp::{ExtensionValues, RtpPacket, RtpWrite},
};

use super::Room;
use crate::{
    allocate::{self, Content, Current, Demand, VideoDemand},
    dynacast::{Need, SubscribedQualities},
    engine,
    event::Signal,
    layer::{
        DefaultWish, HEADROOM_PERCENT, SeenLayer, TEMPORAL_MAX, is_at_most, step_temporal,
        wanted_spatial, wanted_temporal,
    },
    payload::{PacketInfo, Vp8Descriptor, Vp8Header},
    peer::{PayloadEncoding, Peer, PeerKey, PeerState, Route},
    publication::{Publication, low_32},
    red,
    rewrite::{ClockBridge, OutPacket, Promised, Rewrite, SourcePacket, Start, clock_offset},
    room::peers::Peers,
    stats::{DropReason, RoomStats},
    subscription::{Forwarding, Subscription, Verdict},
};

/// SSRCs one peer may send on; browsers use two per encoding.
const ROUTES_MAX: usize = 256;
/// Layers are looked at anew this often, and at once when the estimate falls.
const ALLOCATE_EVERY: Duration = Duration::from_millis(250);
/// A switch that brings no keyframe for this long is started over.
const SWITCH_WAIT_MAX: Duration = Duration::from_secs(3);
/// A decoder that asked for a keyframe this long ago asks again if it still needs one.
const ASKED_MAX: Duration = Duration::from_secs(3);
/// Feedback needs this long to say something about a path.
const ESTIMATE_TRUSTED_AFTER: Duration = Duration::from_millis(1_500);
/// What a video without announced rates is taken to need, for probing: what native clients send unasked.
const VIDEO_RATE_DEFAULT: Bitrate = Bitrate::from_kbps(2_500);
/// What a subscriber without an estimate is given: everything.
const UNLIMITED: Bitrate = Bitrate::from_kbps(10_000_000);
const VIDEO_CLOCK_RATE: u32 = 90_000;
const AUDIO_CLOCK_RATE: u32 = 48_000;

impl Room {
    pub(super) fn take_engine_event(&mut self, now: Instant, key: PeerKey, event: str0m::Event) {
        match event {
            str0m::Event::RtpPacket(packet) => self.forward(now, key, &packet),
            str0m::Event::KeyframeRequest(request) => {
                self.relay_keyframe_request(now, key, request.mid);
            }
            str0m::Event::EgressBitrateEstimate(BweKind::Twcc { estimate, .. }) => {
                self.take_estimate(key, Bitrate::from_bps(estimate.as_u64()));
            }
            str0m::Event::EgressBitrateEstimate(BweKind::Remb { estimate, .. })
                if self.peers.get(key).is_some_and(|peer| peer.estimate.is_none()) =>
            {
                // Receivers that measure by themselves; with TWCC ours is the better estimate.
                self.take_estimate(key, Bitrate::from_bps(estimate.as_u64()));
            }
            str0m::Event::ChannelData(data) => {
                let from = self.peers.get(key).map(|peer| (peer.owner, peer.channel_of(data.id)));
                if let Some((from, Some(channel))) = from {
                    self.receive_message(now, from, channel, data.data);
                }
            }
            str0m::Event::Connected
            | str0m::Event::IceConnectionStateChange(_)
            | str0m::Event::Closed => {
                self.note_peer_state(now, key);
            }
            str0m::Event::PeerStats(stats) => self.presence.take_peer_stats(key, &stats),
            str0m::Event::MediaIngressStats(stats) => {
                self.presence.take_inbound_stats(key, &stats);
                self.note_rtt(key, &stats);
            }
            // Further kinds of the engine's own event type concern frame mode, which is not used.
            _ => {}
        }
    }

    fn note_rtt(&mut self, key: PeerKey, stats: &str0m::stats::MediaIngressStats) {
        let Some(rtt) = stats.rtt else {
            return;
        };
        for publication in self.publications.values_mut().filter(|p| p.peer == key) {
            for codec in publication.codecs.iter_mut().filter(|c| c.mid == Some(stats.mid)) {
                for encoding in &mut codec.encodings {
                    encoding.keyframes.set_rtt(rtt);
                }
            }
        }
    }

    fn note_peer_state(&mut self, now: Instant, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let connected = peer.state == PeerState::Connected;
        if std::mem::replace(&mut peer.was_connected, connected) == connected {
            return;
        }
        let (participant, role) = (peer.owner, peer.role);
        self.fact(crate::event::Fact::PeerState { participant, role, connected });
        if connected {
            self.activate(now, key, participant);
        }
    }

    // ---- forwarding ----

    fn forward(&mut self, now: Instant, key: PeerKey, packet: &RtpPacket) {
        self.stats.packets_received_total += 1;
        self.stats.bytes_received_total +=
            u64::try_from(packet.header.header_len + packet.payload.len()).unwrap_or(0);
        let Some(route) = self.route(key, packet) else {
            self.stats.drop(DropReason::NoPublication);
            return;
        };
        let (Some(publication), Some(publisher)) =
            (self.publications.get_mut(&route.track), self.peers.get(key))
        else {
            self.stats.drop(DropReason::NoPublication);
            return;
        };
        let Some(codec) = publication.codecs.get_mut(route.codec) else {
            return;
        };
        let pt = packet.header.payload_type;
        let params = codec.params(pt, || publisher.inbound_params(pt));
        // Clients may fall back to another codec than announced.
        let name = params.and_then(|(params, _)| model_codec(params)).unwrap_or(codec.codec);
        let (Some((params, wrapping)), Some(encoding)) =
            (params, codec.encodings.get_mut(route.encoding))
        else {
            self.stats.drop(DropReason::NoPublication);
            return;
        };
        let was_live = encoding.is_live(now);
        let info = encoding.note(now, name, packet);
        let padding = encoding.padding.take();
        if let Some(level) = packet.header.ext_vals.audio_level
            && !publication.info.muted
        {
            let level = level.unsigned_abs().min(127);
            self.presence.hear(now, route.track, level, packet.header.timestamp);
        }
        if publication.info.muted {
            self.stats.drop(DropReason::NotForwardable);
            return;
        }
        let captured_at = self
            .participants
            .get_mut(&publication.owner)
            .map_or(now, |owner| owner.capture_clock.captured_at(now, packet));
        let mut outgoing = Outgoing {
            now,
            captured_at,
            packet,
            info,
            padding,
            params,
            wrapping,
            route,
            unwrapped: None,
            ext_vals: carried_extensions(&packet.header.ext_vals),
            random: &mut self.random,
            stats: &mut self.stats,
        };
        outgoing.fan_out(publication, &mut self.peers);
        if !was_live && publication.kind() == TrackKind::Video {
            self.to_allocate.extend(publication.subscriptions.iter().map(|entry| entry.subscriber));
        }
    }

    fn route(&mut self, key: PeerKey, packet: &RtpPacket) -> Option<Route> {
        let ssrc = packet.header.ssrc;
        let peer = self.peers.get_mut(key)?;
        if let Some(route) = peer.routes.get(&*ssrc) {
            return Some(*route);
        }
        if peer.unrouted.contains(&*ssrc) {
            return None;
        }
        let (mid, rid) = peer.stream_identity(ssrc)?;
        let owner = peer.owner;
        let route =
            self.publications.values().filter(|p| p.owner == owner).find_map(|publication| {
                let codec = publication.codec_on(mid)?;
                let encoding = publication
                    .codecs
                    .get(codec)?
                    .encodings
                    .iter()
                    .position(|encoding| encoding.rid == rid)?;
                Some(Route { track: publication.info.id, codec, encoding })
            });
        let is_video = route
            .and_then(|route| self.publications.get(&route.track))
            .is_some_and(|publication| publication.kind() == TrackKind::Video);
        let peer = self.peers.get_mut(key)?;
        if is_video {
            peer.ask_for_repairs(ssrc);
        }
        if peer.routes.len() + peer.unrouted.len() < ROUTES_MAX {
            match route {
                Some(route) => {
                    peer.routes.insert(*ssrc, route);
                }
                None => {
                    peer.unrouted.insert(*ssrc);
                }
            }
        }
        route
    }

    /// Starts what was waiting for this peer to be connected and to know its sections.
    pub(super) fn start_waiting(&mut self, now: Instant, key: PeerKey) {
        let Some(peer) = self.peers.get(key) else {
            return;
        };
        if peer.state != PeerState::Connected {
            return;
        }
        let ready: Vec<Option<Instant>> =
            peer.slots.iter().map(|slot| slot.ready_at.filter(|_| slot.is_ready)).collect();
        let mut started = Vec::new();
        for (track, publication) in &mut self.publications {
            let kind = publication.kind();
            for subscription in &mut publication.subscriptions {
                let is_ready = subscription.peer == key
                    && subscription.slot.is_some_and(|slot| match ready.get(slot) {
                        Some(Some(at)) => kind == TrackKind::Audio || *at <= now,
                        Some(None) | None => false,
                    });
                if !is_ready || subscription.is_started {
                    continue;
                }
                subscription.is_started = true;
                match kind {
                    TrackKind::Video if subscription.is_disabled() => {}
                    TrackKind::Audio => subscription.forwarding = Forwarding::Live { spatial: 0 },
                    TrackKind::Video => {
                        subscription.forwarding = Forwarding::Awaiting { target: 0 };
                        started.push(*track);
                        self.to_allocate.insert(subscription.subscriber);
                    }
                }
            }
        }
        for track in started {
            self.request_awaited(now, track);
        }
    }

    /// Starts pictures whose section the client had time to learn of.
    pub(super) fn start_delayed(&mut self, now: Instant) {
        let waiting: std::collections::BTreeSet<PeerKey> = self
            .publications
            .values()
            .flat_map(|publication| &publication.subscriptions)
            .filter(|entry| !entry.is_started && entry.slot.is_some())
            .map(|entry| entry.peer)
            .collect();
        for key in waiting {
            self.start_waiting(now, key);
        }
    }

    // ---- keyframes ----

    /// A subscriber asks for a keyframe (RFC 4585 PLI or RFC 5104 FIR).
    fn relay_keyframe_request(&mut self, now: Instant, key: PeerKey, mid: Mid) {
        let Some(slot) =
            self.peers.get(key).and_then(|peer| peer.slots.iter().position(|slot| slot.mid == mid))
        else {
            return;
        };
        let wanted = self.publications.iter().find_map(|(track, publication)| {
            let subscription = publication
                .subscriptions
                .iter()
                .find(|entry| entry.peer == key && entry.slot == Some(slot))?;
            Some((*track, subscription.codec, subscription.wanted_encoding()?))
        });
        if let Some((track, codec, encoding)) = wanted {
            self.note_asked(now, track, codec, encoding);
            self.request_keyframe(now, track, codec, encoding);
        }
    }

    fn note_asked(&mut self, now: Instant, track: TrackId, codec: usize, encoding: u8) {
        if let Some(publication) = self.publications.get_mut(&track)
            && let Some(published) = publication.codecs.get_mut(codec)
            && let Some(encoding) = published.encodings.get_mut(usize::from(encoding))
        {
            encoding.asked_at = Some(now);
        }
    }

    /// Asks for the keyframes that subscriptions of a track wait for.
    pub(super) fn request_awaited(&mut self, now: Instant, track: TrackId) {
        let Some(publication) = self.publications.get(&track) else {
            return;
        };
        let mut awaited: Vec<(usize, u8)> = publication
            .subscriptions
            .iter()
            .filter_map(|entry| Some((entry.codec, entry.awaited_encoding()?)))
            .collect();
        awaited.sort_unstable();
        awaited.dedup();
        for (codec, encoding) in awaited {
            self.request_keyframe(now, track, codec, encoding);
        }
    }

    fn request_keyframe(&mut self, now: Instant, track: TrackId, codec: usize, encoding: u8) {
        let Some(publication) = self.publications.get_mut(&track) else {
            return;
        };
        let Some(published) = publication.codecs.get_mut(codec) else {
            return;
        };
        let Some(mid) = published.mid else {
            return;
        };
        let Some(target) = published.encodings.get_mut(usize::from(encoding)) else {
            return;
        };
        let Some(_send) = target.keyframes.request(now) else {
            self.stats.keyframe_requests_merged_total += 1;
            return;
        };
        let (rid, owner) = (target.rid, publication.peer);
        self.send_keyframe_request(owner, mid, rid);
    }

    fn send_keyframe_request(&mut self, owner: PeerKey, mid: Mid, rid: Option<str0m::media::Rid>) {
        let sent = self.peers.get_mut(owner).is_some_and(|peer| peer.request_keyframe(mid, rid));
        if sent {
            self.stats.keyframe_requests_total += 1;
        }
        self.peers.note(owner);
    }

    pub(super) fn retry_keyframes(&mut self, now: Instant) {
        let mut due = Vec::new();
        for publication in self.publications.values_mut() {
            let owner = publication.peer;
            for (index, codec) in publication.codecs.iter_mut().enumerate() {
                let Some(mid) = codec.mid else {
                    continue;
                };
                for (spatial, encoding) in codec.encodings.iter_mut().enumerate() {
                    if encoding.keyframes.next_timeout().is_none_or(|at| at > now) {
                        continue;
                    }
                    let is_awaited = publication.subscriptions.iter().any(|entry| {
                        entry.codec == index
                            && entry.awaited_encoding().map(usize::from) == Some(spatial)
                    });
                    let is_asked = encoding
                        .asked_at
                        .is_some_and(|at| now.saturating_duration_since(at) < ASKED_MAX);
                    if !is_awaited && !is_asked {
                        encoding.keyframes.cancel(now);
                    } else if encoding.keyframes.poll(now).is_some() {
                        due.push((owner, mid, encoding.rid));
                    }
                }
            }
        }
        for (owner, mid, rid) in due {
            self.send_keyframe_request(owner, mid, rid);
        }
    }

    // ---- layers ----

    fn take_estimate(&mut self, key: PeerKey, estimate: Bitrate) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let before = peer.estimate.replace(estimate);
        if before.is_none_or(|before| estimate < before.percent(95)) {
            self.to_allocate.insert(peer.owner);
        }
    }

    pub(super) fn watch_layers(&mut self, now: Instant) {
        if now < self.next_allocation {
            return;
        }
        self.next_allocation = now + ALLOCATE_EVERY;
        let mut told = Vec::new();
        for (track, publication) in &mut self.publications {
            if publication.kind() == TrackKind::Audio {
                continue;
            }
            let has_choice = publication.codecs.iter().any(|codec| codec.encodings.len() > 1);
            if self.config.estimate_bandwidth || has_choice {
                let subscribers = publication.subscriptions.iter().map(|entry| entry.subscriber);
                self.to_allocate.extend(subscribers);
            }
            if let Some(codecs) = publication.dynacast.poll(now) {
                told.push((publication.owner, *track, codecs));
            }
            for subscription in &mut publication.subscriptions {
                subscription.give_up_switch(now, SWITCH_WAIT_MAX);
            }
        }
        for (owner, track, codecs) in told {
            self.signal(owner, Signal::SubscribedQuality { track, codecs });
        }
    }

    /// Shares a subscriber's bandwidth among its tracks.
    pub(super) fn allocate(&mut self, now: Instant, id: ParticipantId) {
        let Some(participant) = self.participants.get(&id) else {
            return;
        };
        let key = participant.subscriber;
        let adaptive = participant.adaptive_stream;
        let Some(peer) = self.peers.get(key) else {
            return;
        };
        let cap = participant.bandwidth_cap.unwrap_or(UNLIMITED);
        let estimate = if self.config.estimate_bandwidth { peer.estimate } else { None };
        let is_measured = peer
            .estimating_since
            .is_some_and(|at| now.saturating_duration_since(at) >= ESTIMATE_TRUSTED_AFTER);
        let entries = self.demands(now, id, adaptive);
        let demands: Vec<Demand<'_>> = entries.iter().map(|entry| entry.demand()).collect();
        let least: Bitrate = entries.iter().map(Entry::least).sum();
        let estimate = estimate.unwrap_or(UNLIMITED);
        let budget = match self.participants.get_mut(&id) {
            // A start value is no evidence: the least of everything flows until feedback has come.
            Some(_) if !is_measured => estimate.max(least),
            Some(participant) => participant.starvation.budget(now, estimate, least),
            None => return,
        };
        let grants = allocate::allocate(now, budget.min(cap), &demands);
        let desired = allocate::desired(&demands).max(entries.iter().map(Entry::announced).sum());
        // Who receives sound only is not probed for what pictures would need.
        let has_pictures = entries.iter().any(|entry| matches!(entry, Entry::Video { .. }));
        let desired = if has_pictures { desired.max(engine::DESIRED_MIN) } else { desired };
        let given: Bitrate = grants.iter().map(|grant| grant.bitrate).sum();
        let step =
            entries.iter().zip(&grants).filter_map(|(entry, grant)| entry.step_above(grant.layer));
        // Padding up to the cheapest next step keeps the estimate alive while pictures are held back.
        let floor = step.min().map_or(Bitrate::ZERO, |step| given + step);
        for (entry, grant) in entries.iter().zip(grants) {
            if let Entry::Video { track, seen, .. } = entry
                && !seen.is_empty()
            {
                self.apply_grant(now, id, *track, grant.layer);
            }
        }
        if let Some(peer) = self.peers.get_mut(key) {
            peer.set_desired(now, floor, desired);
            if !has_pictures {
                peer.forget_picture();
            }
        }
        self.peers.note(key);
    }

    fn demands(&mut self, now: Instant, id: ParticipantId, adaptive: bool) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (track, publication) in &mut self.publications {
            let kind = publication.kind();
            let info = &publication.info;
            let Some(subscription) = publication
                .subscription_index(id)
                .ok()
                .and_then(|at| publication.subscriptions.get(at))
            else {
                continue;
            };
            if !subscription.is_started {
                continue;
            }
            let Some(codec) = publication.codecs.get_mut(subscription.codec) else {
                continue;
            };
            let seen = codec.seen_layers(now);
            if kind == TrackKind::Audio {
                entries
                    .push(Entry::Audio(seen.last().map_or(Bitrate::ZERO, |layer| layer.bitrate)));
                continue;
            }
            let announced =
                info.codecs.get(subscription.codec).map_or(&[][..], |codec| &codec.layers);
            let default = if adaptive { DefaultWish::Lowest } else { DefaultWish::Highest };
            let size = Some((info.width, info.height));
            let spatial = wanted_spatial(subscription.wish.as_ref(), default, announced, size);
            let wanted = spatial.map(|spatial| Layer {
                spatial,
                temporal: wanted_temporal(
                    subscription.wish.and_then(|wish| wish.fps),
                    SOURCE_FPS,
                    temporal_count(&seen, spatial),
                ),
            });
            entries.push(Entry::Video {
                track: *track,
                // One stream, whatever it holds inside, is forwarded whole.
                wanted: wanted.map(|wanted| at_least_one(wanted, codec.encodings.len())),
                priority: subscription.wish.map_or(0, |wish| wish.priority),
                content: match info.source {
                    TrackSource::ScreenShare | TrackSource::ScreenShareAudio => Content::Screen,
                    TrackSource::Camera | TrackSource::Microphone | TrackSource::Unknown => {
                        Content::Camera
                    }
                },
                seen: if wanted.is_some() && !info.muted { seen } else { Vec::new() },
                current: subscription.allocation,
                is_disabled: wanted.is_none(),
                announced: announced_rate(announced),
            });
        }
        for entry in &entries {
            if let Entry::Video { track, is_disabled: true, .. } = entry
                && let Some(publication) = self.publications.get_mut(track)
                && let Some(subscription) = publication.subscription_of(id)
            {
                subscription.forwarding = Forwarding::Paused;
                subscription.allocation = Current::New;
            }
        }
        entries
    }

    fn apply_grant(
        &mut self,
        now: Instant,
        id: ParticipantId,
        track: TrackId,
        layer: Option<Layer>,
    ) {
        let Some(publication) = self.publications.get_mut(&track) else {
            return;
        };
        let owner = publication.owner;
        let at = publication.subscription_index(id);
        let Some(subscription) = at.ok().and_then(|at| publication.subscriptions.get_mut(at))
        else {
            return;
        };
        let live_is_there = subscription.wanted_encoding().is_some_and(|spatial| {
            publication
                .codecs
                .get(subscription.codec)
                .and_then(|codec| codec.encodings.get(usize::from(spatial)))
                .is_some_and(|encoding| encoding.is_live(now))
        });
        let before = subscription.allocation;
        subscription.allocation = match (layer, before) {
            (Some(layer), Current::Granted { layer: same, .. }) if same == layer => before,
            (Some(layer), _) => Current::Granted { layer, since: now },
            (None, Current::Paused { .. }) => before,
            (None, _) => Current::Paused { since: now },
        };
        if subscription.allocation != before {
            match layer {
                Some(_) => self.stats.layer_switches_total += 1,
                None => self.stats.pauses_total += 1,
            }
        }
        let codec = subscription.codec;
        let needs_keyframe = subscription.aim(now, layer.map(|layer| layer.spatial), live_is_there);
        subscription.temporal_target = match subscription.forwarding {
            // On the way down every frame that can be spared is.
            Forwarding::Switching { spatial, target, .. } if target < spatial => 0,
            Forwarding::Paused
            | Forwarding::Awaiting { .. }
            | Forwarding::Live { .. }
            | Forwarding::Switching { .. } => layer.map_or(TEMPORAL_MAX, |layer| layer.temporal),
        };
        let state = if layer.is_some() { StreamState::Active } else { StreamState::Paused };
        Self::announce_state(&mut self.events, owner, track, subscription, state);
        if let Some(encoding) = needs_keyframe {
            self.request_keyframe(now, track, codec, encoding);
        }
    }

    /// Takes up what all subscribers of a track wish for, so that its publisher can leave out the rest.
    pub(super) fn update_needs(&mut self, now: Instant, track: TrackId) {
        let Some(publication) = self.publications.get(&track) else {
            return;
        };
        if publication.kind() == TrackKind::Audio {
            return;
        }
        let needs: Vec<Need> = publication
            .subscriptions
            .iter()
            .filter_map(|subscription| self.need_of(publication, subscription))
            .collect();
        let Some(publication) = self.publications.get_mut(&track) else {
            return;
        };
        let owner = publication.owner;
        if let Some(codecs) = publication.dynacast.update(now, needs) {
            self.signal(owner, Signal::SubscribedQuality { track, codecs });
        }
    }

    fn need_of(&self, publication: &Publication, subscription: &Subscription) -> Option<Need> {
        let receiver = self.participants.get(&subscription.subscriber)?;
        let announced = publication.info.codecs.get(subscription.codec)?;
        let default =
            if receiver.adaptive_stream { DefaultWish::Lowest } else { DefaultWish::Highest };
        let size = Some((publication.info.width, publication.info.height));
        let spatial = wanted_spatial(subscription.wish.as_ref(), default, &announced.layers, size)?;
        let quality =
            announced.layers.get(usize::from(spatial)).map_or(Quality::High, |layer| layer.quality);
        Some(Need { codec: announced.codec, quality })
    }

    /// Tells a publisher again what is watched, after a resume.
    pub(super) fn repeat_subscribed_quality(&mut self, owner: ParticipantId) {
        let told: Vec<(TrackId, SubscribedQualities)> = self
            .publications
            .iter()
            .filter(|(_, p)| p.owner == owner && p.kind() == TrackKind::Video)
            .map(|(track, publication)| (*track, publication.dynacast.subscribed()))
            .collect();
        for (track, codecs) in told {
            self.signal(owner, Signal::SubscribedQuality { track, codecs });
        }
    }
}

/// Frame rate assumed when a subscriber wishes for fewer frames.
const SOURCE_FPS: u32 = 30;

fn temporal_count(seen: &[SeenLayer], spatial: u8) -> u8 {
    let count = seen.iter().filter(|layer| layer.layer.spatial == spatial).count();
    u8::try_from(count).unwrap_or(u8::MAX)
}

fn at_least_one(wanted: Layer, encodings: usize) -> Layer {
    let highest = u8::try_from(encodings.saturating_sub(1)).unwrap_or(u8::MAX);
    Layer { spatial: wanted.spatial.min(highest), ..wanted }
}

fn model_codec(params: PayloadParams) -> Option<Codec> {
    match params.spec().codec {
        str0m::format::Codec::Opus => Some(Codec::Opus),
        str0m::format::Codec::Vp8 => Some(Codec::Vp8),
        str0m::format::Codec::H264 => Some(Codec::H264),
        str0m::format::Codec::Vp9 => Some(Codec::Vp9),
        str0m::format::Codec::Av1 => Some(Codec::Av1),
        str0m::format::Codec::H265 => Some(Codec::H265),
        // The engine knows further codecs; none of them is ever negotiated here.
        _ => None,
    }
}

/// The rate of the largest encoding. Whatever is wished for at present: an estimator that is told to want little
/// forgets what the path can carry, and a picture that is enlarged then stays blurred.
fn announced_rate(announced: &[rtc_model::VideoLayer]) -> Bitrate {
    announced
        .iter()
        .map(|layer| layer.bitrate)
        .max()
        .filter(|bitrate| *bitrate > Bitrate::ZERO)
        .unwrap_or(VIDEO_RATE_DEFAULT)
}

/// What one subscription asks for, owned.
enum Entry {
    Audio(Bitrate),
    Video {
        track: TrackId,
        wanted: Option<Layer>,
        priority: u32,
        content: Content,
        seen: Vec<SeenLayer>,
        current: Current,
        is_disabled: bool,
        /// What the publisher says the largest encoding takes.
        announced: Bitrate,
    },
}

impl Entry {
    /// What the lowest layer takes, with the headroom it takes to start it.
    fn least(&self) -> Bitrate {
        match self {
            Self::Audio(bitrate) => *bitrate,
            Self::Video { seen, .. } => {
                seen.first().map_or(Bitrate::ZERO, |layer| layer.bitrate.percent(120))
            }
        }
    }

    /// What going one layer up from `granted` would take more; `None` when nothing more is wanted or there.
    fn step_above(&self, granted: Option<Layer>) -> Option<Bitrate> {
        let Self::Video { wanted: Some(wanted), seen, .. } = self else {
            return None;
        };
        let has = granted.map_or(Bitrate::ZERO, |granted| {
            seen.iter().find(|l| l.layer == granted).map_or(Bitrate::ZERO, |l| l.bitrate)
        });
        seen.iter()
            .filter(|layer| is_at_most(layer.layer, *wanted) && granted < Some(layer.layer))
            .map(|layer| layer.bitrate.percent(HEADROOM_PERCENT).saturating_sub(has))
            .min()
    }

    fn announced(&self) -> Bitrate {
        match self {
            Self::Audio(bitrate) => *bitrate,
            Self::Video { announced, .. } => *announced,
        }
    }

    fn demand(&self) -> Demand<'_> {
        match self {
            Self::Audio(bitrate) => Demand::Audio(*bitrate),
            Self::Video { wanted, priority, content, seen, current, .. } => {
                Demand::Video(VideoDemand {
                    priority: *priority,
                    content: *content,
                    wanted: wanted.unwrap_or(Layer { spatial: 0, temporal: 0 }),
                    seen,
                    current: *current,
                })
            }
        }
    }
}

/// One packet on its way to its subscribers.
struct Outgoing<'a, R> {
    now: Instant,
    captured_at: Instant,
    packet: &'a RtpPacket,
    info: PacketInfo,
    /// Lost padding before this packet, which is not waited for.
    padding: Option<std::ops::Range<u64>>,
    params: PayloadParams,
    wrapping: PayloadEncoding,
    route: Route,
    /// The payload without its redundancy (RFC 2198), made for the first subscriber that needs it.
    unwrapped: Option<std::sync::Arc<[u8]>>,
    ext_vals: ExtensionValues,
    random: &'a mut R,
    stats: &'a mut RoomStats,
}

impl<R: RandomBits> Outgoing<'_, R> {
    fn fan_out(&mut self, publication: &mut Publication, peers: &mut Peers) {
        let spatial = u8::try_from(self.route.encoding).unwrap_or(u8::MAX);
        // Encodings of one track may be tied to each other's clocks by the publisher's reports.
        let reports: [Option<crate::rewrite::ClockReading>; crate::peer::ENCODINGS_MAX] =
            std::array::from_fn(|index| {
                publication.codecs.get(self.route.codec)?.encodings.get(index)?.report
            });
        for subscription in &mut publication.subscriptions {
            let is_off = !subscription.is_started || subscription.is_disabled();
            if subscription.codec != self.route.codec || is_off {
                continue;
            }
            let live_before = subscription.live_encoding();
            let verdict = subscription.judge(spatial, &self.info);
            if verdict == Verdict::Ignore {
                continue;
            }
            let (Some(slot), Some(peer)) = (subscription.slot, peers.get_mut(subscription.peer))
            else {
                continue;
            };
            let bridge = match (verdict, live_before) {
                (Verdict::Start, Some(before)) => bridge(
                    reports.get(usize::from(before)).copied().flatten(),
                    reports.get(self.route.encoding).copied().flatten(),
                    self.params,
                ),
                _ => ClockBridge::Arrival,
            };
            let key = subscription.peer;
            if self.send(subscription, peer, slot, verdict, bridge) {
                self.stats.packets_forwarded_total += 1;
                self.stats.bytes_forwarded_total +=
                    u64::try_from(self.packet.header.header_len + self.packet.payload.len())
                        .unwrap_or(0);
                peers.note(key);
            } else {
                self.stats.drop(DropReason::NotForwardable);
            }
        }
    }

    fn send(
        &mut self,
        subscription: &mut Subscription,
        peer: &mut Peer,
        slot: usize,
        verdict: Verdict,
        bridge: ClockBridge,
    ) -> bool {
        let Some(pt) = self.payload_type(subscription, peer, slot) else {
            return false;
        };
        let kind = self.info_kind();
        let is_dropped = self.packet.payload.is_empty() || {
            subscription.temporal =
                step_temporal(subscription.temporal, subscription.temporal_target, &self.info);
            self.info.temporal.is_some_and(|temporal| temporal > subscription.temporal)
        };
        let Some(send_slot) = peer.slots.get_mut(slot) else {
            return false;
        };
        let random = &mut *self.random;
        let rewrite = send_slot.rewrite.get_or_insert_with(|| new_rewrite(random, kind));
        if verdict == Verdict::Start || !subscription.is_flowing {
            rewrite.switch(bridge);
            subscription.is_flowing = true;
        }
        let source = SourcePacket {
            ext_seq: *self.packet.seq_no,
            timestamp: self.packet.header.timestamp,
            vp8: self.info.vp8,
        };
        if verdict == Verdict::Forward {
            for ext_seq in self.padding.clone().into_iter().flatten() {
                let lost = SourcePacket { ext_seq, vp8: None, ..source };
                // Nothing later was numbered before it, so nothing is promised.
                let _promised = rewrite.drop_packet(&lost);
            }
        }
        let out = if is_dropped {
            match rewrite.drop_packet(&source) {
                Some(Promised::Packet(out)) => out,
                Some(Promised::Filler(_)) | None => return false,
            }
        } else {
            match rewrite.forward(self.now, &source) {
                Some(out) => out,
                None => return false,
            }
        };
        self.write(peer, slot, pt, &out)
    }

    fn write(&mut self, peer: &mut Peer, slot: usize, pt: OutboundType, out: &OutPacket) -> bool {
        let payload = match pt.form {
            Form::AsReceived => std::sync::Arc::clone(&self.packet.payload),
            Form::Unwrapped => match self.unwrapped_payload() {
                Some(payload) => payload,
                None => return false,
            },
        };
        let mut write =
            RtpWrite::new(pt.pt, out.ext_seq.into(), out.timestamp, self.captured_at, payload)
                .marker(self.packet.header.marker)
                .ext_vals(self.ext_vals.clone())
                .nackable(self.info_kind() == TrackKind::Video);
        if let (Some(header), Some(descriptor)) = (&out.vp8_patch, &self.info.vp8) {
            // With another stream's numbers it would do harm.
            let Some(patch) = vp8_patch(descriptor, header, &self.packet.payload) else {
                return false;
            };
            write = write.vp8_patch(patch);
        }
        peer.write(slot, write)
    }

    fn unwrapped_payload(&mut self) -> Option<std::sync::Arc<[u8]>> {
        if self.unwrapped.is_none() {
            self.unwrapped = red::primary(&self.packet.payload).map(std::sync::Arc::from);
        }
        self.unwrapped.clone()
    }

    fn info_kind(&self) -> TrackKind {
        if self.params.spec().codec.is_audio() { TrackKind::Audio } else { TrackKind::Video }
    }

    /// Our payload type for this packet at this subscriber; looked up when the publisher's changes.
    fn payload_type(
        &self,
        subscription: &mut Subscription,
        peer: &Peer,
        slot: usize,
    ) -> Option<OutboundType> {
        let inbound = self.packet.header.payload_type;
        if let Some((known, outbound)) = subscription.payload_type
            && known == inbound
        {
            return outbound;
        }
        let same = peer.outbound_pt(slot, &self.params, self.wrapping);
        let outbound = match (same, self.wrapping) {
            (Some(pt), _) => Some(OutboundType { pt, form: Form::AsReceived }),
            (None, PayloadEncoding::Redundant) => peer
                .outbound_pt(slot, &self.params, PayloadEncoding::Plain)
                .map(|pt| OutboundType { pt, form: Form::Unwrapped }),
            (None, PayloadEncoding::Plain) => None,
        };
        subscription.payload_type = Some((inbound, outbound));
        outbound
    }
}

/// How a packet is typed towards one subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutboundType {
    pt: Pt,
    form: Form,
}

/// Whether redundancy stays on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    AsReceived,
    Unwrapped,
}

fn bridge(
    old: Option<crate::rewrite::ClockReading>,
    new: Option<crate::rewrite::ClockReading>,
    params: PayloadParams,
) -> ClockBridge {
    match (old, new) {
        (Some(old), Some(new)) => {
            let rate = engine::ticks_per_second(params.spec().clock_rate);
            ClockBridge::Offset(clock_offset(old, new, rate))
        }
        _ => ClockBridge::Arrival,
    }
}

fn new_rewrite(random: &mut impl RandomBits, kind: TrackKind) -> Rewrite {
    let bits = random.next_bits();
    // RFC 3550 §5.1: both start at random; the sequence number below 2^15 for the sake of SRTP.
    let start = Start { ext_seq: bits & 0x7fff, timestamp: low_32(bits >> 16) };
    let rate = match kind {
        TrackKind::Audio => AUDIO_CLOCK_RATE,
        TrackKind::Video => VIDEO_CLOCK_RATE,
    };
    Rewrite::new(start, rate)
}

/// The header extensions that concern the media itself, not the hop they came by.
fn carried_extensions(received: &ExtensionValues) -> ExtensionValues {
    ExtensionValues {
        audio_level: received.audio_level,
        voice_activity: received.voice_activity,
        video_orientation: received.video_orientation,
        video_content_type: received.video_content_type,
        abs_capture_time: received.abs_capture_time,
        play_delay_min: received.play_delay_min,
        play_delay_max: received.play_delay_max,
        user_values: received.user_values.clone(),
        ..ExtensionValues::default()
    }
}

/// The engine's form of a rewritten VP8 descriptor (RFC 7741 §4.2).
fn vp8_patch(
    descriptor: &Vp8Descriptor,
    header: &Vp8Header,
    payload: &[u8],
) -> Option<str0m::rtp::Vp8Patch> {
    let mut patch = str0m::rtp::Vp8Descriptor::parse(payload).ok()?.patch();
    // One octet of flags, one of extension flags, then the fields that are present.
    let mut fields = header.as_bytes().iter().skip(2);
    if let Some(id) = descriptor.picture_id {
        let id = match id.width {
            crate::payload::PictureIdWidth::Short => u16::from(*fields.next()?),
            crate::payload::PictureIdWidth::Long => {
                u16::from_be_bytes([*fields.next()? & 0x7f, *fields.next()?])
            }
        };
        patch = patch.picture_id(id);
    }
    if descriptor.tl0_pic_idx.is_some() {
        patch = patch.tl0_pic_idx(*fields.next()?);
    }
    if descriptor.key_idx.is_some() {
        patch = patch.key_idx(*fields.next()? & 0x1f);
    }
    patch.build().ok()
}
