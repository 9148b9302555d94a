use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, Request as HttpRequest, StatusCode},
};
use futures_util::StreamExt;
use prost::Message;
use rtc_api::{
    cluster::{Answer, NodeRequest, RoomAnswer, RoomCall, subject_node},
    proto,
    token::{self, Claims, VideoGrants},
};
use rtc_backends::{Bus, Db, DbConfig, db::AppChange, db::NewApp};
use rtc_model::{AppId, AppKey, AppKind, AppStatus, NodeId, RandomBits};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::{Clock, ControlConfig, ControlLimits, DevPair, Secret, webhooks::WebhooksConfig};

const NOW_S: u64 = 1_800_000_000;
const NOW_MS: i64 = 1_800_000_000_000;
const APP: &str = "0123456789abcdef0123456789abcdef";
const APP_KEY: &str = "the app's own key";

struct OsBits;

impl RandomBits for OsBits {
    fn next_bits(&mut self) -> u64 {
        rand::random()
    }
}

/// A store on disk, removed with everything in it at the end of the test.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// The service before a bus on which the test itself is the node.
struct World {
    _directory: Directory,
    cx: Context,
    router: Router,
    asked: Arc<Mutex<Vec<NodeRequest>>>,
}

struct Reply {
    status: StatusCode,
    content_type: String,
    body: Bytes,
}

impl Reply {
    fn json(&self) -> Value {
        assert_eq!(self.content_type, "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Status, Twirp's code and ours.
    fn error(&self) -> (u16, String, String) {
        let body = self.json();
        assert!(!body["msg"].as_str().unwrap().is_empty());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (self.status.as_u16(), text(&body["code"]), text(&body["meta"]["code"]))
    }
}

impl World {
    /// The node answers every call with `answer`.
    async fn new(answer: fn(&RoomCall) -> Answer<RoomAnswer>) -> Self {
        let name = format!("rtc-control-twirp-{:x}", rand::random::<u128>());
        let directory = Directory(std::env::temp_dir().join(name));
        std::fs::create_dir(&directory.0).unwrap();
        let path = directory.0.join("db");
        let db = Db::open(&DbConfig::Sqlite { path }).await.unwrap();
        let new = NewApp {
            id: AppId::new(APP).unwrap(),
            name: "shop".to_owned(),
            kind: AppKind::Other,
            key: AppKey::new(APP_KEY),
            signature_tolerance_s: 600,
            created_at_ms: NOW_MS,
        };
        db.apps().insert(&new).await.unwrap();
        let config = ControlConfig {
            admin_token: Secret::new("the admin token"),
            public_url: "http://127.0.0.1:7880".to_owned(),
            base_domain: "localhost".to_owned(),
            dev_pair: Some(DevPair::customary()),
            limits: ControlLimits::default(),
            webhooks: WebhooksConfig::default(),
            clock: Clock::manual(NOW_MS),
        };
        let cx = Context::new(&config, db, Bus::in_process(), NodeId::random(&mut OsBits));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut requests = cx.bus.serve(&subject_node(cx.settings.node), 16).unwrap();
        let seen = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                let read: NodeRequest = serde_json::from_slice(&request.body).unwrap();
                let reply = serde_json::to_vec(&answer(&read.call)).unwrap();
                seen.lock().unwrap().push(read);
                request.reply(reply);
            }
        });
        Self { _directory: directory, router: router(cx.clone()), cx, asked }
    }

    async fn send(&self, request: HttpRequest<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let content_type = &response.headers()[header::CONTENT_TYPE];
        let content_type = content_type.to_str().unwrap().to_owned();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        Reply { status, content_type, body }
    }

    async fn call(&self, method: &str, token: &str, body: impl ToString) -> Reply {
        self.send(post(method, "application/json", token, body.to_string())).await
    }

    fn asked(&self) -> Vec<NodeRequest> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn post(method: &str, content_type: &str, token: &str, body: impl Into<Body>) -> HttpRequest<Body> {
    HttpRequest::post(format!("/twirp/livekit.RoomService/{method}"))
        .header(header::CONTENT_TYPE, content_type)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(body.into())
        .unwrap()
}

fn signed(app: &str, key: &str, exp: u64, video: VideoGrants) -> String {
    let claims =
        Claims { iss: app.to_owned(), exp: Some(exp), video: Some(video), ..Claims::default() };
    token::mint(&claims, key.as_bytes()).unwrap()
}

fn token(video: VideoGrants) -> String {
    signed("devkey", "secret", NOW_S + 60, video)
}

