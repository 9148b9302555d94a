use std::{path::PathBuf, sync::Mutex, time::Duration};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use rtc_api::{
    cluster::{RoomEvent, SUBJECT_ROOM_EVENTS},
    proto,
    token::UnverifiedToken,
};
use rtc_backends::{Bus, Db, DbConfig, db::NewApp};
use rtc_model::{AppKey, AppKind, NodeId, RandomBits};

use super::*;
use crate::{Clock, ControlConfig, ControlLimits, DevPair, Secret};

const NOW_MS: i64 = 1_800_000_000_000;

struct OsBits;

impl RandomBits for OsBits {
    fn next_bits(&mut self) -> u64 {
        rand::random()
    }
}

/// A store on disk, removed with everything in it at the end of the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let name = format!("rtc-control-webhooks-{:x}", rand::random::<u128>());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// An app owner's server: every path is a receiver of its own.
#[derive(Clone, Default)]
struct Inbox(Arc<Mutex<Vec<Letter>>>);

#[derive(Clone, Debug)]
struct Letter {
    path: String,
    authorization: String,
    body: Bytes,
    event: proto::WebhookEvent,
}

impl Inbox {
    /// Starts the server and gives its address.
    async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/{path}", post(take)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    fn letters(&self, path: &str) -> Vec<Letter> {
        let letters = self.0.lock().unwrap();
        letters.iter().filter(|letter| letter.path == path).cloned().collect()
    }

    /// `event room` of each letter, in order of arrival.
    fn told(&self, path: &str) -> Vec<String> {
        let tell = |event: &proto::WebhookEvent| {
            format!("{} {}", event.event, event.room.as_ref().unwrap().name)
        };
        self.letters(path).iter().map(|letter| tell(&letter.event)).collect()
    }

    async fn until_told(&self, path: &str, wanted: &[&str]) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while self.told(path) != wanted {
            let told = self.told(path);
            assert!(tokio::time::Instant::now() < deadline, "{path} was told {told:?}");
            tokio::task::yield_now().await;
        }
    }
}

async fn take(
    State(inbox): State<Inbox>,
    axum::extract::Path(path): axum::extract::Path<String>,
    headers: HeaderMap,
    body: Bytes,
) {
    let authorization = headers["authorization"].to_str().unwrap().to_owned();
    let event = serde_json::from_slice(&body).unwrap();
    inbox.0.lock().unwrap().push(Letter { path, authorization, body, event });
}

