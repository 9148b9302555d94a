//! What a session sends to its client.

use std::sync::Arc;

use rtc_media::{
    event::{RequestOutcome, Signal, SubscriptionError},
    info::{ConnectionGrade, ConnectionQuality, ParticipantInfo, ParticipantState, Speaker},
};
use rtc_model::{Codec, LeaveReason, ParticipantId, Quality, RejoinAdvice, StreamState, TrackId};

use crate::proto::{self, info, signal_response::Message};

/// One of the room's signals as a message; `None` when the session itself has to act on it.
pub(crate) fn message(signal: &Signal) -> Option<Message> {
    Some(match signal {
        Signal::Answer { id, sdp, mid_to_track } => {
            Message::Answer(description("answer", *id, sdp, mid_to_track))
        }
        Signal::Offer { id, sdp, mid_to_track } => {
            Message::Offer(description("offer", *id, sdp, mid_to_track))
        }
        Signal::MediaSectionsRequired { audios, videos } => {
            Message::MediaSectionsRequirement(proto::MediaSectionsRequirement {
                num_audios: *audios,
                num_videos: *videos,
            })
        }
        Signal::TrackPublished { cid, track } => {
            Message::TrackPublished(proto::TrackPublishedResponse {
                cid: cid.clone(),
                track: Some(info::track(track)),
            })
        }
        Signal::TrackUnpublished { track } => {
            Message::TrackUnpublished(proto::TrackUnpublishedResponse {
                track_sid: track.to_string(),
            })
        }
        Signal::Participants(infos) => Message::Update(participant_update(infos)),
        Signal::Room(room) => {
            Message::RoomUpdate(proto::RoomUpdate { room: Some(info::room(room)) })
        }
        Signal::Speakers(speakers) => Message::SpeakersChanged(proto::SpeakersChanged {
            speakers: speakers.iter().map(speaker).collect(),
        }),
        Signal::Quality(qualities) => Message::ConnectionQuality(proto::ConnectionQualityUpdate {
            updates: qualities.iter().map(connection_quality).collect(),
        }),
        Signal::StreamStates(states) => Message::StreamStateUpdate(proto::StreamStateUpdate {
            stream_states: states.iter().map(stream_state).collect(),
        }),
        Signal::SubscribedQuality { track, codecs } => {
            Message::SubscribedQualityUpdate(subscribed_quality(*track, codecs))
        }
        Signal::SubscriptionPermission { participant, track, allowed } => {
            Message::SubscriptionPermissionUpdate(proto::SubscriptionPermissionUpdate {
                participant_sid: participant.to_string(),
                track_sid: track.to_string(),
                allowed: *allowed,
            })
        }
        Signal::SubscriptionFailed { track, error } => {
            Message::SubscriptionResponse(subscription_failed(*track, *error))
        }
        Signal::TrackSubscribed { track } => {
            Message::TrackSubscribed(proto::TrackSubscribed { track_sid: track.to_string() })
        }
        Signal::Mute { track, muted } => {
            Message::Mute(proto::MuteTrackRequest { sid: track.to_string(), muted: *muted })
        }
        Signal::RequestResponse { request_id, outcome } => {
            Message::RequestResponse(request_response(*request_id, *outcome))
        }
        Signal::Leave { reason, advice } => Message::Leave(leave(*reason, *advice)),
        Signal::TokenStale => return None,
    })
}

/// The end of a session, for clients of every protocol version.
pub(crate) fn leave(reason: LeaveReason, advice: RejoinAdvice) -> proto::LeaveRequest {
    let action = match advice {
        RejoinAdvice::Disconnect => proto::leave_request::Action::Disconnect,
        RejoinAdvice::Resume => proto::leave_request::Action::Resume,
        RejoinAdvice::Reconnect => proto::leave_request::Action::Reconnect,
    };
    proto::LeaveRequest {
        // Clients older than protocol 13 know this field only, and to them a return is a rejoin.
        can_reconnect: advice != RejoinAdvice::Disconnect,
        reason: info::disconnect_reason(reason).into(),
        action: action.into(),
        regions: None,
    }
}