fn admin(room: &str) -> String {
    token(VideoGrants { room_admin: true, room: room.to_owned(), ..VideoGrants::default() })
}

fn creator() -> String {
    token(VideoGrants { room_create: true, ..VideoGrants::default() })
}

fn lister() -> String {
    token(VideoGrants { room_list: true, ..VideoGrants::default() })
}

fn participant() -> proto::ParticipantInfo {
    let attributes = [("under_score".to_owned(), "x".to_owned())].into();
    proto::ParticipantInfo {
        sid: "PA_1".to_owned(),
        identity: "ada".to_owned(),
        joined_at: 7,
        attributes,
        ..Default::default()
    }
}

/// A node on which everything works.
#[expect(clippy::unnecessary_wraps, reason = "nodes may refuse; this one does not")]
fn willing(call: &RoomCall) -> Answer<RoomAnswer> {
    Ok(match call {
        RoomCall::CreateRoom(_) | RoomCall::UpdateRoomMetadata(_) => {
            RoomAnswer::Room(proto::Room { sid: "RM_1".to_owned(), ..Default::default() })
        }
        RoomCall::ListRooms(_) => RoomAnswer::Rooms(vec![proto::Room::default()]),
        RoomCall::ListParticipants(_) => RoomAnswer::Participants(vec![participant()]),
        RoomCall::GetParticipant(_) | RoomCall::UpdateParticipant(_) => {
            RoomAnswer::Participant(participant())
        }
        RoomCall::MutePublishedTrack(request) => RoomAnswer::Track(proto::TrackInfo {
            sid: request.track_sid.clone(),
            muted: request.muted,
            ..Default::default()
        }),
        RoomCall::PerformRpc(request) => {
            RoomAnswer::Rpc(proto::PerformRpcResponse { payload: request.payload.clone() })
        }
        RoomCall::DeleteRoom(_)
        | RoomCall::RemoveParticipant(_)
        | RoomCall::UpdateSubscriptions(_)
        | RoomCall::SendData(_)
        | RoomCall::CloseAll => RoomAnswer::Done,
    })
}

fn without_rooms(_: &RoomCall) -> Answer<RoomAnswer> {
    Err(ErrorCode::RoomNotFound.into())
}

#[expect(clippy::unnecessary_wraps, reason = "nodes may refuse; this one is only confused")]
fn confused(_: &RoomCall) -> Answer<RoomAnswer> {
    Ok(RoomAnswer::Rooms(Vec::new()))
}

/// Every method with its token, a request and the answer to it, in JSON.
fn calls() -> Vec<(Method, String, Value, Value)> {
    let person = json!({"room": "a", "identity": "ada"});
    let whole = json!({
        "sid": "PA_1", "identity": "ada", "joinedAt": "7", "attributes": {"under_score": "x"},
    });
    let with = |mut request: Value, name: &str, value: Value| {
        request[name] = value;
        request
    };
    let muted = with(with(person.clone(), "trackSid", json!("TR_1")), "muted", json!(true));
    let rpc = json!({"room": "a", "destinationIdentity": "ada", "method": "m", "payload": "p"});
    let room = json!({"sid": "RM_1"});
    vec![
        (Method::CreateRoom, creator(), json!({"name": "a"}), room.clone()),
        (Method::ListRooms, lister(), json!({}), json!({"rooms": [{}]})),
        (Method::DeleteRoom, creator(), json!({"room": "a"}), json!({})),
        (
            Method::ListParticipants,
            admin("a"),
            json!({"room": "a"}),
            json!({"participants": [whole.clone()]}),
        ),
        (Method::GetParticipant, admin("a"), person.clone(), whole.clone()),
        (Method::RemoveParticipant, admin("a"), person.clone(), json!({})),
        (
            Method::MutePublishedTrack,
            admin("a"),
            muted,
            json!({"track": {"sid": "TR_1", "muted": true}}),
        ),
        (
            Method::UpdateParticipant,
            admin("a"),
            with(person.clone(), "attributes", json!({"b_c": "d"})),
            whole,
        ),
        (
            Method::UpdateSubscriptions,
            admin("a"),
            with(person, "trackSids", json!(["TR_1"])),
            json!({}),
        ),
        (Method::SendData, admin("a"), json!({"room": "a", "data": "/w=="}), json!({})),
        (Method::UpdateRoomMetadata, admin("a"), json!({"room": "a", "metadata": "m"}), room),
        (Method::PerformRpc, admin("a"), rpc, json!({"payload": "p"})),
    ]
}

