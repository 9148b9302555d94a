//! What the control plane can do with rooms.

use rtc_api::{
    cluster::{RoomAnswer, RoomCall},
    code::ErrorCode,
    proto::{self, participant_info::State, signal_response::Message as Told},
};

use crate::support::{Client, World};

fn who(identity: &str) -> proto::RoomParticipantIdentity {
    proto::RoomParticipantIdentity {
        room: "room".to_owned(),
        identity: identity.to_owned(),
        ..Default::default()
    }
}

async fn rooms(world: &World, names: &[&str]) -> Vec<String> {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    match world.call(RoomCall::ListRooms(proto::ListRoomsRequest { names })).await {
        Ok(RoomAnswer::Rooms(rooms)) => rooms.into_iter().map(|room| room.name).collect(),
        other => panic!("{other:?}"),
    }
}

async fn sees(
    client: &mut Client,
    wanted: impl Fn(&proto::ParticipantInfo) -> bool,
) -> proto::ParticipantInfo {
    client
        .until(|told| {
            let Told::Update(update) = told else { return None };
            update.participants.into_iter().find(|info| wanted(info))
        })
        .await
}

#[tokio::test]
async fn rooms_are_created_found_listed_and_deleted() {
    let mut world = World::start().await;
    let create = proto::CreateRoomRequest {
        name: "room".to_owned(),
        empty_timeout: 60,
        max_participants: 3,
        metadata: "m".to_owned(),
        ..Default::default()
    };
    let Ok(RoomAnswer::Room(room)) = world.call(RoomCall::CreateRoom(create.clone())).await else {
        panic!("no room")
    };
    assert_eq!((room.empty_timeout, room.max_participants), (60, 3));
    assert_eq!(room.metadata, "m");
    let Ok(RoomAnswer::Room(again)) = world.call(RoomCall::CreateRoom(create)).await else {
        panic!("no room")
    };
    assert_eq!(again.sid, room.sid, "an open room is found");
    assert_eq!(rooms(&world, &[]).await, ["room"]);
    assert_eq!(rooms(&world, &["room", "other"]).await, ["room"]);
    assert!(rooms(&world, &["other"]).await.is_empty());
    assert!(rooms(&world, &[""]).await.is_empty(), "a name that cannot be names no room");

    let (mut alice, join) = world.join("alice").await;
    assert_eq!(join.room.unwrap().sid, room.sid);
    let delete = proto::DeleteRoomRequest { room: "room".to_owned() };
    assert_eq!(world.call(RoomCall::DeleteRoom(delete.clone())).await.unwrap_done(), ());
    assert_eq!(alice.leave().await.reason(), proto::DisconnectReason::RoomDeleted);
    world.event("room_finished").await;
    assert!(rooms(&world, &[]).await.is_empty());
    let refused = world.call(RoomCall::DeleteRoom(delete)).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::RoomNotFound);
}

#[tokio::test]
async fn participants_are_listed_changed_and_removed() {
    let world = World::start().await;
    let (mut alice, _) = world.join("alice").await;
    let (mut bob, _) = world.join("bob").await;
    let list = proto::ListParticipantsRequest { room: "room".to_owned() };
    let Ok(RoomAnswer::Participants(all)) = world.call(RoomCall::ListParticipants(list)).await
    else {
        panic!("no list")
    };
    let identities: Vec<_> = all.iter().map(|info| info.identity.as_str()).collect();
    assert_eq!(identities, ["alice", "bob"]);

    let update = proto::UpdateParticipantRequest {
        room: "room".to_owned(),
        identity: "bob".to_owned(),
        name: "Robert".to_owned(),
        metadata: "m".to_owned(),
        permission: Some(proto::ParticipantPermission {
            can_subscribe: true,
            ..Default::default()
        }),
        ..Default::default()
    };
    let Ok(RoomAnswer::Participant(changed)) =
        world.call(RoomCall::UpdateParticipant(update)).await
    else {
        panic!("no participant")
    };
    assert_eq!((changed.name.as_str(), changed.metadata.as_str()), ("Robert", "m"));
    assert!(!changed.permission.unwrap().can_publish);
    let own = sees(&mut bob, |info| info.name == "Robert").await;
    assert!(!own.permission.unwrap().can_publish, "the participant hears of its own rights");
    sees(&mut alice, |info| info.name == "Robert").await;

    let Ok(RoomAnswer::Participant(found)) = world.call(RoomCall::GetParticipant(who("bob"))).await
    else {
        panic!("no participant")
    };
    assert_eq!(found.name, "Robert");
    world.call(RoomCall::RemoveParticipant(who("bob"))).await.unwrap_done();
    assert_eq!(bob.leave().await.reason(), proto::DisconnectReason::ParticipantRemoved);
    let gone = sees(&mut alice, |info| info.state() == State::Disconnected).await;
    assert_eq!(gone.identity, "bob");
    let refused = world.call(RoomCall::RemoveParticipant(who("bob"))).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::ParticipantNotFound);
}

