//! What a session hears and says.

use std::time::Duration;

use rtc_api::{
    cluster::RoomCall,
    proto::{
        self, leave_request::Action, participant_info::State, request_response::Reason,
        signal_request::Message as Ask, signal_response::Message as Told,
        simulate_scenario::Scenario,
    },
};
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::support::{PATIENCE, World, join_request};

fn update(told: Told) -> Option<Vec<proto::ParticipantInfo>> {
    if let Told::Update(update) = told { Some(update.participants) } else { None }
}

fn response(told: Told) -> Option<proto::RequestResponse> {
    if let Told::RequestResponse(response) = told { Some(response) } else { None }
}

#[tokio::test]
async fn participants_hear_of_each_other_coming_and_going() {
    let mut world = World::start().await;
    let (mut alice, _) = world.join("alice").await;
    let (mut bob, join) = world.join("bob").await;
    assert_eq!(join.other_participants[0].identity, "alice");
    let seen = alice.until(update).await;
    assert_eq!((seen[0].identity.as_str(), seen[0].state()), ("bob", State::Joined));
    bob.ask(Ask::Leave(proto::LeaveRequest::default())).await;
    let gone = alice
        .until(|told| update(told)?.into_iter().find(|info| info.state() == State::Disconnected))
        .await;
    assert_eq!(gone.identity, "bob");
    assert_eq!(gone.disconnect_reason(), proto::DisconnectReason::ClientInitiated);
    assert_eq!(world.event("room_started").await.room.unwrap().name, "room");
    let left = world.event("participant_connection_aborted").await.participant.unwrap();
    assert_eq!((left.identity.as_str(), left.state()), ("bob", State::Disconnected));
}

#[tokio::test]
async fn the_same_identity_takes_the_place_of_its_earlier_stay() {
    let world = World::start().await;
    let (mut first, before) = world.join("alice").await;
    let (_second, after) = world.join("alice").await;
    let leave = first.leave().await;
    assert_eq!(leave.reason(), proto::DisconnectReason::DuplicateIdentity);
    assert_eq!(leave.action(), Action::Disconnect);
    assert_eq!(first.next().await, None, "the connection ends");
    assert_ne!(before.participant.unwrap().sid, after.participant.unwrap().sid);
    assert!(after.other_participants.is_empty());
}

#[tokio::test]
async fn pings_are_answered_in_milliseconds() {
    let world = World::start().await;
    let (mut alice, _) = world.join("alice").await;
    alice.ask(Ask::Ping(5)).await;
    let pong = alice.until(|told| if let Told::Pong(at) = told { Some(at) } else { None }).await;
    assert!((1_600_000_000_000..10_000_000_000_000).contains(&pong), "{pong}");
    alice.ask(Ask::PingReq(proto::Ping { timestamp: 77, rtt: 3 })).await;
    let pong =
        alice.until(|told| if let Told::PongResp(pong) = told { Some(pong) } else { None }).await;
    assert_eq!(pong.last_ping_timestamp, 77);
    assert!((1_600_000_000_000..10_000_000_000_000).contains(&pong.timestamp));
}

