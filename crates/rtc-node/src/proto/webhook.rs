//! Facts of a room as LiveKit's webhook events.

use std::time::SystemTime;

use rtc_media::{
    event::Fact,
    info::{ParticipantInfo, RoomInfo, TrackInfo},
};

use crate::proto::{self, info};

/// The event of a fact; `None` for facts that are none of the app's business.
pub(crate) fn event(room: &RoomInfo, fact: &Fact, at: SystemTime) -> Option<proto::WebhookEvent> {
    let (name, room, participant, track): (_, _, Option<&ParticipantInfo>, Option<&TrackInfo>) =
        match fact {
            Fact::RoomStarted(room) => ("room_started", room.as_ref(), None, None),
            Fact::RoomFinished(room) => ("room_finished", room.as_ref(), None, None),
            Fact::ParticipantJoined(who) => ("participant_joined", room, Some(who), None),
            Fact::ParticipantLeft(who, _) => ("participant_left", room, Some(who), None),
            Fact::ParticipantAborted(who, _) => {
                ("participant_connection_aborted", room, Some(who), None)
            }
            Fact::TrackPublished(who, track) => ("track_published", room, Some(who), Some(track)),
            Fact::TrackUnpublished(who, track) => {
                ("track_unpublished", room, Some(who), Some(track))
            }
            Fact::PeerState { .. } | Fact::Resumed(_) => return None,
        };
    let mut participant = participant.map(info::participant);
    if let (
        Some(participant),
        Fact::ParticipantLeft(_, reason) | Fact::ParticipantAborted(_, reason),
    ) = (&mut participant, fact)
    {
        participant.state = proto::participant_info::State::Disconnected.into();
        participant.disconnect_reason = info::disconnect_reason(*reason).into();
    }
    Some(proto::WebhookEvent {
        event: name.to_owned(),
        room: Some(info::room(room)),
        participant,
        track: track.map(info::track),
        created_at: info::unix_seconds(at),
        ..proto::WebhookEvent::default()
    })
}
