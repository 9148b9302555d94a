//! Who is in the room: joining, resuming, leaving, being forgotten.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use rtc_model::{Identity, LeaveReason, ParticipantId, RejoinAdvice, TrackId};

use super::Room;
use crate::{
    command::{
        Admin, CommandError, Join, Joined, ParticipantChange, PeerRole, Reply, Resume, Simulation,
        SyncState, Topology,
    },
    event::{Fact, RequestOutcome, Signal},
    info::{ParticipantInfo, ParticipantState},
    participant::{Attachment, Participant},
    peer::{PeerKey, PeerState},
};

/// A stay ends when both its signalling and its media have been silent for this long. Clients retry for 40 s,
/// but what they then need is a fresh join, which this makes quick for everybody else.
const SILENT_MAX: Duration = Duration::from_secs(10);
/// Rooms with more people than this hear of each other's changes together, every [`NEWS_EVERY`].
const SMALL_ROOM_MAX: usize = 24;
const NEWS_EVERY: Duration = Duration::from_millis(100);
/// A client whose media is lost this long is told to come back; shorter losses heal by themselves.
const MEDIA_LOST_MAX: Duration = Duration::from_secs(5);

impl Room {
    pub(super) fn join(&mut self, now: Instant, join: Join) -> Result<Reply, CommandError> {
        self.check_metadata(&join.metadata, &join.attributes)?;
        let earlier = self.identities.get(&join.identity).copied();
        let present = self.participants.len() - usize::from(earlier.is_some());
        let limit = usize::try_from(self.info.participants_max).unwrap_or(usize::MAX);
        if limit > 0 && present >= limit {
            return Err(CommandError::RoomFull);
        }
        if let Some(offer) = &join.offer {
            self.check_description(offer)?;
        }
        if let Some(earlier) = earlier {
            self.remove(now, earlier, LeaveReason::DuplicateIdentity);
        }
        let id = ParticipantId::random(&mut self.random);
        let single = join.topology == Topology::Single;
        let publisher = self.add_peer(now, id, PeerRole::Publisher, single);
        let subscriber = match join.topology {
            Topology::Single => publisher,
            Topology::Dual => self.add_peer(now, id, PeerRole::Subscriber, true),
        };
        let participant = Participant::new(id, &join, publisher, subscriber);
        let info = Arc::clone(&participant.info);
        let arrival = self.arrivals.last_key_value().map_or(0, |(last, _)| last + 1);
        self.arrivals.insert(arrival, id);
        self.identities.insert(join.identity.clone(), id);
        self.participants.insert(id, participant);
        self.was_joined = true;
        self.empty_since = None;
        self.count_participants();
        let joined = self.view_of(id, &info);
        self.tell_others(id, &info);
        self.begin_stay(now, id, join);
        Ok(Reply::Joined(Box::new(joined)))
    }

    /// What follows the join response: tracks and offer that came with the request, subscriptions, who speaks.
    fn begin_stay(&mut self, now: Instant, id: ParticipantId, join: Join) {
        let speaking = self.presence.speaking();
        if !speaking.is_empty() {
            self.signal(id, Signal::Speakers(speaking));
        }
        let tracks: Vec<TrackId> = self.publications.keys().copied().collect();
        for track in tracks {
            self.reconcile(now, id, track);
        }
        for publish in join.publish {
            // A refused announcement is told by its absence; the join itself stands.
            let _refused = self.announce(now, id, publish);
        }
        if let Some(offer) = join.offer
            && self.take_offer(now, id, &offer).is_err()
        {
            self.dismiss(now, id, LeaveReason::JoinFailure, RejoinAdvice::Disconnect);
            return;
        }
        self.to_negotiate.insert(id);
    }

    fn view_of(&self, id: ParticipantId, info: &Arc<ParticipantInfo>) -> Joined {
        Joined {
            room: self.info.clone(),
            participant: Arc::clone(info),
            others: self
                .participants()
                .filter(|other| other.id != id && !other.permissions.hidden)
                .cloned()
                .collect(),
        }
    }

