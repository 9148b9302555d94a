use rtc_api::{
    cluster::{RoomAnswer, RoomCall},
    code::ErrorCode,
    proto,
};
use rtc_control::{Caller, rooms};
use rtc_model::{AppId, RoomName};

use crate::world::{World, code};

const OPERATOR: Caller = Caller::Operator;

fn room(name: &str) -> proto::Room {
    proto::Room {
        sid: format!("RM_{name}"),
        name: name.into(),
        num_participants: 2,
        num_publishers: 1,
        creation_time: 1_700_000_000,
        ..Default::default()
    }
}

fn participant(sid: &str, joined_at_ms: i64) -> proto::ParticipantInfo {
    let track = proto::TrackInfo {
        sid: "TR_1".into(),
        r#type: proto::TrackType::Video.into(),
        source: proto::TrackSource::ScreenShare.into(),
        width: 640,
        height: 360,
        mime_type: "video/VP8".into(),
        ..Default::default()
    };
    proto::ParticipantInfo {
        sid: sid.into(),
        identity: format!("id-{sid}"),
        state: proto::participant_info::State::Active.into(),
        joined_at_ms,
        tracks: vec![track],
        ..Default::default()
    }
}

#[tokio::test]
async fn rooms_and_participants_are_what_the_node_says_in_our_words() {
    let world = World::start().await;
    let app = world.app("class").await.app_id;
    let owner = app.clone();
    let node = world.play_node(move |request| {
        assert_eq!(request.app, owner);
        match request.call {
            RoomCall::ListRooms(_) => Ok(RoomAnswer::Rooms(vec![room("b"), room("a")])),
            RoomCall::ListParticipants(asked) if asked.room == "a" => {
                let late = participant("PA_2", 1_700_000_000_500);
                Ok(RoomAnswer::Participants(vec![late, participant("PA_1", 1_700_000_000_250)]))
            }
            _ => Err(ErrorCode::RoomNotFound),
        }
    });
    let list = rooms::list(&world.cx, &OPERATOR, &app).await.unwrap();
    let names: Vec<&str> = list.items.iter().map(|room| room.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(list.items[0].created_at, "2023-11-14T22:13:20.000Z");
    assert_eq!((list.items[0].participants, list.items[0].publishers), (2, 1));

    let inside = RoomName::new("a").unwrap();
    let people = rooms::participants(&world.cx, &OPERATOR, &app, &inside).await.unwrap().items;
    let sids: Vec<&str> = people.iter().map(|person| person.sid.as_str()).collect();
    assert_eq!(sids, ["PA_1", "PA_2"]);
    assert_eq!((people[0].state.as_str(), people[0].identity.as_str()), ("active", "id-PA_1"));
    assert_eq!(people[0].joined_at, "2023-11-14T22:13:20.250Z");
    let track = &people[0].tracks[0];
    assert_eq!((track.kind.as_str(), track.source.as_str()), ("video", "screen_share"));

    let elsewhere = RoomName::new("c").unwrap();
    let refused = rooms::participants(&world.cx, &OPERATOR, &app, &elsewhere).await;
    assert_eq!(code(refused), ErrorCode::RoomNotFound);
    node.abort();
    world.stop().await;
}

#[tokio::test]
async fn without_an_app_or_a_node_there_is_nothing_to_list() {
    let world = World::start().await;
    let app = world.app("class").await.app_id;
    let unknown = AppId::new("nobody").unwrap();
    let refused = code(rooms::list(&world.cx, &OPERATOR, &unknown).await);
    assert_eq!(refused, ErrorCode::AppNotFound);
    let refused = code(rooms::list(&world.cx, &OPERATOR, &app).await);
    assert_eq!(refused, ErrorCode::Unavailable);
    let refused = code(rooms::list(&world.cx, &Caller::Anonymous, &app).await);
    assert_eq!(refused, ErrorCode::Unauthenticated);
    // An answer to another question is our bug, and told as such.
    let node = world.play_node(|_| Ok(RoomAnswer::Done));
    assert_eq!(code(rooms::list(&world.cx, &OPERATOR, &app).await), ErrorCode::Internal);
    node.abort();
    world.stop().await;
}