#[tokio::test]
async fn text_frames_are_answered_in_json() {
    let world = World::start().await;
    let (mut alice, _) = world.join("alice").await;
    alice.send(Frame::Text(r#"{"pingReq":{"timestamp":"9"}}"#.into())).await;
    let pong =
        alice.until(|told| if let Told::PongResp(pong) = told { Some(pong) } else { None }).await;
    assert_eq!(pong.last_ping_timestamp, 9);
}

#[tokio::test]
async fn a_change_of_name_needs_the_right_and_is_answered() {
    let world = World::start().await;
    world.grant("alice", |grant| grant.permissions.can_update_metadata = true);
    let (mut alice, _) = world.join_as_granted("alice").await;
    let (mut bob, _) = world.join("bob").await;
    let change = |request_id| {
        Ask::UpdateMetadata(proto::UpdateParticipantMetadata {
            name: "New".to_owned(),
            attributes: [("k".to_owned(), "v".to_owned())].into(),
            request_id,
            ..Default::default()
        })
    };
    bob.ask(change(1)).await;
    let refused = bob.until(response).await;
    assert_eq!((refused.request_id, refused.reason()), (1, Reason::NotAllowed));
    alice.ask(change(2)).await;
    let taken = alice.until(response).await;
    assert_eq!((taken.request_id, taken.reason()), (2, Reason::Ok));
    let renamed = bob.until(|told| update(told)?.into_iter().find(|info| info.name == "New")).await;
    assert_eq!((renamed.identity.as_str(), renamed.attributes["k"].as_str()), ("alice", "v"));
    // A name in the token must be the present one when the client comes back with it.
    let token = alice
        .until(|told| if let Told::RefreshToken(token) = told { Some(token) } else { None })
        .await;
    assert_eq!(token, "fresh token of New");
}

#[tokio::test]
async fn what_may_not_or_cannot_be_published_is_refused_by_name() {
    let world = World::start().await;
    world.grant("mute", |grant| grant.permissions.can_publish = false);
    let (mut mute, _) = world.join_as_granted("mute").await;
    let track = proto::AddTrackRequest { cid: "c1".to_owned(), ..Default::default() };
    mute.ask(Ask::AddTrack(track.clone())).await;
    let refused = mute.until(response).await;
    assert_eq!(refused.reason(), Reason::NotAllowed);
    assert_eq!(refused.request, Some(proto::request_response::Request::AddTrack(track)));
    let data = proto::PublishDataTrackRequest { pub_handle: 1, ..Default::default() };
    mute.ask(Ask::PublishDataTrackRequest(data)).await;
    assert_eq!(mute.until(response).await.reason(), Reason::UnsupportedType);
}

#[tokio::test]
async fn a_broken_connection_is_resumed_and_told_what_happened_meanwhile() {
    let world = World::start().await;
    let (alice, join) = world.join("alice").await;
    let sid = join.participant.unwrap().sid;
    let (mut bob, _) = world.join("bob").await;
    let (_carol, _) = world.join("carol").await;
    alice.cut();
    bob.ask(Ask::Leave(proto::LeaveRequest::default())).await;
    while bob.next().await.is_some() {}

    let path = format!("/rtc?access_token=alice&protocol=17&reconnect=1&sid={sid}");
    let mut back = world.connect(&path).await;
    let Some(Told::Reconnect(reconnect)) = back.next().await else { panic!("not a reconnect") };
    assert_eq!(reconnect.server_info.unwrap().version, "1.13.5");
    let snapshot = back.until(update).await;
    let state = |identity: &str| {
        snapshot.iter().find(|info| info.identity == identity).map(proto::ParticipantInfo::state)
    };
    assert_eq!(state("bob"), Some(State::Disconnected));
    assert_eq!(state("carol"), Some(State::Joined));
    assert!(snapshot.iter().any(|info| info.sid == sid), "itself too");
    back.until(|told| if let Told::RoomUpdate(_) = told { Some(()) } else { None }).await;
    assert_eq!(world.metric("joins_total{outcome=\"resumed\"}"), Some(1));
}

#[tokio::test]
async fn a_resume_takes_over_from_a_connection_that_seems_alive() {
    let world = World::start().await;
    let (mut alice, join) = world.join("alice").await;
    let sid = join.participant.unwrap().sid;
    let path = format!("/rtc?access_token=alice&protocol=17&reconnect=1&sid={sid}");
    let mut back = world.connect(&path).await;
    assert!(matches!(back.next().await, Some(Told::Reconnect(_))));
    while let Some(told) = alice.next().await {
        assert!(!matches!(told, Told::Leave(_)), "the old connection ends without a word");
    }
    back.ask(Ask::Ping(1)).await;
    back.until(|told| if let Told::Pong(_) = told { Some(()) } else { None }).await;
}

#[tokio::test]
async fn what_cannot_be_resumed_is_told_to_join_afresh() {
    let world = World::start().await;
    let (_alice, _) = world.join("alice").await;
    let (_bob, bob) = world.join("bob").await;
    let stranger = bob.participant.unwrap().sid;
    let request = |sid: &str| {
        join_request(&proto::JoinRequest {
            reconnect: true,
            participant_sid: sid.to_owned(),
            ..Default::default()
        })
    };
    world.grant("late", |grant| grant.room = "elsewhere".parse().unwrap());
    let cases = [
        "/rtc?access_token=alice&reconnect=1&sid=PA_222222222222".to_owned(),
        "/rtc?access_token=alice&reconnect=1&sid=".to_owned(),
        "/rtc?access_token=alice&reconnect=1".to_owned(),
        format!("/rtc?access_token=alice&reconnect=1&sid={stranger}"),
        format!("/rtc?access_token=late&reconnect=1&sid={stranger}"),
        format!("/rtc/v1?access_token=alice&join_request={}", request("PA_222222222222")),
        format!("/rtc/v1?access_token=alice&join_request={}", request("")),
    ];
    for path in cases {
        let mut client = world.connect(&path).await;
        let leave = client.leave().await;
        assert_eq!(leave.reason(), proto::DisconnectReason::StateMismatch, "{path}");
        assert_eq!(leave.action(), Action::Reconnect, "{path}");
        assert!(leave.can_reconnect, "for clients older than the action");
        assert_eq!(client.next().await, None, "{path}");
    }
}

#[tokio::test]
async fn simulated_troubles_look_like_real_ones() {
    let world = World::start().await;
    let cases = [
        (Scenario::LeaveRequestFullReconnect(true), Some(Action::Reconnect)),
        (Scenario::Migration(true), Some(Action::Resume)),
        (Scenario::ServerLeave(true), Some(Action::Disconnect)),
        (Scenario::NodeFailure(true), None),
    ];
    for (scenario, action) in cases {
        let (mut alice, _) = world.join("alice").await;
        let simulate = proto::SimulateScenario { scenario: Some(scenario) };
        alice.ask(Ask::Simulate(simulate)).await;
        let mut leave = None;
        while let Some(told) = alice.next().await {
            if let Told::Leave(told) = told {
                leave = Some(told.action());
            }
        }
        assert_eq!(leave, action, "{scenario:?}");
    }
}

#[tokio::test]
async fn a_resume_fails_on_purpose_once() {
    let world = World::start().await;
    let (mut alice, join) = world.join("alice").await;
    let sid = join.participant.unwrap().sid;
    let scenario = Some(Scenario::DisconnectSignalOnResumeNoMessages(true));
    alice.ask(Ask::Simulate(proto::SimulateScenario { scenario })).await;
    alice.ask(Ask::Ping(1)).await;
    alice.until(|told| if let Told::Pong(_) = told { Some(()) } else { None }).await;
    alice.cut();
    let path = format!("/rtc?access_token=alice&protocol=17&reconnect=1&sid={sid}");
    let mut back = world.connect(&path).await;
    assert_eq!(back.next().await, None, "the connection ends without a message");
    let mut back = world.connect(&path).await;
    assert!(matches!(back.next().await, Some(Told::Reconnect(_))));
}

#[tokio::test]
async fn garbage_is_counted_and_harms_nobody() {
    let world = World::start_with(|config| config.limits.signal_bytes_max = 64 * 1024).await;
    let (mut alice, _) = world.join("alice").await;
    for _ in 0..20 {
        alice.send(Frame::Binary(vec![0xFF; 64].into())).await;
        alice.send(Frame::Text("{".into())).await;
    }
    alice.ask(Ask::Trickle(proto::TrickleRequest::default())).await;
    world.metric_reaches("signals_malformed_total", 41).await;
    let (mut bob, _) = world.join("bob").await;
    alice.ask(Ask::Ping(1)).await;
    alice.until(|told| if let Told::Pong(_) = told { Some(()) } else { None }).await;

    alice.send(Frame::Binary(vec![0; 100 * 1024].into())).await;
    while alice.next().await.is_some() {}
    bob.ask(Ask::Ping(1)).await;
    bob.until(|told| if let Told::Pong(_) = told { Some(()) } else { None }).await;
}

#[tokio::test]
async fn an_unusable_offer_ends_only_its_own_session() {
    let world = World::start().await;
    let (mut alice, _) = world.join("alice").await;
    let (mut bob, _) = world.join("bob").await;
    let offer =
        proto::SessionDescription { sdp: "v=0\r\nnonsense".to_owned(), ..Default::default() };
    alice.ask(Ask::Offer(offer.clone())).await;
    assert_eq!(alice.leave().await.action(), Action::Reconnect);
    bob.ask(Ask::Ping(1)).await;
    bob.until(|told| if let Told::Pong(_) = told { Some(()) } else { None }).await;
    world.grant("carol", |_| {});
    let request = proto::JoinRequest { publisher_offer: Some(offer), ..Default::default() };
    let path = format!("/rtc/v1?access_token=carol&join_request={}", join_request(&request));
    let mut carol = world.connect(&path).await;
    assert!(matches!(carol.next().await, Some(Told::Join(_))));
    assert_eq!(carol.leave().await.reason(), proto::DisconnectReason::JoinFailure);
}

#[tokio::test]
async fn a_session_that_asks_too_fast_is_slowed_down_not_cut() {
    let world = World::start().await;
    let (mut alice, _) = world.join("alice").await;
    for n in 0..1_200 {
        alice.ask(Ask::Ping(n)).await;
    }
    let mut pongs = 0;
    while pongs < 1_200 {
        alice.until(|told| if let Told::Pong(_) = told { Some(()) } else { None }).await;
        pongs += 1;
    }
    assert!(world.metric("signals_throttled_total") > Some(0));
}

#[tokio::test]
async fn a_stopping_node_says_goodbye_and_takes_nobody_in() {
    let mut world = World::start().await;
    let (mut alice, _) = world.join("alice").await;
    let (mut bob, _) = world.join("bob").await;
    let node = world.node.take().unwrap();
    let started = std::time::Instant::now();
    let stopped = tokio::spawn(async move { node.shutdown(Duration::from_secs(5)).await });
    for client in [&mut alice, &mut bob] {
        assert_eq!(client.leave().await.reason(), proto::DisconnectReason::ServerShutdown);
        assert_eq!(client.next().await, None);
    }
    tokio::time::timeout(PATIENCE, stopped).await.unwrap().unwrap();
    assert!(started.elapsed() < Duration::from_secs(5), "nobody was cut off");
    world.grant("carol", |_| {});
    let (status, body) = world.refused("/rtc?access_token=carol").await;
    assert_eq!(status, 503, "{body}");
}

#[tokio::test]
async fn an_emptied_room_ends_and_its_name_is_free() {
    let mut world = World::start().await;
    world.grant("alice", |grant| grant.room_settings.departure_timeout_s = Some(0));
    let (mut alice, first) = world.join_as_granted("alice").await;
    alice.ask(Ask::Leave(proto::LeaveRequest::default())).await;
    let finished = world.event("room_finished").await;
    let first = first.room.unwrap().sid;
    assert_eq!(finished.room.unwrap().sid, first);
    let (_alice, second) = world.join_as_granted("alice").await;
    assert_ne!(second.room.unwrap().sid, first);
    let list = world.call(RoomCall::ListRooms(proto::ListRoomsRequest::default())).await;
    assert!(matches!(list, Ok(rtc_api::cluster::RoomAnswer::Rooms(rooms)) if rooms.len() == 1));
}