    pub(super) fn resume(&mut self, resume: &Resume) -> Result<Reply, CommandError> {
        let participant =
            self.participants.get(&resume.participant).ok_or(CommandError::StateMismatch)?;
        let is_usable = participant
            .peers()
            .all(|key| self.peers.get(key).is_some_and(crate::peer::Peer::is_alive));
        if participant.info.identity != resume.identity
            || participant.topology != resume.topology
            || !is_usable
        {
            return Err(CommandError::StateMismatch);
        }
        let (subscriber, topology) = (participant.subscriber, participant.topology);
        let info = Arc::clone(&participant.info);
        if let Some(participant) = self.participants.get_mut(&resume.participant) {
            participant.attachment = Attachment::Attached(resume.session);
            participant.offer_requested = None;
            participant.restart_ice = topology == Topology::Dual;
        }
        // What was offered over the broken connection may never have arrived.
        if let Some(peer) = self.peers.get_mut(subscriber) {
            peer.abandon_offer();
        }
        self.fact(Fact::Resumed(resume.participant));
        self.to_negotiate.insert(resume.participant);
        self.repeat_subscribed_quality(resume.participant);
        Ok(Reply::Resumed(Box::new(self.view_of(resume.participant, &info))))
    }

    pub(super) fn lose_session(
        &mut self,
        now: Instant,
        id: ParticipantId,
        session: crate::command::SessionNumber,
    ) {
        let Some(participant) = self.participants.get_mut(&id) else {
            return;
        };
        if participant.attachment == Attachment::Attached(session) {
            participant.attachment = Attachment::Lost { session, since: now };
        }
    }

    /// Tells a participant to leave, then removes it.
    pub(super) fn dismiss(
        &mut self,
        now: Instant,
        id: ParticipantId,
        reason: LeaveReason,
        advice: RejoinAdvice,
    ) {
        self.signal(id, Signal::Leave { reason, advice });
        self.forget(now, id, reason);
    }

    /// Ends a stay; the participant is told unless it left by itself.
    pub(super) fn remove(&mut self, now: Instant, id: ParticipantId, reason: LeaveReason) {
        if reason != LeaveReason::ClientInitiated {
            let advice = RejoinAdvice::Disconnect;
            self.signal(id, Signal::Leave { reason, advice });
        }
        self.forget(now, id, reason);
    }

    fn forget(&mut self, now: Instant, id: ParticipantId, reason: LeaveReason) {
        let own: Vec<TrackId> = self
            .publications
            .iter()
            .filter(|(_, publication)| publication.owner == id)
            .map(|(track, _)| *track)
            .collect();
        for track in own {
            self.end_publication(now, track);
        }
        let received: Vec<TrackId> = self.publications.keys().copied().collect();
        for track in received {
            self.detach(now, id, track);
        }
        let Some(mut participant) = self.participants.remove(&id) else {
            return;
        };
        for key in participant.peers() {
            self.remove_peer(now, key);
        }
        self.arrivals.retain(|_, arrived| *arrived != id);
        self.identities.remove(&participant.info.identity);
        self.presence.forget(id);
        self.to_negotiate.remove(&id);
        self.to_allocate.remove(&id);
        participant.change(|info| info.state = ParticipantState::Disconnected(reason));
        self.count_participants();
        self.tell_others(id, &participant.info);
        let info = Arc::clone(&participant.info);
        self.fact(if participant.was_active {
            Fact::ParticipantLeft(info, reason)
        } else {
            Fact::ParticipantAborted(info, reason)
        });
        if self.participants.is_empty() {
            self.empty_since = Some(now);
        }
    }

