//! What is published, and by whom it is received.

use std::time::Instant;

use rtc_model::{
    Codec, ParticipantId, Quality, StreamState, SubscriptionPermission, TrackId, TrackKind,
    TrackSource, VideoLayer,
};

use super::Room;
use crate::{
    command::{CommandError, Publish, PublishCodec, Wish},
    dynacast::Dynacast,
    event::{Fact, Signal, SubscriptionError},
    info::{TrackCodec, TrackInfo},
    participant::PendingPublish,
    peer::InboundSection,
    publication::{Publication, PublishedCodec},
    subscription::{Forwarding, Subscription},
};

/// Longest name, stream name or client id of a track, in bytes.
const TRACK_TEXT_MAX: usize = 256;
/// Most encodings or codecs announced for one track.
const ANNOUNCED_MAX: usize = 8;

impl Room {
    // ---- publishing ----

    /// Takes the announcement of a track; its section may have been offered already, or be offered later.
    pub(super) fn announce(
        &mut self,
        now: Instant,
        from: ParticipantId,
        publish: Publish,
    ) -> Result<(), CommandError> {
        self.check_announcement(from, &publish)?;
        if let Some(existing) = publish.existing {
            return self.announce_backup(now, from, existing, &publish);
        }
        let participant = self.known(from)?;
        // Announcing again is how clients ask whether the first announcement arrived.
        if let Some(pending) = participant.pending.iter().find(|p| p.request.cid == publish.cid) {
            let track = Box::new(pending.info.clone());
            self.signal(from, Signal::TrackPublished { cid: publish.cid, track });
            return Ok(());
        }
        let id = TrackId::random(&mut self.random);
        let info = self.track_info(now, id, &publish);
        let cid = publish.cid.clone();
        self.signal(from, Signal::TrackPublished { cid, track: Box::new(info.clone()) });
        if let Some(participant) = self.participants.get_mut(&from) {
            participant.pending.push(PendingPublish { request: publish, info });
        }
        self.match_sections(now, from);
        Ok(())
    }

    fn check_announcement(
        &self,
        from: ParticipantId,
        publish: &Publish,
    ) -> Result<(), CommandError> {
        let participant = self.known(from)?;
        if !participant.permissions().may_publish(publish.source) {
            return Err(CommandError::Forbidden);
        }
        let limit = self.config.limits.tracks_per_participant_max;
        let own =
            self.publications.values().filter(|publication| publication.owner == from).count();
        if own + participant.pending.len() >= limit {
            return Err(CommandError::TooLarge { what: "number of published tracks", limit });
        }
        let codec_cids = publish.codecs.iter().map(|codec| codec.cid.len());
        let longest = [publish.cid.len(), publish.name.len(), publish.stream.len()]
            .into_iter()
            .chain(codec_cids)
            .max();
        if longest > Some(TRACK_TEXT_MAX) {
            return Err(CommandError::TooLarge { what: "track name or id", limit: TRACK_TEXT_MAX });
        }
        let is_wide = publish.codecs.len() > ANNOUNCED_MAX
            || publish.layers.len() > ANNOUNCED_MAX
            || publish.codecs.iter().any(|codec| codec.layers.len() > ANNOUNCED_MAX);
        if is_wide {
            return Err(CommandError::TooLarge {
                what: "number of encodings",
                limit: ANNOUNCED_MAX,
            });
        }
        Ok(())
    }

    fn track_info(&self, now: Instant, id: TrackId, publish: &Publish) -> TrackInfo {
        let codecs = publish.codecs.iter().map(|codec| track_codec(codec, publish)).collect();
        let stream = if publish.stream.is_empty() {
            default_stream(publish.source).to_owned()
        } else {
            publish.stream.clone()
        };
        TrackInfo {
            id,
            kind: publish.kind,
            source: publish.source,
            name: publish.name.clone(),
            stream,
            muted: publish.muted,
            width: publish.width,
            height: publish.height,
            codecs,
            features: publish.features,
            audio_features: publish.audio_features.clone(),
            encryption: publish.encryption,
            backup_codec_policy: publish.backup_codec_policy,
            version_us: self.version_us(now),
        }
    }

    fn version_us(&self, now: Instant) -> u64 {
        self.wall_clock(now)
            .duration_since(std::time::UNIX_EPOCH)
            .ok()
            .and_then(|since| u64::try_from(since.as_micros()).ok())
            .unwrap_or(0)
    }