#[tokio::test]
async fn a_rooms_metadata_reaches_everybody() {
    let world = World::start().await;
    let (mut alice, _) = world.join("alice").await;
    let update =
        proto::UpdateRoomMetadataRequest { room: "room".to_owned(), metadata: "new".to_owned() };
    let Ok(RoomAnswer::Room(room)) = world.call(RoomCall::UpdateRoomMetadata(update)).await else {
        panic!("no room")
    };
    assert_eq!(room.metadata, "new");
    let told = alice
        .until(|told| if let Told::RoomUpdate(update) = told { update.room } else { None })
        .await;
    assert_eq!(told.metadata, "new");
}

#[tokio::test]
async fn what_is_not_there_is_said_to_be_missing() {
    let world = World::start().await;
    let (_alice, _) = world.join("alice").await;
    let mute = |identity: &str, track: &str| {
        RoomCall::MutePublishedTrack(proto::MuteRoomTrackRequest {
            room: "room".to_owned(),
            identity: identity.to_owned(),
            track_sid: track.to_owned(),
            muted: true,
        })
    };
    let rpc = |room: &str, identity: &str| {
        RoomCall::PerformRpc(proto::PerformRpcRequest {
            room: room.to_owned(),
            destination_identity: identity.to_owned(),
            ..Default::default()
        })
    };
    let create = proto::CreateRoomRequest { name: "a\nb".to_owned(), ..Default::default() };
    let cases = [
        (RoomCall::GetParticipant(who("bob")), ErrorCode::ParticipantNotFound),
        (mute("bob", "TR_222222222222"), ErrorCode::ParticipantNotFound),
        (mute("alice", "TR_222222222222"), ErrorCode::TrackNotFound),
        (mute("alice", "nonsense"), ErrorCode::TrackNotFound),
        (rpc("room", "bob"), ErrorCode::ParticipantNotFound),
        (rpc("elsewhere", "bob"), ErrorCode::RoomNotFound),
        (RoomCall::CreateRoom(create), ErrorCode::InvalidArgument),
    ];
    for (call, code) in cases {
        let refused = world.call(call.clone()).await.unwrap_err();
        assert_eq!(refused.code, code, "{call:?}");
    }
    let refused = world.call_of("other", RoomCall::GetParticipant(who("alice"))).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::RoomNotFound, "rooms of other apps are not there");
}

#[tokio::test]
async fn a_participant_that_does_not_answer_an_rpc_times_out() {
    let world = World::start().await;
    let (_alice, _) = world.join("alice").await;
    let rpc = proto::PerformRpcRequest {
        room: "room".to_owned(),
        destination_identity: "alice".to_owned(),
        method: "m".to_owned(),
        response_timeout_ms: 100,
        ..Default::default()
    };
    let refused = world.call(RoomCall::PerformRpc(rpc)).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Timeout);
}

#[tokio::test]
async fn the_rooms_of_a_deleted_app_end() {
    let world = World::start().await;
    let (mut alice, _) = world.join("alice").await;
    world.grant("bob", |grant| grant.app = "other".parse().unwrap());
    let (_bob, _) = world.join_as_granted("bob").await;
    world.call(RoomCall::CloseAll).await.unwrap_done();
    assert_eq!(alice.leave().await.reason(), proto::DisconnectReason::RoomDeleted);
    let others = world.call_of("other", RoomCall::ListRooms(Default::default())).await;
    assert!(matches!(others, Ok(RoomAnswer::Rooms(rooms)) if rooms.len() == 1));
}

trait UnwrapDone {
    fn unwrap_done(self);
}

impl UnwrapDone for rtc_api::cluster::Answer<RoomAnswer> {
    fn unwrap_done(self) {
        assert!(matches!(self, Ok(RoomAnswer::Done)), "{self:?}");
    }
}