/// The outcome of a request, in LiveKit's words.
pub(crate) fn request_response(request_id: u32, outcome: RequestOutcome) -> proto::RequestResponse {
    let (reason, message) = match outcome {
        RequestOutcome::Ok => (proto::request_response::Reason::Ok, ""),
        RequestOutcome::NotFound => (proto::request_response::Reason::NotFound, "not found"),
        RequestOutcome::NotAllowed => {
            (proto::request_response::Reason::NotAllowed, "the participant has no right to do this")
        }
        RequestOutcome::LimitExceeded => (
            proto::request_response::Reason::LimitExceeded,
            "a limit on size or number is exceeded",
        ),
    };
    proto::RequestResponse {
        request_id,
        reason: reason.into(),
        message: message.to_owned(),
        request: None,
    }
}

fn description<'a>(
    kind: &str,
    id: u32,
    sdp: &str,
    mid_to_track: impl IntoIterator<Item = (&'a String, &'a TrackId)>,
) -> proto::SessionDescription {
    proto::SessionDescription {
        r#type: kind.to_owned(),
        sdp: sdp.to_owned(),
        id,
        mid_to_track_id: mid_to_track
            .into_iter()
            .map(|(mid, track)| (mid.clone(), track.to_string()))
            .collect(),
    }
}

/// Departures go first: clients find participants by identity, and would take the departure of an earlier stay
/// for that of the one that replaced it.
fn participant_update(infos: &[Arc<ParticipantInfo>]) -> proto::ParticipantUpdate {
    let is_gone =
        |info: &&Arc<ParticipantInfo>| matches!(info.state, ParticipantState::Disconnected(_));
    let gone = infos.iter().filter(is_gone);
    let present = infos.iter().filter(|info| !is_gone(info));
    proto::ParticipantUpdate {
        participants: gone.chain(present).map(|info| info::participant(info)).collect(),
    }
}

fn speaker(speaker: &Speaker) -> proto::SpeakerInfo {
    proto::SpeakerInfo {
        sid: speaker.participant.to_string(),
        level: speaker.level,
        active: speaker.active,
    }
}

fn connection_quality(quality: &ConnectionQuality) -> proto::ConnectionQualityInfo {
    let grade = match quality.grade {
        ConnectionGrade::Lost => proto::ConnectionQuality::Lost,
        ConnectionGrade::Poor => proto::ConnectionQuality::Poor,
        ConnectionGrade::Good => proto::ConnectionQuality::Good,
        ConnectionGrade::Excellent => proto::ConnectionQuality::Excellent,
    };
    proto::ConnectionQualityInfo {
        participant_sid: quality.participant.to_string(),
        quality: grade.into(),
        score: quality.score,
    }
}

fn stream_state(
    (participant, track, state): &(ParticipantId, TrackId, StreamState),
) -> proto::StreamStateInfo {
    let state = match state {
        StreamState::Active => proto::StreamState::Active,
        StreamState::Paused => proto::StreamState::Paused,
    };
    proto::StreamStateInfo {
        participant_sid: participant.to_string(),
        track_sid: track.to_string(),
        state: state.into(),
    }
}

#[expect(
    deprecated,
    reason = "clients older than codec-wise dynacast read the list of the first codec"
)]
fn subscribed_quality(
    track: TrackId,
    codecs: &[(Codec, Vec<(Quality, bool)>)],
) -> proto::SubscribedQualityUpdate {
    let qualities = |list: &[(Quality, bool)]| -> Vec<proto::SubscribedQuality> {
        list.iter()
            .map(|(quality, enabled)| proto::SubscribedQuality {
                quality: info::quality(*quality).into(),
                enabled: *enabled,
            })
            .collect()
    };
    let subscribed_codecs = codecs
        .iter()
        .map(|(codec, list)| proto::SubscribedCodec {
            codec: codec.subtype().to_owned(),
            qualities: qualities(list),
        })
        .collect();
    proto::SubscribedQualityUpdate {
        track_sid: track.to_string(),
        subscribed_qualities: codecs.first().map(|(_, list)| qualities(list)).unwrap_or_default(),
        subscribed_codecs,
    }
}

fn subscription_failed(track: TrackId, error: SubscriptionError) -> proto::SubscriptionResponse {
    let err = match error {
        SubscriptionError::TrackNotFound => proto::SubscriptionError::SeTrackNotfound,
        SubscriptionError::CodecUnsupported => proto::SubscriptionError::SeCodecUnsupported,
    };
    proto::SubscriptionResponse { track_sid: track.to_string(), err: err.into() }
}

#[cfg(test)]
mod tests;