    /// A second codec for a publication: its section comes with the next offer.
    fn announce_backup(
        &mut self,
        now: Instant,
        from: ParticipantId,
        track: TrackId,
        publish: &Publish,
    ) -> Result<(), CommandError> {
        let publication = self.publications.get_mut(&track).ok_or(CommandError::TrackNotFound)?;
        if publication.owner != from {
            return Err(CommandError::TrackNotFound);
        }
        for codec in &publish.codecs {
            let announced = track_codec(codec, publish);
            match publication.info.codecs.iter_mut().find(|known| known.codec == codec.codec) {
                Some(known) => *known = announced,
                None => publication.info.codecs.push(announced),
            }
            if !publication.codecs.iter().any(|known| known.codec == codec.codec) {
                publication.codecs.push(PublishedCodec::new(codec.codec, None));
            }
        }
        let info = publication.info.clone();
        self.signal(
            from,
            Signal::TrackPublished { cid: publish.cid.clone(), track: Box::new(info) },
        );
        self.announce_layers(now, track);
        self.match_sections(now, from);
        self.refresh_tracks(now, from);
        Ok(())
    }

    /// Ties offered sections and announced tracks together, whichever came first.
    pub(super) fn match_sections(&mut self, now: Instant, owner: ParticipantId) {
        let Some(participant) = self.participants.get_mut(&owner) else {
            return;
        };
        let sections = std::mem::take(&mut participant.unmatched);
        let mut left = Vec::new();
        for section in &sections {
            if self.match_backup(owner, section) {
                continue;
            }
            let Some(participant) = self.participants.get_mut(&owner) else {
                return;
            };
            match find_pending(&participant.pending, section, &sections) {
                Some(index) => {
                    let pending = participant.pending.remove(index);
                    self.open_publication(now, owner, pending, section);
                }
                None => left.push(section.clone()),
            }
        }
        if let Some(participant) = self.participants.get_mut(&owner) {
            participant.unmatched = left;
        }
    }

    /// A section that is the backup codec of something published already.
    fn match_backup(&mut self, owner: ParticipantId, section: &InboundSection) -> bool {
        let Some(cid) = section.cid.as_deref() else {
            return false;
        };
        for publication in self.publications.values_mut().filter(|p| p.owner == owner) {
            let Some(codec) = publication
                .info
                .codecs
                .iter()
                .find(|codec| codec.cid == cid && !codec.cid.is_empty())
                .map(|codec| codec.codec)
            else {
                continue;
            };
            let slot = publication.codecs.iter_mut().find(|known| known.codec == codec);
            if let Some(known) = slot
                && known.mid.is_none()
            {
                *known = PublishedCodec::new(codec, Some((section.mid, &section.rids)));
                return true;
            }
        }
        false
    }

