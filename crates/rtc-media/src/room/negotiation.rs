//! Offers and answers: one actor for both topologies; what differs is who may offer what the server sends.

use std::time::{Duration, Instant};

use rtc_model::{
    LeaveReason, ParticipantId, RejoinAdvice, Stereo, TrackFeatures, TrackId, TrackKind,
};
use str0m::media::Mid;

use super::Room;
use crate::{
    command::{CommandError, Description, Topology},
    event::Signal,
    peer::{AppliedOffer, Carried, IceRestart, PeerKey},
    sdp::Presentation,
};

/// A client that was asked for an offer is asked again after this long.
const OFFER_WAIT_MAX: Duration = Duration::from_secs(5);

impl Room {
    pub(super) fn check_description(&self, description: &Description) -> Result<(), CommandError> {
        let limits = &self.config.limits;
        if description.sdp.len() > limits.sdp_bytes_max {
            return Err(CommandError::TooLarge {
                what: "session description",
                limit: limits.sdp_bytes_max,
            });
        }
        let sections = description.sdp.lines().filter(|line| line.starts_with("m=")).count();
        if sections > limits.sdp_sections_max {
            return Err(CommandError::TooLarge {
                what: "number of media sections",
                limit: limits.sdp_sections_max,
            });
        }
        Ok(())
    }

    /// The client's offer on the publisher's connection.
    pub(super) fn take_offer(
        &mut self,
        now: Instant,
        from: ParticipantId,
        offer: &Description,
    ) -> Result<(), CommandError> {
        self.check_description(offer)?;
        let (key, topology) = {
            let participant = self.known(from)?;
            (participant.publisher, participant.topology)
        };
        let Some(peer) = self.peers.get_mut(key) else {
            return Err(CommandError::StateMismatch);
        };
        let applied = peer.apply_offer(now, &offer.sdp);
        let ufrag = peer.ufrag().to_owned();
        let is_alive = peer.is_alive();
        self.bind_ufrag(key, ufrag);
        self.peers.note(key);
        let applied = match applied {
            Ok(applied) => applied,
            Err(error) => {
                if !is_alive {
                    self.dismiss(now, from, LeaveReason::JoinFailure, RejoinAdvice::Disconnect);
                }
                return Err(error);
            }
        };
        self.take_inbound(now, from, &applied);
        if topology == Topology::Single {
            if let Some(participant) = self.participants.get_mut(&from) {
                participant.offer_requested = None;
            }
            self.fill_slots(from);
        }
        self.send_answer(now, from, key, offer.id, &applied);
        self.start_waiting(now, key);
        self.to_negotiate.insert(from);
        Ok(())
    }

    fn take_inbound(&mut self, now: Instant, from: ParticipantId, applied: &AppliedOffer) {
        self.end_stopped(now, from, &applied.inbound);
        let unmatched = applied
            .inbound
            .iter()
            .filter(|section| {
                !self.publications.values().any(|publication| {
                    publication.owner == from && publication.codec_on(section.mid).is_some()
                })
            })
            .cloned()
            .collect();
        if let Some(participant) = self.participants.get_mut(&from) {
            participant.unmatched = unmatched;
        }
        self.match_sections(now, from);
    }

    fn send_answer(
        &mut self,
        now: Instant,
        to: ParticipantId,
        key: PeerKey,
        id: u32,
        applied: &AppliedOffer,
    ) {
        self.tell_pending(to);
        let publications = &self.publications;
        let receives = |mid: Mid| {
            let codec = publications
                .values()
                .filter(|publication| publication.owner == to)
                .find_map(|publication| Some((publication, publication.codec_on(mid)?)));
            let Some((publication, index)) = codec else {
                return Presentation::Receives { features: TrackFeatures::default(), prefer: None };
            };
            let video = publication.kind() == TrackKind::Video;
            Presentation::Receives {
                features: publication.info.features,
                prefer: publication.codecs.get(index).filter(|_| video).map(|codec| codec.codec),
            }
        };
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let (sdp, mid_to_track) = peer.present_answer(now, applied, receives);
        self.signal(to, Signal::Answer { id, sdp, mid_to_track });
    }

    /// The client's answer to our offer on the subscriber's connection.
    pub(super) fn take_answer(
        &mut self,
        now: Instant,
        from: ParticipantId,
        answer: &Description,
    ) -> Result<(), CommandError> {
        self.check_description(answer)?;
        let key = self.known(from)?.subscriber;
        let Some(peer) = self.peers.get_mut(key) else {
            return Err(CommandError::StateMismatch);
        };
        let applied = peer.apply_answer(now, &answer.sdp);
        self.peers.note(key);
        if let Err(error) = applied {
            // The two sides now disagree on the sections: only a fresh start helps.
            self.dismiss(now, from, LeaveReason::StateMismatch, RejoinAdvice::Reconnect);
            return Err(error);
        }
        self.start_waiting(now, key);
        self.to_negotiate.insert(from);
        Ok(())
    }

    /// Does what is next for a participant to receive what it should: asks for an offer, or makes one.
    pub(super) fn negotiate(&mut self, now: Instant, id: ParticipantId) {
        let Some(participant) = self.participants.get(&id) else {
            return;
        };
        if !participant.is_attached() {
            return;
        }
        match participant.topology {
            Topology::Single => self.request_offer(now, id),
            Topology::Dual => self.make_offer(id),
        }
    }