    fn count_participants(&mut self) {
        let visible = self.participants.values().filter(|p| !p.permissions().hidden);
        let publishers = self.participants.values().filter(|p| !p.info.tracks.is_empty());
        self.info.participant_count = u32::try_from(visible.count()).unwrap_or(u32::MAX);
        self.info.publisher_count = u32::try_from(publishers.count()).unwrap_or(u32::MAX);
    }

    /// Tells everybody else of a participant, unless it is hidden.
    fn tell_others(&mut self, about: ParticipantId, info: &Arc<ParticipantInfo>) {
        if info.permissions.hidden {
            return;
        }
        for (id, other) in &mut self.participants {
            if *id != about {
                other.outbox.insert(about, Arc::clone(info));
            }
        }
        self.has_news = true;
    }

    /// Tells a participant what it was not told yet of others.
    pub(super) fn tell_pending(&mut self, id: ParticipantId) {
        let Some(participant) = self.participants.get_mut(&id) else {
            return;
        };
        let news: Vec<Arc<ParticipantInfo>> =
            std::mem::take(&mut participant.outbox).into_values().collect();
        if !news.is_empty() {
            self.signal(id, Signal::Participants(news));
        }
    }

    /// Tells everybody what is new: at once in small rooms, gathered in large ones, where every arrival concerns
    /// hundreds.
    pub(super) fn spread_news(&mut self, now: Instant) {
        if !self.has_news || (self.participants.len() > SMALL_ROOM_MAX && now < self.next_news) {
            return;
        }
        self.has_news = false;
        self.next_news = now + NEWS_EVERY;
        let everybody: Vec<ParticipantId> = self.participants.keys().copied().collect();
        for id in everybody {
            self.tell_pending(id);
        }
    }

    /// Tells everybody, itself included, of a participant as it is now.
    pub(super) fn publish_info(&mut self, about: ParticipantId) {
        let Some(participant) = self.participants.get(&about) else {
            return;
        };
        let info = Arc::clone(&participant.info);
        self.signal(about, Signal::Participants(vec![Arc::clone(&info)]));
        self.count_participants();
        self.tell_others(about, &info);
    }

    /// A peer's connection came up.
    pub(super) fn activate(&mut self, now: Instant, key: PeerKey, id: ParticipantId) {
        let Some(participant) = self.participants.get_mut(&id) else {
            return;
        };
        let is_first = !participant.was_active;
        participant.was_active = true;
        if is_first {
            participant.change(|info| info.state = ParticipantState::Active);
            let info = Arc::clone(&participant.info);
            self.publish_info(id);
            self.fact(Fact::ParticipantJoined(info));
        }
        self.start_waiting(now, key);
        self.to_allocate.insert(id);
    }

    pub(super) fn expire(&mut self, now: Instant) {
        let ids: Vec<ParticipantId> = self.participants.keys().copied().collect();
        for id in ids {
            self.expire_participant(now, id);
        }
        let Some(since) = self.empty_since else {
            return;
        };
        let limits = &self.config.limits;
        let timeout = if self.was_joined { limits.departure_timeout } else { limits.empty_timeout };
        if now.saturating_duration_since(since) >= timeout {
            self.finish();
        }
    }

