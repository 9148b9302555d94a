//! Who gets in, and what the others are told.

use rtc_api::{
    cluster::{AppChanged, SUBJECT_APP_CHANGED},
    code::ErrorCode,
    proto::{self, signal_response::Message as Told},
};
use rtc_model::AppId;

use crate::support::{World, join_request};

#[tokio::test]
async fn the_join_response_has_what_clients_need() {
    let world = World::start().await;
    world.grant("alice", |grant| {
        grant.metadata = "m".to_owned();
        grant.attributes.insert("k".to_owned(), "v".to_owned());
    });
    let (_client, join) = world.join_as_granted("alice").await;
    let info = join.server_info.unwrap();
    assert_eq!((info.version.as_str(), info.protocol), ("1.13.5", 17));
    assert_eq!(join.server_version, "1.13.5", "Android reads this one");
    assert!(info.node_id.starts_with("ND_"));
    assert!(join.subscriber_primary, "two connections and a right to subscribe");
    assert!(join.fast_publish);
    assert_eq!((join.ping_interval, join.ping_timeout), (5, 15));
    assert_eq!(join.enabled_publish_codecs[0].mime, "video/VP8");
    assert!(!join.sif_trailer.is_empty());
    let room = join.room.unwrap();
    assert!(room.sid.starts_with("RM_"));
    assert_eq!(room.name, "room");
    let participant = join.participant.unwrap();
    assert!(participant.sid.starts_with("PA_"));
    assert_eq!((participant.identity.as_str(), participant.name.as_str()), ("alice", "ALICE"));
    assert_eq!(participant.metadata, "m");
    assert_eq!(participant.attributes["k"], "v");
    assert!(participant.version > 0 && participant.joined_at > 0);
    let permission = participant.permission.unwrap();
    assert!(permission.can_publish && permission.can_subscribe && permission.can_publish_data);
}

#[tokio::test]
async fn a_single_connection_is_never_led_by_the_server() {
    let world = World::start().await;
    world.grant("alice", |_| {});
    let request = proto::JoinRequest {
        client_info: Some(proto::ClientInfo { protocol: 17, ..Default::default() }),
        metadata: "from the client".to_owned(),
        participant_attributes: [("k".to_owned(), "v".to_owned())].into(),
        ..Default::default()
    };
    let path = format!("/rtc/v1?access_token=alice&join_request={}", join_request(&request));
    let mut client = world.connect(&path).await;
    let Some(Told::Join(join)) = client.next().await else { panic!("not a join response") };
    assert!(!join.subscriber_primary);
    let participant = join.participant.unwrap();
    assert_eq!(participant.metadata, "from the client");
    assert_eq!(participant.attributes["k"], "v");
}

#[tokio::test]
async fn refusals_are_statuses_with_a_sentence_and_a_code() {
    let world = World::start().await;
    let cases = [
        ("/rtc", 401, "unauthenticated"),
        ("/rtc?access_token=unknown", 401, "token_invalid"),
        ("/rtc?access_token=expired", 401, "token_expired"),
        ("/rtc?access_token=no-app", 401, "app_not_found"),
        ("/rtc?access_token=disabled", 403, "app_disabled"),
        ("/rtc/v1?access_token=good", 400, "invalid_argument"),
        ("/rtc/v1?access_token=good&join_request=%21", 400, "invalid_argument"),
        ("/rtc?access_token=good&attributes=%21", 400, "invalid_argument"),
    ];
    world.grant("good", |_| {});
    world.grant("disabled", |grant| grant.app_disabled = true);
    world.refuse("expired", ErrorCode::TokenExpired);
    world.refuse("no-app", ErrorCode::AppNotFound);
    for (path, status, code) in cases {
        let (refused, body) = world.refused(path).await;
        assert_eq!(refused, status, "{path}: {body}");
        assert!(body.ends_with(&format!(" [{code}]")), "{path}: {body}");
        let validate = path.replacen("?", "/validate?", 1);
        let validate = if path == "/rtc" { "/rtc/validate".to_owned() } else { validate };
        let (head, body) = world.get(&validate).await;
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{validate}: {head}");
        assert!(head.contains("access-control-allow-origin: *"), "{validate}: {head}");
        assert!(body.contains(code), "{validate}: {body}");
    }
}