#[tokio::test]
async fn every_method_asks_the_node_in_its_app_s_name_and_gives_its_answer() {
    let world = World::new(willing).await;
    for (method, token, request, answer) in calls() {
        let reply = world.call(method.as_str(), &token, &request).await;
        assert_eq!((reply.status, reply.json()), (StatusCode::OK, answer), "{method:?}");
        let asked = world.asked();
        assert_eq!(asked.len(), 1, "{method:?}");
        assert_eq!(asked[0].app.as_str(), "devkey");
    }
}

#[tokio::test]
async fn protobuf_is_answered_with_protobuf() {
    let world = World::new(willing).await;
    let request = proto::RoomParticipantIdentity {
        room: "a".to_owned(),
        identity: "ada".to_owned(),
        ..Default::default()
    };
    let body = request.encode_to_vec();
    let request = post("GetParticipant", "application/protobuf", &admin("a"), body);
    let reply = world.send(request).await;
    assert_eq!(
        (reply.status, reply.content_type.as_str()),
        (StatusCode::OK, "application/protobuf")
    );
    assert_eq!(proto::ParticipantInfo::decode(reply.body), Ok(participant()));
    let request = post("GetParticipant", "application/protobuf", &admin("b"), vec![0x0a, 1, b'a']);
    assert_eq!(world.send(request).await.error().0, 403, "errors are JSON all the same");
}

#[tokio::test]
async fn every_method_refuses_every_token_that_is_not_its_own() {
    let world = World::new(willing).await;
    let everything = |room: &str| VideoGrants {
        room_create: true,
        room_list: true,
        room_admin: true,
        room_join: true,
        room: room.to_owned(),
        ..VideoGrants::default()
    };
    for (method, own, request, _) in calls() {
        let others = VideoGrants {
            room_create: method.permission() != crate::Permission::RoomCreate,
            room_list: method.permission() != crate::Permission::RoomList,
            room_admin: method.permission() != crate::Permission::RoomAdmin,
            ..everything("a")
        };
        let mut forbidden = vec![token(others), token(VideoGrants::default())];
        if method.permission() == crate::Permission::RoomAdmin {
            forbidden.extend(["b", "", "A", "a "].map(|room| token(everything(room))));
        }
        for token in forbidden {
            let error = world.call(method.as_str(), &token, &request).await.error();
            let wanted = (403, "permission_denied".to_owned(), "forbidden".to_owned());
            assert_eq!(error, wanted, "{method:?} {token}");
        }
        let tampered = own.replacen('.', ".e", 1);
        let unusable = [
            (signed("devkey", "other", NOW_S + 60, everything("a")), "token_invalid"),
            (signed("devkey", "secret", NOW_S - 120, everything("a")), "token_expired"),
            (signed("nobody", "secret", NOW_S + 60, everything("a")), "app_not_found"),
            (signed(APP, "secret", NOW_S + 60, everything("a")), "token_invalid"),
            (tampered, "token_invalid"),
            ("the admin token".to_owned(), "token_invalid"),
            (String::new(), "token_invalid"),
        ];
        for (token, code) in unusable {
            let error = world.call(method.as_str(), &token, &request).await.error();
            let wanted = (401, "unauthenticated".to_owned(), code.to_owned());
            assert_eq!(error, wanted, "{method:?} {token}");
        }
        let mut anonymous = post(method.as_str(), "application/json", "", request.to_string());
        anonymous.headers_mut().remove(header::AUTHORIZATION);
        let error = world.send(anonymous).await.error();
        assert_eq!((error.0, error.2.as_str()), (401, "unauthenticated"));
    }
    assert!(world.asked().is_empty(), "no refused call reached the node");
}

#[tokio::test]
async fn an_app_s_token_works_in_its_own_rooms() {
    let world = World::new(willing).await;
    let grants = VideoGrants { room_list: true, ..VideoGrants::default() };
    let own = signed(APP, APP_KEY, NOW_S + 60, grants);
    assert_eq!(world.call("ListRooms", &own, "{}").await.status, StatusCode::OK);
    assert_eq!(world.asked()[0].app.as_str(), APP);
}

#[tokio::test]
async fn a_disabled_app_opens_no_rooms_but_can_end_them() {
    let world = World::new(willing).await;
    let app = AppId::new(APP).unwrap();
    let change = AppChange { status: Some(AppStatus::Disabled), ..AppChange::default() };
    world.cx.db.apps().update(&app, &change, NOW_MS).await.unwrap();
    let grants = VideoGrants { room_create: true, ..VideoGrants::default() };
    let token = signed(APP, APP_KEY, NOW_S + 60, grants);
    let error = world.call("CreateRoom", &token, json!({"name": "a"})).await.error();
    assert_eq!((error.0, error.2.as_str()), (403, "app_disabled"));
    let reply = world.call("DeleteRoom", &token, json!({"room": "a"})).await;
    assert_eq!(reply.status, StatusCode::OK);
}