/// A control plane's webhooks at work, with an app in the store beside the development pair.
struct World {
    _directory: Directory,
    cx: Context,
    inbox: Inbox,
    url: String,
    app: AppId,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl World {
    /// `everywhere`: paths of the receivers of all apps.
    async fn start(everywhere: &[&str]) -> Self {
        let directory = Directory::new();
        let inbox = Inbox::default();
        let url = inbox.serve().await;
        let policy = OutboundPolicy::new(Listening::Loopback, Vec::new());
        let webhooks = WebhooksConfig {
            urls: everywhere.iter().map(|path| format!("{url}/{path}")).collect(),
            policy: Arc::new(policy),
        };
        let config = ControlConfig {
            admin_token: Secret::new("admin"),
            public_url: "http://127.0.0.1:7880".to_owned(),
            base_domain: "localhost".to_owned(),
            dev_pair: Some(DevPair::customary()),
            limits: ControlLimits::default(),
            webhooks,
            clock: Clock::manual(NOW_MS),
        };
        let path = directory.0.join("db");
        let db = Db::open(&DbConfig::Sqlite { path }).await.unwrap();
        let app = AppId::new("0123456789abcdef0123456789abcdef").unwrap();
        let new = NewApp {
            id: app.clone(),
            name: "shop".to_owned(),
            kind: AppKind::Other,
            key: AppKey::new("the app's own key"),
            signature_tolerance_s: 600,
            created_at_ms: NOW_MS,
        };
        db.apps().insert(&new).await.unwrap();
        let cx = Context::new(&config, db, Bus::in_process(), NodeId::random(&mut OsBits));
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let mut metrics = Registry::default();
        start(&cx, &config.webhooks, &tasks, &stop, &mut metrics).await.unwrap();
        Self { _directory: directory, cx, inbox, url, app, tasks, stop }
    }

    fn happen(&self, app: &AppId, event: &str, room: &str) {
        let event = proto::WebhookEvent {
            event: event.to_owned(),
            room: Some(proto::Room { name: room.to_owned(), ..Default::default() }),
            ..Default::default()
        };
        let event = RoomEvent { app: app.clone(), event };
        self.cx.bus.publish(SUBJECT_ROOM_EVENTS, serde_json::to_vec(&event).unwrap());
    }

    async fn replace(&self, wanted: &[(&str, &[&str])]) -> Result<WebhookList, Error> {
        let items = wanted
            .iter()
            .map(|(path, events)| NewWebhook {
                url: if path.contains(':') { (*path).to_owned() } else { self.at(path) },
                events: events.iter().map(|&event| event.to_owned()).collect(),
            })
            .collect();
        let wanted = WebhooksReplace { items };
        replace(&self.cx, &Caller::Operator, &self.app, &wanted).await
    }

    fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.url)
    }

    async fn shut_down(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn devkey() -> AppId {
    AppId::new("devkey").unwrap()
}

#[tokio::test]
async fn events_arrive_in_order_complete_and_signed_with_the_key_of_their_app() {
    let world = World::start(&["all"]).await;
    for event in ["room_started", "participant_joined", "room_finished"] {
        world.happen(&devkey(), event, "a");
    }
    world
        .inbox
        .until_told("all", &["room_started a", "participant_joined a", "room_finished a"])
        .await;
    world.happen(&world.app, "room_started", "b");
    let all = ["room_started a", "participant_joined a", "room_finished a", "room_started b"];
    world.inbox.until_told("all", &all).await;
    let letters = world.inbox.letters("all");
    let ids: BTreeSet<&str> = letters.iter().map(|letter| letter.event.id.as_str()).collect();
    assert_eq!(ids.len(), 4);
    let now_s = u64::try_from(NOW_MS / 1000).unwrap();
    for (letter, key) in letters.iter().zip(["secret", "secret", "secret", "the app's own key"]) {
        assert_eq!(letter.event.created_at, NOW_MS / 1000);
        let token = UnverifiedToken::parse(&letter.authorization).unwrap();
        let claims = token.verify(key.as_bytes(), now_s).unwrap();
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &letter.body);
        let hash = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, hash);
        assert_eq!(claims.sha256, hash);
    }
}

#[tokio::test]
async fn an_app_s_receivers_get_its_own_events_of_the_kinds_they_want() {
    let world = World::start(&[]).await;
    let rows = world.replace(&[("every", &[]), ("ends", &["room_finished"])]).await.unwrap();
    assert!(rows.items.iter().all(|row| row.reachable));
    world.happen(&devkey(), "room_started", "not-mine");
    for event in ["room_started", "room_finished"] {
        world.happen(&world.app, event, "mine");
    }
    world.inbox.until_told("every", &["room_started mine", "room_finished mine"]).await;
    world.inbox.until_told("ends", &["room_finished mine"]).await;
}

#[tokio::test]
async fn a_change_of_receivers_counts_from_the_next_event_on() {
    let world = World::start(&[]).await;
    world.replace(&[("old", &[])]).await.unwrap();
    world.happen(&world.app, "room_started", "a");
    world.inbox.until_told("old", &["room_started a"]).await;
    world.replace(&[("new", &[])]).await.unwrap();
    world.happen(&world.app, "room_finished", "a");
    world.inbox.until_told("new", &["room_finished a"]).await;
    world.inbox.until_told("old", &["room_started a"]).await;
    let listed = list(&world.cx, &Caller::Operator, &world.app).await.unwrap();
    let urls: Vec<&str> = listed.items.iter().map(|view| view.url.as_str()).collect();
    assert_eq!(urls, [world.at("new")]);
}