#[tokio::test]
async fn validate_says_success_and_paths_may_have_two_slashes() {
    let world = World::start().await;
    world.grant("good", |_| {});
    let request = join_request(&proto::JoinRequest::default());
    for path in [
        "/rtc/validate?access_token=good".to_owned(),
        "//rtc/validate?access_token=good".to_owned(),
        format!("/rtc/v1/validate?access_token=good&join_request={request}"),
        format!("//rtc/v1/validate?access_token=good&join_request={request}"),
    ] {
        let (head, body) = world.get(&path).await;
        assert!(head.starts_with("http/1.1 200 "), "{path}: {head}");
        assert_eq!(body, "success", "{path}");
    }
    let mut client = world.connect("//rtc?access_token=good").await;
    assert!(matches!(client.next().await, Some(Told::Join(_))));
    let (head, _) = world.get("/rtc?access_token=good").await;
    assert!(head.starts_with("http/1.1 404 "), "no WebSocket: {head}");
}

#[tokio::test]
async fn a_request_line_of_forty_kilobytes_is_taken() {
    let world = World::start().await;
    world.grant("good", |_| {});
    let request = proto::JoinRequest { metadata: "m".repeat(30_000), ..Default::default() };
    let path = format!("/rtc/v1?access_token=good&join_request={}", join_request(&request));
    assert!(path.len() > 40_000);
    let mut client = world.connect(&path).await;
    assert!(matches!(client.next().await, Some(Told::Join(_))));
}

#[tokio::test]
async fn a_full_room_refuses_newcomers_and_says_so_to_validate() {
    let world = World::start().await;
    world.grant("a", |grant| grant.room_settings.participants_max = Some(1));
    let (_a, join) = world.join_as_granted("a").await;
    assert_eq!(join.room.unwrap().max_participants, 1);
    world.grant("b", |_| {});
    let (status, body) = world.refused("/rtc?access_token=b").await;
    assert_eq!(status, 403);
    assert!(body.contains("room_full"), "{body}");
    let (head, body) = world.get("/rtc/validate?access_token=b").await;
    assert!(head.starts_with("http/1.1 403 "), "{head}");
    assert!(body.contains("room_full"), "{body}");
    assert_eq!(world.metric("joins_total{outcome=\"room_full\"}"), Some(1));
}

#[tokio::test]
async fn joins_from_one_address_are_limited() {
    let world =
        World::start_with(|config| config.limits.joins_per_address_per_second_max = 1).await;
    world.grant("a", |_| {});
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(world.connect("/rtc?access_token=a").await);
    }
    let (status, body) = world.refused("/rtc?access_token=a").await;
    assert_eq!(status, 429);
    assert!(body.contains("rate_limited"), "{body}");
}

#[tokio::test]
async fn people_of_a_disabled_app_stay_and_come_back_but_nobody_enters() {
    let world = World::start().await;
    let (client, join) = world.join("alice").await;
    let sid = join.participant.unwrap().sid;
    world.grant("alice", |grant| grant.app_disabled = true);
    let changed = AppChanged { app: AppId::new("app").unwrap() };
    world.bus.publish(SUBJECT_APP_CHANGED, serde_json::to_vec(&changed).unwrap());
    client.cut();
    let resume = format!("/rtc?access_token=alice&protocol=17&reconnect=1&sid={sid}");
    let mut back = world.connect(&resume).await;
    assert!(matches!(back.next().await, Some(Told::Reconnect(_))));
    // The answer from before the change may be remembered until the node has heard of it.
    let refused = async {
        loop {
            let (head, _) = world.get("/rtc/validate?access_token=alice").await;
            if head.starts_with("http/1.1 403 ") {
                return;
            }
        }
    };
    tokio::time::timeout(crate::support::PATIENCE, refused).await.unwrap();
    let (status, body) = world.refused("/rtc?access_token=alice").await;
    assert_eq!(status, 403, "{body}");
}

#[tokio::test]
async fn rooms_of_different_apps_are_apart_though_named_alike() {
    let world = World::start().await;
    let (_a, first) = world.join("a").await;
    world.grant("b", |grant| grant.app = AppId::new("other").unwrap());
    let (_b, second) = world.join_as_granted("b").await;
    assert_ne!(first.room.unwrap().sid, second.room.unwrap().sid);
    assert!(second.other_participants.is_empty());
}