    fn request_offer(&mut self, now: Instant, id: ParticipantId) {
        let waiting = self.waiting_tracks(id);
        let Some(participant) = self.participants.get(&id) else {
            return;
        };
        let Some(peer) = self.peers.get(participant.subscriber) else {
            return;
        };
        if participant.offer_requested.is_some()
            || (waiting.is_empty() && !peer.has_unsettled_slots())
        {
            return;
        }
        let missing = |kind: TrackKind| {
            let wanted = waiting.iter().filter(|(_, waiting)| *waiting == kind).count();
            u32::try_from(wanted.saturating_sub(peer.free_slot_count(kind))).unwrap_or(0)
        };
        let (audios, videos) = (missing(TrackKind::Audio), missing(TrackKind::Video));
        if let Some(participant) = self.participants.get_mut(&id) {
            participant.offer_requested = Some(now);
        }
        self.tell_pending(id);
        self.signal(id, Signal::MediaSectionsRequired { audios, videos });
    }

    fn make_offer(&mut self, id: ParticipantId) {
        let Some(participant) = self.participants.get(&id) else {
            return;
        };
        let (key, restarts) = (participant.subscriber, participant.restart_ice);
        if self.peers.get(key).is_none_or(crate::peer::Peer::has_pending_offer) {
            return;
        }
        let additions: Vec<(TrackKind, Carried)> = self
            .waiting_tracks(id)
            .into_iter()
            .filter_map(|(track, kind)| Some((kind, self.carried(id, track)?)))
            .collect();
        let restart = if restarts { IceRestart::Yes } else { IceRestart::No };
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let Some(offer) = peer.make_offer(additions, restart) else {
            return;
        };
        let ufrag = peer.ufrag().to_owned();
        for (track, slot) in &offer.assigned {
            self.assign(id, *track, *slot);
        }
        if let Some(participant) = self.participants.get_mut(&id) {
            participant.restart_ice = false;
        }
        self.bind_ufrag(key, ufrag);
        self.peers.note(key);
        self.tell_pending(id);
        let signal =
            Signal::Offer { id: offer.id, sdp: offer.sdp, mid_to_track: offer.mid_to_track };
        self.signal(id, signal);
    }

    /// Subscribed tracks of a participant without a slot.
    fn waiting_tracks(&self, id: ParticipantId) -> Vec<(TrackId, TrackKind)> {
        self.publications
            .values()
            .filter(|publication| {
                publication
                    .subscriptions
                    .iter()
                    .any(|entry| entry.subscriber == id && entry.slot.is_none())
            })
            .map(|publication| (publication.info.id, publication.kind()))
            .collect()
    }

    /// Gives waiting subscriptions the free slots there are.
    fn fill_slots(&mut self, id: ParticipantId) {
        let Some(key) = self.participants.get(&id).map(|participant| participant.subscriber) else {
            return;
        };
        for (track, kind) in self.waiting_tracks(id) {
            let Some(carried) = self.carried(id, track) else {
                continue;
            };
            let Some(peer) = self.peers.get_mut(key) else {
                return;
            };
            let Some(slot) = peer.free_slot(kind) else {
                continue;
            };
            peer.carry(slot, carried);
            self.assign(id, track, slot);
        }
    }

    fn assign(&mut self, id: ParticipantId, track: TrackId, slot: usize) {
        if let Some(publication) = self.publications.get_mut(&track)
            && let Some(subscription) = publication.subscription_of(id)
        {
            subscription.slot = Some(slot);
            subscription.payload_type = None;
        }
    }

    /// How a track is named to a subscriber: clients find the participant by the part of the stream before the
    /// bar, and play what shares a stream in step.
    fn carried(&self, subscriber: ParticipantId, track: TrackId) -> Option<Carried> {
        let publication = self.publications.get(&track)?;
        let per_track = self.participants.get(&subscriber)?.stream_per_track;
        let owner = publication.owner;
        let stream = if per_track {
            format!("{owner}|{track}")
        } else {
            format!("{owner}|{}", token(&publication.info.stream))
        };
        let stereo = if publication.kind() == TrackKind::Audio {
            publication.info.features.stereo
        } else {
            Stereo::Mono
        };
        Some(Carried { track, stream, stereo })
    }

    pub(super) fn retry_negotiation(&mut self, now: Instant) {
        let overdue: Vec<ParticipantId> = self
            .participants
            .iter()
            .filter(|(_, participant)| {
                participant
                    .offer_requested
                    .is_some_and(|at| now.saturating_duration_since(at) >= OFFER_WAIT_MAX)
            })
            .map(|(id, _)| *id)
            .collect();
        for id in overdue {
            if let Some(participant) = self.participants.get_mut(&id) {
                participant.offer_requested = None;
            }
            self.to_negotiate.insert(id);
        }
    }
}

/// Longest part of a stream id that is the publisher's (RFC 8830 §2 allows 64 characters in all).
const STREAM_NAME_MAX: usize = 40;

/// RFC 8830 §2: stream ids are tokens.
fn token(name: &str) -> String {
    let kept: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        .take(STREAM_NAME_MAX)
        .collect();
    if kept.is_empty() { "camera".to_owned() } else { kept }
}