#[tokio::test]
async fn a_receiver_that_is_away_is_kept_and_marked() {
    let world = World::start(&[]).await;
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let rows = world.replace(&[(&format!("http://{gone}/"), &[])]).await.unwrap();
    assert!(!rows.items[0].reachable);
    assert_eq!(list(&world.cx, &Caller::Operator, &world.app).await.unwrap(), rows);
}

#[tokio::test]
async fn receivers_that_cannot_be_are_refused_and_the_old_ones_stay() {
    let world = World::start(&[]).await;
    let kept = world.replace(&[("kept", &[])]).await.unwrap();
    let many: Vec<String> = (0..=PER_APP_MAX).map(|i| world.at(&i.to_string())).collect();
    let many: Vec<(&str, &[&str])> = many.iter().map(|url| (url.as_str(), &[][..])).collect();
    let cases: [&[(&str, &[&str])]; 6] = [
        &[("http://169.254.169.254/", &[])],
        &[("ftp://127.0.0.1:21/", &[])],
        &[("http://me:secret@127.0.0.1/", &[])],
        &[("a", &["room_stated"])],
        &[("a", &[]), ("a", &[])],
        &many,
    ];
    for wanted in cases {
        let error = world.replace(wanted).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument, "{wanted:?}");
    }
    assert_eq!(list(&world.cx, &Caller::Operator, &world.app).await.unwrap(), kept);
    let none = WebhooksReplace::default();
    let nobody = AppId::new("nobody").unwrap();
    let error = replace(&world.cx, &Caller::Operator, &nobody, &none).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::AppNotFound);
    for caller in [Caller::Anonymous, server_of(&world.app)] {
        assert!(replace(&world.cx, &caller, &world.app, &none).await.is_err());
        assert!(list(&world.cx, &caller, &world.app).await.is_err());
    }
}

fn server_of(app: &AppId) -> Caller {
    let grants = rtc_api::token::VideoGrants { room_create: true, ..Default::default() };
    Caller::AppServer { app: app.clone(), grants }
}

#[tokio::test]
async fn events_of_deleted_and_unknown_apps_go_nowhere() {
    let world = World::start(&["all"]).await;
    world.cx.db.apps().delete(&world.app, NOW_MS).await.unwrap();
    world.happen(&world.app, "room_finished", "deleted");
    world.happen(&AppId::new("unknown").unwrap(), "room_started", "unknown");
    world.happen(&devkey(), "room_started", "known");
    let inbox = world.inbox.clone();
    world.shut_down().await;
    assert_eq!(inbox.told("all"), ["room_started known"]);
}

#[tokio::test]
async fn nonsense_on_the_bus_changes_nothing() {
    let world = World::start(&["all"]).await;
    for body in [&b""[..], b"{}", b"\xff", b"null"] {
        world.cx.bus.publish(SUBJECT_ROOM_EVENTS, body.to_vec());
        world.cx.bus.publish(SUBJECT_APP_CHANGED, body.to_vec());
    }
    world.happen(&devkey(), "room_started", "a");
    world.inbox.until_told("all", &["room_started a"]).await;
}

#[tokio::test]
async fn what_was_announced_before_a_shutdown_is_delivered_by_its_end() {
    let world = World::start(&["all"]).await;
    let rooms: Vec<String> = (0..100).map(|i| format!("room-{i:02}")).collect();
    for room in &rooms {
        world.happen(&devkey(), "room_finished", room);
    }
    let inbox = world.inbox.clone();
    world.shut_down().await;
    let mut told = inbox.told("all");
    told.sort();
    let wanted: Vec<String> = rooms.iter().map(|room| format!("room_finished {room}")).collect();
    assert_eq!(told, wanted);
}

#[tokio::test]
async fn a_configured_url_that_is_not_used_stops_the_start() {
    let world = World::start(&[]).await;
    for url in ["no url", "ftp://example.org/", "http://169.254.169.254/"] {
        let config = WebhooksConfig { urls: vec![url.to_owned()], ..WebhooksConfig::default() };
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let mut metrics = Registry::default();
        let error = start(&world.cx, &config, &tasks, &stop, &mut metrics).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument, "{url}");
        assert!(error.to_string().contains(url), "{error}");
    }
}