#[tokio::test]
async fn values_out_of_range_are_named() {
    let world = World::new(willing).await;
    let long = "x".repeat(257);
    let large = "x".repeat(64 * 1024 + 1);
    let person = |name: &str, value: Value| {
        let mut request = json!({"room": "a", "identity": "ada"});
        request[name] = value;
        request
    };
    let rpc = |name: &str, value: Value| {
        let mut request = json!({"room": "a", "destinationIdentity": "ada", "method": "m"});
        request[name] = value;
        request
    };
    let data = |name: &str, value: Value| {
        let mut request = json!({"room": "a"});
        request[name] = value;
        request
    };
    let crowd: Vec<String> = (0..1001).map(|i| i.to_string()).collect();
    let cases = [
        ("CreateRoom", json!({}), "name"),
        ("CreateRoom", json!({"name": "a\nb"}), "name"),
        ("CreateRoom", json!({"name": long}), "name"),
        ("CreateRoom", json!({"name": "a", "metadata": large}), "metadata"),
        ("CreateRoom", json!({"name": "a", "tags": {"b": large}}), "tags"),
        ("DeleteRoom", json!({}), "room"),
        ("ListParticipants", json!({}), "room"),
        ("GetParticipant", person("identity", json!("")), "identity"),
        ("RemoveParticipant", person("identity", json!(long)), "identity"),
        ("UpdateParticipant", person("metadata", json!(large)), "metadata"),
        ("UpdateParticipant", person("name", json!(long)), "name"),
        ("UpdateParticipant", person("attributes", json!({"b": large})), "attributes"),
        ("UpdateRoomMetadata", json!({"room": "a", "metadata": large}), "metadata"),
        ("SendData", data("data", json!("A".repeat(88_000))), "data"),
        ("SendData", data("nonce", json!("AAAA")), "nonce"),
        ("SendData", data("destinationIdentities", json!(crowd)), "destination_identities"),
        ("PerformRpc", rpc("destinationIdentity", json!("")), "destination_identity"),
        ("PerformRpc", rpc("method", json!("")), "method"),
        ("PerformRpc", rpc("payload", json!("x".repeat(15 * 1024 + 1))), "payload"),
        ("PerformRpc", rpc("responseTimeoutMs", json!(60_001)), "response_timeout_ms"),
    ];
    for (method, request, argument) in cases {
        let need = Method::named(method).unwrap().permission();
        let token = if need == crate::Permission::RoomCreate { creator() } else { admin("a") };
        let reply = world.call(method, &token, &request).await;
        let error = reply.error();
        assert_eq!((error.0, error.1.as_str()), (400, "invalid_argument"), "{method} {argument}");
        assert_eq!(reply.json()["meta"]["argument"], argument, "{method}");
    }
    assert!(world.asked().is_empty());
}

#[tokio::test]
async fn what_does_not_exist_yet_says_so_instead_of_silently_not_happening() {
    let world = World::new(willing).await;
    let move_ = json!({"room": "a", "identity": "b", "destinationRoom": "c"});
    let cases = [
        ("ForwardParticipant", admin("a"), move_.clone()),
        ("MoveParticipant", admin("a"), move_),
        ("CreateRoom", creator(), json!({"name": "a", "egress": {}})),
        ("CreateRoom", creator(), json!({"name": "a", "agents": [{"agentName": "b"}]})),
        ("CreateRoom", creator(), json!({"name": "a", "roomPreset": "b"})),
        ("CreateRoom", creator(), json!({"name": "a", "replayEnabled": true})),
    ];
    for (method, token, request) in cases {
        let error = world.call(method, &token, &request).await.error();
        assert_eq!((error.0, error.1.as_str()), (501, "unimplemented"), "{request}");
    }
    let egress = HttpRequest::post("/twirp/livekit.Egress/ListEgress").body(Body::empty()).unwrap();
    assert_eq!(world.send(egress).await.error().0, 501);
    assert!(world.asked().is_empty());
}