    fn open_publication(
        &mut self,
        now: Instant,
        owner: ParticipantId,
        pending: PendingPublish,
        section: &InboundSection,
    ) {
        let Some(peer) = self.participants.get(&owner).map(|participant| participant.publisher)
        else {
            return;
        };
        let mut info = pending.info;
        let offered = section
            .codecs
            .iter()
            .copied()
            .find(|codec| *codec != Codec::Red && codec.kind() == info.kind);
        if info.codecs.is_empty()
            && let Some(codec) = offered
        {
            info.codecs.push(TrackCodec {
                codec,
                cid: pending.request.cid.clone(),
                layers: sorted(&pending.request.layers),
                layer_mode: 0,
            });
        }
        let codecs = info
            .codecs
            .iter()
            .enumerate()
            .map(|(index, codec)| {
                let own = (index == 0).then_some((section.mid, section.rids.as_slice()));
                PublishedCodec::new(codec.codec, own)
            })
            .collect();
        let id = info.id;
        self.publications.insert(
            id,
            Publication {
                info: info.clone(),
                owner,
                cid: section.cid.clone().unwrap_or(pending.request.cid),
                peer,
                codecs,
                subscriptions: Vec::new(),
                dynacast: Dynacast::default(),
                was_subscribed: false,
            },
        );
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.unrouted.clear();
        }
        self.presence.add_track(&info, owner);
        self.announce_layers(now, id);
        self.refresh_tracks(now, owner);
        if let Some(participant) = self.participants.get(&owner) {
            let participant = std::sync::Arc::clone(&participant.info);
            self.fact(Fact::TrackPublished(participant, Box::new(info)));
        }
        let others: Vec<ParticipantId> = self.participants.keys().copied().collect();
        for other in others {
            self.reconcile(now, other, id);
        }
    }

    fn announce_layers(&mut self, now: Instant, track: TrackId) {
        let Some(publication) = self.publications.get_mut(&track) else {
            return;
        };
        if publication.kind() == TrackKind::Audio {
            return;
        }
        let announced: Vec<(Codec, Vec<Quality>)> = publication
            .info
            .codecs
            .iter()
            .map(|codec| (codec.codec, codec.layers.iter().map(|layer| layer.quality).collect()))
            .collect();
        publication.dynacast.announce(now, &announced);
    }

    /// Brings a participant's list of tracks up to date and tells everybody.
    pub(super) fn refresh_tracks(&mut self, now: Instant, owner: ParticipantId) {
        let version_us = self.version_us(now);
        let Some(participant) = self.participants.get_mut(&owner) else {
            return;
        };
        let known = participant.info.tracks.clone();
        let mut tracks: Vec<TrackInfo> = Vec::new();
        let published = || self.publications.values().filter(|p| p.owner == owner);
        for before in &known {
            tracks.extend(published().find(|p| p.info.id == before.id).map(|p| p.info.clone()));
        }
        for publication in published() {
            if !tracks.iter().any(|track| track.id == publication.info.id) {
                tracks.push(TrackInfo { version_us, ..publication.info.clone() });
            }
        }
        participant.change(|info| {
            info.is_publisher |= !tracks.is_empty();
            info.tracks = tracks;
        });
        self.publish_info(owner);
    }

    /// Ends publications whose section the client stopped sending on.
    pub(super) fn end_stopped(
        &mut self,
        now: Instant,
        owner: ParticipantId,
        inbound: &[InboundSection],
    ) {
        let stopped: Vec<TrackId> = self
            .publications
            .values()
            .filter(|publication| publication.owner == owner)
            .filter(|publication| {
                let main = publication.codecs.first().and_then(|codec| codec.mid);
                !inbound.iter().any(|section| {
                    Some(section.mid) == main
                        && section.cid.as_deref().is_none_or(|cid| publication.has_cid(cid))
                })
            })
            .map(|publication| publication.info.id)
            .collect();
        for track in stopped {
            self.end_publication(now, track);
        }
    }

    pub(super) fn end_publication(&mut self, now: Instant, track: TrackId) {
        let Some(publication) = self.publications.remove(&track) else {
            return;
        };
        for subscription in &publication.subscriptions {
            self.release_slot(subscription);
        }
        if let Some(peer) = self.peers.get_mut(publication.peer) {
            peer.routes.retain(|_, route| route.track != track);
        }
        self.presence.remove_track(track);
        for participant in self.participants.values_mut() {
            participant.intents.remove(&track);
            participant.wishes.remove(&track);
            participant.denied.remove(&track);
        }
        self.refresh_tracks(now, publication.owner);
        if let Some(owner) = self.participants.get(&publication.owner) {
            let owner = std::sync::Arc::clone(&owner.info);
            self.fact(Fact::TrackUnpublished(owner, Box::new(publication.info)));
        }
    }

    pub(super) fn mute(
        &mut self,
        now: Instant,
        owner: ParticipantId,
        track: TrackId,
        muted: bool,
    ) -> Result<(), CommandError> {
        let version_us = self.version_us(now);
        if let Some(participant) = self.participants.get_mut(&owner)
            && let Some(pending) = participant.pending.iter_mut().find(|p| p.info.id == track)
        {
            pending.info.muted = muted;
            return Ok(());
        }
        let publication = self
            .publications
            .get_mut(&track)
            .filter(|publication| publication.owner == owner)
            .ok_or(CommandError::TrackNotFound)?;
        if publication.info.muted == muted {
            return Ok(());
        }
        publication.info.muted = muted;
        publication.info.version_us = version_us;
        for subscription in &mut publication.subscriptions {
            // What is not forwarded meanwhile is no loss: the outbound stream goes on from where it was.
            subscription.is_flowing = false;
        }
        if publication.kind() == TrackKind::Video {
            for subscription in &mut publication.subscriptions {
                // After a pause the picture can only start with a keyframe.
                if let Some(target) = subscription.wanted_encoding() {
                    subscription.forwarding = Forwarding::Awaiting { target };
                }
            }
        }
        self.refresh_tracks(now, owner);
        self.request_awaited(now, track);
        Ok(())
    }

    pub(super) fn update_track(
        &mut self,
        now: Instant,
        owner: ParticipantId,
        track: TrackId,
        (width, height): (Option<u32>, Option<u32>),
        audio_features: Option<Vec<i32>>,
    ) -> Result<(), CommandError> {
        let version_us = self.version_us(now);
        let publication = self
            .publications
            .get_mut(&track)
            .filter(|publication| publication.owner == owner)
            .ok_or(CommandError::TrackNotFound)?;
        let info = &mut publication.info;
        info.width = width.unwrap_or(info.width);
        info.height = height.unwrap_or(info.height);
        if let Some(features) = audio_features {
            info.audio_features = features.into_iter().take(ANNOUNCED_MAX * 4).collect();
        }
        info.version_us = version_us;
        self.refresh_tracks(now, owner);
        Ok(())
    }

    // ---- subscribing ----

    pub(super) fn set_intents(
        &mut self,
        now: Instant,
        from: ParticipantId,
        tracks: &[TrackId],
        subscribe: bool,
    ) -> Result<(), CommandError> {
        self.known(from)?;
        for track in tracks {
            if !self.publications.contains_key(track) {
                if subscribe {
                    let error = SubscriptionError::TrackNotFound;
                    self.signal(from, Signal::SubscriptionFailed { track: *track, error });
                }
                continue;
            }
            if let Some(participant) = self.participants.get_mut(&from) {
                participant.intents.insert(*track, subscribe);
            }
            self.reconcile(now, from, *track);
        }
        Ok(())
    }

    pub(super) fn set_wishes(
        &mut self,
        now: Instant,
        from: ParticipantId,
        tracks: &[TrackId],
        wish: Wish,
    ) -> Result<(), CommandError> {
        self.known(from)?;
        for track in tracks {
            let Some(publication) = self.publications.get_mut(track) else {
                continue;
            };
            if let Some(participant) = self.participants.get_mut(&from) {
                participant.wishes.insert(*track, wish);
            }
            if let Some(subscription) = publication.subscription_of(from) {
                subscription.wish = Some(wish);
                subscription.is_flowing &= !wish.disabled;
            }
            self.update_needs(now, *track);
        }
        self.to_allocate.insert(from);
        Ok(())
    }

    pub(super) fn set_grants(
        &mut self,
        now: Instant,
        owner: ParticipantId,
        grants: SubscriptionPermission,
    ) {
        if let Some(participant) = self.participants.get_mut(&owner) {
            participant.grants = grants;
        }
        let own: Vec<TrackId> = self
            .publications
            .iter()
            .filter(|(_, publication)| publication.owner == owner)
            .map(|(track, _)| *track)
            .collect();
        let others: Vec<ParticipantId> = self.participants.keys().copied().collect();
        for track in own {
            for other in &others {
                self.reconcile(now, *other, track);
            }
        }
    }

    /// Makes one subscription be what it should be: there, or not.
    pub(super) fn reconcile(&mut self, now: Instant, subscriber: ParticipantId, track: TrackId) {
        let Some(publication) = self.publications.get(&track) else {
            return;
        };
        let owner = publication.owner;
        let (Some(receiver), Some(sender)) =
            (self.participants.get(&subscriber), self.participants.get(&owner))
        else {
            return;
        };
        if subscriber == owner {
            return;
        }
        let wants = receiver.wants(track) && receiver.permissions().can_subscribe;
        let permits = sender.permits(&receiver.info.identity, track);
        let was_denied = receiver.denied.contains(&track);
        let is_denied = wants && !permits;
        let is_there = publication.subscription_index(subscriber).is_ok();
        if was_denied != is_denied {
            if let Some(receiver) = self.participants.get_mut(&subscriber) {
                if is_denied {
                    receiver.denied.insert(track);
                } else {
                    receiver.denied.remove(&track);
                }
            }
            if wants {
                let signal =
                    Signal::SubscriptionPermission { participant: owner, track, allowed: permits };
                self.signal(subscriber, signal);
            }
        }
        match (wants && permits, is_there) {
            (true, false) => self.attach(now, subscriber, track),
            (false, true) => self.detach(now, subscriber, track),
            (true, true) | (false, false) => {}
        }
    }

    fn attach(&mut self, now: Instant, subscriber: ParticipantId, track: TrackId) {
        let Some(receiver) = self.participants.get(&subscriber) else {
            return;
        };
        let subscription = Subscription::new(
            subscriber,
            receiver.subscriber,
            receiver.wishes.get(&track).copied(),
        );
        let Some(publication) = self.publications.get_mut(&track) else {
            return;
        };
        if let Err(at) = publication.subscription_index(subscriber) {
            publication.subscriptions.insert(at, subscription);
        }
        let owner = publication.owner;
        if !std::mem::replace(&mut publication.was_subscribed, true) {
            self.signal(owner, Signal::TrackSubscribed { track });
        }
        self.update_needs(now, track);
        self.to_negotiate.insert(subscriber);
    }

    pub(super) fn detach(&mut self, now: Instant, subscriber: ParticipantId, track: TrackId) {
        let Some(publication) = self.publications.get_mut(&track) else {
            return;
        };
        let Ok(at) = publication.subscription_index(subscriber) else {
            return;
        };
        let subscription = publication.subscriptions.remove(at);
        self.release_slot(&subscription);
        self.update_needs(now, track);
    }

    fn release_slot(&mut self, subscription: &Subscription) {
        if let Some(slot) = subscription.slot
            && let Some(peer) = self.peers.get_mut(subscription.peer)
        {
            peer.release(slot);
            self.to_negotiate.insert(subscription.subscriber);
            self.to_allocate.insert(subscription.subscriber);
        }
    }

    /// Tells a subscriber whether a stream flows, if that changed.
    pub(super) fn announce_state(
        events: &mut std::collections::VecDeque<crate::event::Event>,
        owner: ParticipantId,
        track: TrackId,
        subscription: &mut Subscription,
        state: StreamState,
    ) {
        if subscription.announced != state {
            subscription.announced = state;
            let signal = Signal::StreamStates(vec![(owner, track, state)]);
            events.push_back(crate::event::Event::Signal { to: subscription.subscriber, signal });
        }
    }
}