    fn expire_participant(&mut self, now: Instant, id: ParticipantId) {
        let Some(participant) = self.participants.get(&id) else {
            return;
        };
        let peers: Vec<PeerKey> = participant.peers().collect();
        match participant.attachment {
            Attachment::Lost { since, .. } => {
                let heard =
                    peers.iter().filter_map(|key| self.peers.get(*key)?.last_received).max();
                let silent = now.saturating_duration_since(heard.map_or(since, |at| at.max(since)));
                let is_closed = peers
                    .iter()
                    .all(|key| self.peers.get(*key).is_none_or(|peer| !peer.is_alive()));
                if is_closed || silent >= SILENT_MAX {
                    self.remove(now, id, LeaveReason::SignalClose);
                }
            }
            Attachment::Attached(session) => {
                let is_lost = peers.iter().any(|key| {
                    self.peers.get(*key).is_some_and(|peer| match peer.state {
                        PeerState::Lost { since } => {
                            now.saturating_duration_since(since) >= MEDIA_LOST_MAX
                        }
                        PeerState::New | PeerState::Connected => false,
                    })
                });
                if is_lost {
                    let is_usable = peers
                        .iter()
                        .all(|key| self.peers.get(*key).is_some_and(crate::peer::Peer::is_alive));
                    let advice =
                        if is_usable { RejoinAdvice::Resume } else { RejoinAdvice::Reconnect };
                    self.signal(
                        id,
                        Signal::Leave { reason: LeaveReason::ConnectionTimeout, advice },
                    );
                    self.lose_session(now, id, session);
                }
            }
        }
    }

    // ---- names and metadata ----

    pub(super) fn update_own_metadata(
        &mut self,
        id: ParticipantId,
        request_id: u32,
        change: ParticipantChange,
    ) {
        let Some(participant) = self.participants.get(&id) else {
            return;
        };
        let protocol = participant.protocol;
        let outcome = if !participant.permissions().can_update_metadata {
            RequestOutcome::NotAllowed
        } else if self.change_participant(id, change, None).is_err() {
            RequestOutcome::LimitExceeded
        } else {
            RequestOutcome::Ok
        };
        // Clients before protocol 15 take any response for a refusal.
        if outcome != RequestOutcome::Ok || protocol > 14 {
            self.signal(id, Signal::RequestResponse { request_id, outcome });
        }
        // After the answer, which the client waits for.
        if outcome == RequestOutcome::Ok {
            self.signal(id, Signal::TokenStale);
        }
    }

    fn change_participant(
        &mut self,
        id: ParticipantId,
        change: ParticipantChange,
        permissions: Option<rtc_model::Permissions>,
    ) -> Result<(), CommandError> {
        let participant = self.participants.get(&id).ok_or(CommandError::ParticipantNotFound)?;
        let mut attributes = participant.info.attributes.clone();
        for (key, value) in change.attributes {
            if value.is_empty() {
                attributes.remove(&key);
            } else {
                attributes.insert(key, value);
            }
        }
        let metadata = change.metadata.unwrap_or_else(|| participant.info.metadata.clone());
        self.check_metadata(&metadata, &attributes)?;
        if let Some(participant) = self.participants.get_mut(&id) {
            participant.change(|info| {
                info.attributes = attributes;
                info.metadata = metadata;
                if let Some(name) = change.name {
                    info.name = name;
                }
                if let Some(permissions) = permissions {
                    info.permissions = permissions;
                }
            });
        }
        self.publish_info(id);
        Ok(())
    }

    fn check_metadata(
        &self,
        metadata: &str,
        attributes: &BTreeMap<String, String>,
    ) -> Result<(), CommandError> {
        let limit = self.config.limits.metadata_bytes_max;
        let attribute_bytes: usize =
            attributes.iter().map(|(key, value)| key.len() + value.len()).sum();
        if metadata.len() > limit {
            return Err(CommandError::TooLarge { what: "metadata", limit });
        }
        if attribute_bytes > limit {
            return Err(CommandError::TooLarge { what: "attributes", limit });
        }
        Ok(())
    }

    // ---- the app's server ----

    fn by_identity(&self, identity: &Identity) -> Result<ParticipantId, CommandError> {
        self.identities.get(identity).copied().ok_or(CommandError::ParticipantNotFound)
    }