#[tokio::test]
async fn wrong_paths_methods_and_content_types_are_bad_routes() {
    let world = World::new(willing).await;
    let request = |method: &str, path: &str, content_type: &str| {
        HttpRequest::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, content_type)
            .header(header::AUTHORIZATION, format!("Bearer {}", lister()))
            .body(Body::from("{}"))
            .unwrap()
    };
    let rooms = "/twirp/livekit.RoomService/ListRooms";
    let json = "application/json";
    for request in [
        request("GET", rooms, json),
        request("PUT", rooms, json),
        request("POST", rooms, "text/plain"),
        request("POST", rooms, "application/x-www-form-urlencoded"),
        request("POST", "/twirp/livekit.RoomService/listRooms", json),
        request("POST", "/twirp/livekit.RoomService/Nothing", json),
        request("POST", "/twirp/livekit.Nothing/ListRooms", json),
        request("POST", "/twirp/livekit.RoomService", json),
        request("POST", "/twirp/a/b/c/d", json),
        request("POST", "/twirp", json),
    ] {
        let shown = format!("{request:?}");
        let error = world.send(request).await.error();
        assert_eq!((error.0, error.1.as_str()), (404, "bad_route"), "{shown}");
    }
}

#[tokio::test]
async fn bodies_are_bounded_whether_announced_or_not_and_broken_ones_are_malformed() {
    let world = World::new(willing).await;
    let max = world.cx.limits.body_bytes_max;
    let large = format!("{{}}{}", " ".repeat(max));
    let mut announced = post("ListRooms", "application/json", &lister(), "{}");
    announced.headers_mut().insert(header::CONTENT_LENGTH, (body::DRAINED_BYTES_MAX + 1).into());
    let chunks = futures_util::stream::iter(large.as_bytes().chunks(1000).map(<[u8]>::to_vec))
        .map(Ok::<_, std::io::Error>)
        .collect::<Vec<_>>()
        .await;
    let streamed = Body::from_stream(futures_util::stream::iter(chunks));
    for request in [
        announced,
        post("ListRooms", "application/json", &lister(), large),
        post("ListRooms", "application/json", &lister(), streamed),
    ] {
        let error = world.send(request).await.error();
        assert_eq!((error.0, error.2.as_str()), (413, "too_large"));
    }
    let full = format!("{{}}{}", " ".repeat(max - 2));
    assert_eq!(world.call("ListRooms", &lister(), full).await.status, StatusCode::OK);

    let broken = futures_util::stream::iter([
        Ok(b"{".to_vec()),
        Err(std::io::Error::other("the connection broke")),
    ]);
    for body in [Body::from("{"), Body::from(""), Body::from_stream(broken)] {
        let error = world.send(post("ListRooms", "application/json", &lister(), body)).await;
        let (status, kind, _) = error.error();
        assert!(matches!(kind.as_str(), "malformed" | "invalid_argument"), "{kind}");
        assert_eq!(status, 400);
    }
}

#[tokio::test]
async fn a_node_s_refusal_is_passed_on_except_that_nobody_is_in_a_room_that_is_not_open() {
    let world = World::new(without_rooms).await;
    for (method, token, request, _) in calls() {
        let reply = world.call(method.as_str(), &token, &request).await;
        if method == Method::ListParticipants {
            assert_eq!((reply.status, reply.json()), (StatusCode::OK, json!({})));
        } else {
            let error = reply.error();
            assert_eq!((error.0, error.2.as_str()), (404, "room_not_found"), "{method:?}");
        }
    }
}

#[tokio::test]
async fn a_node_that_answers_something_else_is_our_fault() {
    let world = World::new(confused).await;
    for (method, token, request, _) in calls() {
        if method != Method::ListRooms {
            let error = world.call(method.as_str(), &token, &request).await.error();
            assert_eq!((error.0, error.1.as_str()), (500, "internal"), "{method:?}");
        }
    }
}

#[tokio::test]
async fn without_a_node_the_service_is_unavailable() {
    let mut world = World::new(willing).await;
    let bus = Bus::in_process();
    world.router = router(Context { bus, ..world.cx.clone() });
    let error = world.call("ListRooms", &lister(), "{}").await.error();
    assert_eq!((error.0, error.1.as_str()), (503, "unavailable"));
}

#[tokio::test]
async fn reserved_bytes_in_the_authorization_header_are_no_token() {
    let world = World::new(willing).await;
    for value in [&b"\xff\xfe"[..], b"Basic ZGV2a2V5OnNlY3JldA==", b"Bearer", b"Bearer  "] {
        let mut request = post("ListRooms", "application/json", "", "{}");
        let value = HeaderValue::from_bytes(value).unwrap();
        request.headers_mut().insert(header::AUTHORIZATION, value);
        assert_eq!(world.send(request).await.error().0, 401);
    }
}
