//! The server API's calls, carried out on one room.

use std::time::Instant;

use rtc_api::{
    cluster::{Answer, RoomAnswer, RoomCall},
    code::{ErrorCode, Refusal},
};
use rtc_media::command::{Admin, MessageChannel, Reply};
use rtc_model::{Identity, LeaveReason, TrackId};

use super::hosted::HostedRoom;
use crate::{
    data::Destinations,
    proto::{self, info, request},
};

/// Carries out one call.
pub(super) fn execute(hosted: &mut HostedRoom, now: Instant, call: RoomCall) -> Answer<RoomAnswer> {
    match call {
        RoomCall::CreateRoom(_) => Ok(RoomAnswer::Room(info::room(hosted.room.info()))),
        RoomCall::DeleteRoom(_) => {
            hosted.close(now, LeaveReason::RoomDeleted);
            Ok(RoomAnswer::Done)
        }
        RoomCall::ListParticipants(_) => {
            let participants = hosted.room.participants().map(|each| info::participant(each));
            Ok(RoomAnswer::Participants(participants.collect()))
        }
        RoomCall::GetParticipant(who) => {
            Ok(RoomAnswer::Participant(info::participant(hosted.find(&who.identity)?.as_ref())))
        }
        RoomCall::RemoveParticipant(who) => {
            let identity = identity(&who.identity)?;
            hosted.admin(now, Admin::Remove { identity })?;
            Ok(RoomAnswer::Done)
        }
        RoomCall::MutePublishedTrack(mute) => mute_track(hosted, now, &mute),
        RoomCall::UpdateParticipant(update) => update_participant(hosted, now, &update),
        RoomCall::UpdateSubscriptions(update) => update_subscriptions(hosted, now, &update),
        RoomCall::SendData(send) => {
            send_data(hosted, now, send);
            Ok(RoomAnswer::Done)
        }
        RoomCall::UpdateRoomMetadata(update) => {
            let metadata = update.metadata;
            match hosted.admin(now, Admin::UpdateRoomMetadata { metadata })? {
                Reply::Room(room) => Ok(RoomAnswer::Room(info::room(&room))),
                _ => Ok(RoomAnswer::Room(info::room(hosted.room.info()))),
            }
        }
        // Spread over rooms, or waiting for an answer: not one room's affair.
        RoomCall::ListRooms(_) | RoomCall::PerformRpc(_) | RoomCall::CloseAll => {
            Err(ErrorCode::Internal.into())
        }
    }
}

fn mute_track(
    hosted: &mut HostedRoom,
    now: Instant,
    mute: &proto::MuteRoomTrackRequest,
) -> Answer<RoomAnswer> {
    let identity = identity(&mute.identity)?;
    let track = track(&mute.track_sid)?;
    let published = hosted.find(&mute.identity)?;
    if !published.tracks.iter().any(|each| each.id == track) {
        return Err(ErrorCode::TrackNotFound.into());
    }
    hosted.admin(now, Admin::MuteTrack { identity, track, muted: mute.muted })?;
    let participant = hosted.find(&mute.identity)?;
    let muted = participant.tracks.iter().find(|each| each.id == track);
    let muted = muted.ok_or_else(|| Refusal::from(ErrorCode::TrackNotFound))?;
    Ok(RoomAnswer::Track(info::track(muted)))
}

fn update_participant(
    hosted: &mut HostedRoom,
    now: Instant,
    update: &proto::UpdateParticipantRequest,
) -> Answer<RoomAnswer> {
    let change = request::participant_change(&update.name, &update.metadata, &update.attributes);
    let permissions = update.permission.as_ref().map(info::permissions_from);
    let identity = identity(&update.identity)?;
    match hosted.admin(now, Admin::UpdateParticipant { identity, change, permissions })? {
        Reply::Participant(participant) => {
            Ok(RoomAnswer::Participant(info::participant(&participant)))
        }
        _ => {
            Ok(RoomAnswer::Participant(info::participant(hosted.find(&update.identity)?.as_ref())))
        }
    }
}

fn update_subscriptions(
    hosted: &mut HostedRoom,
    now: Instant,
    update: &proto::UpdateSubscriptionsRequest,
) -> Answer<RoomAnswer> {
    let by_participant = update.participant_tracks.iter().flat_map(|each| &each.track_sids);
    let tracks = update.track_sids.iter().chain(by_participant).map(|text| track(text));
    let tracks = tracks.collect::<Result<Vec<_>, _>>()?;
    let identity = identity(&update.identity)?;
    let subscribe = update.subscribe;
    hosted.admin(now, Admin::UpdateSubscriptions { identity, tracks, subscribe })?;
    Ok(RoomAnswer::Done)
}

#[expect(deprecated, reason = "older server SDKs name receivers by participant id")]
fn send_data(hosted: &mut HostedRoom, now: Instant, send: proto::SendDataRequest) {
    let channel = match send.kind() {
        proto::data_packet::Kind::Reliable => MessageChannel::Reliable,
        proto::data_packet::Kind::Lossy => MessageChannel::Lossy,
    };
    let to = if send.destination_identities.is_empty() && send.destination_sids.is_empty() {
        Destinations::Everybody
    } else {
        Destinations::Named {
            identities: send.destination_identities.clone(),
            ids: send.destination_sids.clone(),
        }
    };
    let user = proto::UserPacket {
        payload: send.data,
        topic: send.topic,
        nonce: send.nonce,
        destination_identities: send.destination_identities,
        destination_sids: send.destination_sids,
        ..proto::UserPacket::default()
    };
    hosted.send_from_server(now, user, channel, &to);
}

fn identity(text: &str) -> Answer<Identity> {
    Identity::new(text).map_err(|_| ErrorCode::ParticipantNotFound.into())
}

fn track(text: &str) -> Answer<TrackId> {
    text.parse().map_err(|_| ErrorCode::TrackNotFound.into())
}
