//! What is open, and who is inside. The nodes know; the control plane asks them.

use rtc_api::{
    cluster::{RoomAnswer, RoomCall},
    code::{ErrorCode, Refusal},
    proto,
    rest::{
        rooms::{ParticipantList, ParticipantView, RoomList, RoomView, TrackView},
        time::rfc3339,
    },
};
use rtc_model::{AppId, RoomName};

use crate::{Caller, Context, Error, Permission, Target, apps};

/// Lists the open rooms of an app, by name.
///
/// # Errors
/// `app_not_found`; [`Error::Bus`] when no node answers.
pub async fn list(cx: &Context, caller: &Caller, app: &AppId) -> Result<RoomList, Error> {
    caller.require(Permission::RoomList, Target::App(app))?;
    apps::find(cx, app).await?;
    let call = RoomCall::ListRooms(proto::ListRoomsRequest { names: Vec::new() });
    let RoomAnswer::Rooms(rooms) = cx.ask_node(app, call).await? else {
        return Err(unexpected());
    };
    let mut items: Vec<RoomView> = rooms.into_iter().map(room_view).collect();
    items.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(RoomList { items })
}

/// Lists who is in a room, in the order they joined.
///
/// # Errors
/// `app_not_found`, `room_not_found`; [`Error::Bus`] when no node answers.
pub async fn participants(
    cx: &Context,
    caller: &Caller,
    app: &AppId,
    room: &RoomName,
) -> Result<ParticipantList, Error> {
    caller.require(Permission::RoomAdmin, Target::Room(app, room))?;
    apps::find(cx, app).await?;
    let request = proto::ListParticipantsRequest { room: room.as_str().to_owned() };
    let answer = cx.ask_node(app, RoomCall::ListParticipants(request)).await?;
    let RoomAnswer::Participants(mut participants) = answer else {
        return Err(unexpected());
    };
    participants.sort_by(|a, b| (a.joined_at_ms, &a.sid).cmp(&(b.joined_at_ms, &b.sid)));
    Ok(ParticipantList { items: participants.into_iter().map(participant_view).collect() })
}

fn unexpected() -> Error {
    tracing::error!("a node answered something else than it was asked");
    Refusal::from(ErrorCode::Internal).into()
}

fn room_view(room: proto::Room) -> RoomView {
    RoomView {
        created_at: time(room.creation_time_ms, room.creation_time),
        sid: room.sid,
        name: room.name,
        participants: room.num_participants,
        publishers: room.num_publishers,
        participants_max: room.max_participants,
        metadata: room.metadata,
    }
}

fn participant_view(participant: proto::ParticipantInfo) -> ParticipantView {
    ParticipantView {
        state: word(participant.state().as_str_name()),
        joined_at: time(participant.joined_at_ms, participant.joined_at),
        sid: participant.sid,
        identity: participant.identity,
        name: participant.name,
        metadata: participant.metadata,
        attributes: participant.attributes.into_iter().collect(),
        tracks: participant.tracks.into_iter().map(track_view).collect(),
    }
}

fn track_view(track: proto::TrackInfo) -> TrackView {
    TrackView {
        kind: word(track.r#type().as_str_name()),
        source: word(track.source().as_str_name()),
        sid: track.sid,
        name: track.name,
        muted: track.muted,
        width: track.width,
        height: track.height,
        mime_type: track.mime_type,
    }
}

/// LiveKit's names are in capitals; ours in the API are not.
fn word(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// Milliseconds where the node gives them, else whole seconds.
fn time(unix_ms: i64, unix_s: i64) -> String {
    rfc3339(if unix_ms > 0 { unix_ms } else { unix_s.saturating_mul(1_000) })
}