    pub(super) fn administer(&mut self, now: Instant, admin: Admin) -> Result<Reply, CommandError> {
        match admin {
            Admin::Remove { identity } => {
                let id = self.by_identity(&identity)?;
                self.remove(now, id, LeaveReason::ParticipantRemoved);
                Ok(Reply::Done)
            }
            Admin::MuteTrack { identity, track, muted } => {
                let id = self.by_identity(&identity)?;
                self.mute(now, id, track, muted)?;
                self.signal(id, Signal::Mute { track, muted });
                self.reply_with(id)
            }
            Admin::UpdateParticipant { identity, change, permissions } => {
                let id = self.by_identity(&identity)?;
                self.change_participant(id, change, permissions)?;
                self.signal(id, Signal::TokenStale);
                self.apply_permissions(now, id);
                self.reply_with(id)
            }
            Admin::UpdateSubscriptions { identity, tracks, subscribe } => {
                let id = self.by_identity(&identity)?;
                self.set_intents(now, id, &tracks, subscribe)?;
                self.reply_with(id)
            }
            Admin::UpdateRoomMetadata { metadata } => {
                self.check_metadata(&metadata, &BTreeMap::new())?;
                self.info.metadata = metadata;
                let info = Arc::new(self.info.clone());
                let everybody: Vec<ParticipantId> = self.participants.keys().copied().collect();
                for id in everybody {
                    self.signal(id, Signal::Room(Arc::clone(&info)));
                }
                Ok(Reply::Room(Box::new(self.info.clone())))
            }
        }
    }

    fn reply_with(&self, id: ParticipantId) -> Result<Reply, CommandError> {
        self.known(id).map(|participant| Reply::Participant(Arc::clone(&participant.info)))
    }

    /// Brings publications and subscriptions in line with changed rights.
    fn apply_permissions(&mut self, now: Instant, id: ParticipantId) {
        let Some(participant) = self.participants.get(&id) else {
            return;
        };
        let permissions = participant.permissions().clone();
        let forbidden: Vec<TrackId> = self
            .publications
            .iter()
            .filter(|(_, publication)| {
                publication.owner == id && !permissions.may_publish(publication.info.source)
            })
            .map(|(track, _)| *track)
            .collect();
        for track in forbidden {
            self.end_publication(now, track);
            self.signal(id, Signal::TrackUnpublished { track });
        }
        let tracks: Vec<TrackId> = self.publications.keys().copied().collect();
        for track in tracks {
            self.reconcile(now, id, track);
        }
    }

    // ---- resume, continued; tests of clients ----

    pub(super) fn sync_state(&mut self, now: Instant, id: ParticipantId, state: &SyncState) {
        let is_known = |track: &TrackId| {
            self.publications.get(track).is_some_and(|publication| publication.owner == id)
                || self.participants.get(&id).is_some_and(|participant| {
                    participant.pending.iter().any(|pending| pending.info.id == *track)
                })
        };
        if !state.published.iter().all(is_known) {
            self.dismiss(now, id, LeaveReason::StateMismatch, RejoinAdvice::Reconnect);
            return;
        }
        for (track, subscribe) in &state.subscriptions {
            // Tracks that ended meanwhile are not news to anybody.
            let _gone = self.set_intents(now, id, &[*track], *subscribe);
        }
    }

    pub(super) fn simulate(&mut self, now: Instant, id: ParticipantId, simulation: Simulation) {
        match simulation {
            Simulation::SpeakerUpdate { seconds } => {
                let until = now + Duration::from_secs(u64::from(seconds.min(60)));
                if let Some(participant) = self.participants.get_mut(&id) {
                    participant.simulated_speech_until = Some(until);
                }
            }
            Simulation::LeaveFullReconnect => {
                self.dismiss(now, id, LeaveReason::StateMismatch, RejoinAdvice::Reconnect);
            }
            Simulation::NodeFailure => self.forget(now, id, LeaveReason::ConnectionTimeout),
            Simulation::SubscriberBandwidth { bps } => {
                if let Some(participant) = self.participants.get_mut(&id) {
                    participant.bandwidth_cap = bps.map(rtc_model::Bitrate::from_bps);
                }
                self.to_allocate.insert(id);
            }
        }
    }
}