impl Publication {
    fn has_cid(&self, cid: &str) -> bool {
        self.cid == cid || self.info.codecs.iter().any(|codec| codec.cid == cid)
    }
}

fn track_codec(codec: &PublishCodec, publish: &Publish) -> TrackCodec {
    let announced = if codec.layers.is_empty() { &publish.layers } else { &codec.layers };
    TrackCodec {
        codec: codec.codec,
        cid: codec.cid.clone(),
        layers: sorted(announced),
        layer_mode: codec.layer_mode,
    }
}

/// Encodings lowest first; native clients announce the largest first.
fn sorted(layers: &[VideoLayer]) -> Vec<VideoLayer> {
    let mut layers = layers.to_vec();
    layers.sort_by_key(|layer| layer.quality);
    layers
}

/// The group players keep in step: a camera with its microphone, a screen with its sound.
fn default_stream(source: TrackSource) -> &'static str {
    match source {
        TrackSource::ScreenShare | TrackSource::ScreenShareAudio => "screen",
        TrackSource::Camera | TrackSource::Microphone | TrackSource::Unknown => "camera",
    }
}

/// The announcement a section belongs to: by the client's id, else the only one of its kind that no other
/// section claims (some browsers change the id on the way).
fn find_pending(
    pending: &[PendingPublish],
    section: &InboundSection,
    sections: &[InboundSection],
) -> Option<usize> {
    let names = |pending: &PendingPublish, cid: &str| {
        pending.request.cid == cid || pending.request.codecs.iter().any(|codec| codec.cid == cid)
    };
    let by_name = section
        .cid
        .as_deref()
        .and_then(|cid| pending.iter().position(|pending| names(pending, cid)));
    if by_name.is_some() {
        return by_name;
    }
    let mut unclaimed = pending.iter().enumerate().filter(|(_, pending)| {
        pending.request.kind == section.kind
            && !sections
                .iter()
                .any(|other| other.cid.as_deref().is_some_and(|cid| names(pending, cid)))
    });
    let only = unclaimed.next()?;
    unclaimed.next().is_none().then_some(only.0)
}
