//! A control plane of a test's own: its store, its clock, its bus and its port.

use std::{sync::Arc, time::Duration};

use prometheus_client::registry::Registry;
use reqwest::{Method, StatusCode, header::HeaderMap};
use rtc_api::{
    cluster::{
        Answer, AppChanged, ControlRequest, NodeRequest, RoomAnswer, SUBJECT_APP_CHANGED,
        SUBJECT_CONTROL, subject_node,
    },
    code::{ErrorCode, Refusal},
    rest::apps::{AppCreate, AppView},
};
use rtc_backends::{
    Bus, Db, DbConfig,
    bus::{Requests, Subscription},
};
use rtc_control::{
    Caller, Clock, Context, Control, ControlConfig, ControlLimits, DevPair, Error, Secret, apps,
    webhooks::WebhooksConfig,
};
use rtc_model::{AppId, AppKind, NodeId, RandomBits};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};

/// The clock's first reading: 2023-11-14T22:13:20Z.
pub(crate) const NOW_S: u64 = 1_700_000_000;
pub(crate) const ADMIN_TOKEN: &str = "the-admin-token-of-this-test";
/// Longer than anything here takes on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) cx: Context,
    pub(crate) clock: Clock,
    pub(crate) bus: Bus,
    pub(crate) node: NodeId,
    pub(crate) base: String,
    metrics: Registry,
    control: Control,
    client: reqwest::Client,
    serving: JoinHandle<()>,
    _dir: TempDir,
}

/// An answer over HTTP.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

struct Fixed;

impl RandomBits for Fixed {
    fn next_bits(&mut self) -> u64 {
        0x0123_4567_89AB_CDEF
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&DbConfig::Sqlite { path: dir.path().join("a.db") }).await.unwrap();
        let bus = Bus::in_process();
        let node = NodeId::random(&mut Fixed);
        let clock = Clock::manual(i64::try_from(NOW_S).unwrap() * 1_000);
        let config = ControlConfig {
            admin_token: Secret::new(ADMIN_TOKEN),
            public_url: "http://127.0.0.1:7880/".into(),
            base_domain: "localhost".into(),
            dev_pair: Some(DevPair::customary()),
            limits: ControlLimits::default(),
            webhooks: WebhooksConfig::default(),
            clock: clock.clone(),
        };
        let mut metrics = Registry::default();
        let control = Control::start(config, db, bus.clone(), node, &mut metrics).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = control.router();
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let client = reqwest::Client::builder().no_proxy().timeout(SOON).build().unwrap();
        let cx = control.context().clone();
        Self { cx, clock, bus, node, base, metrics, control, client, serving, _dir: dir }
    }

    /// Moves the clock to so many seconds after [`NOW_S`].
    pub(crate) fn at(&self, seconds: i64) {
        self.clock.set_ms((i64::try_from(NOW_S).unwrap() + seconds) * 1_000);
    }

    pub(crate) async fn app(&self, name: &str) -> AppView {
        let new = AppCreate { name: name.into(), kind: AppKind::Other };
        apps::create(&self.cx, &Caller::Operator, &new).await.unwrap()
    }

    /// Asks the control plane as a node does.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        request: &ControlRequest,
    ) -> Result<T, Refusal> {
        let body = serde_json::to_vec(request).unwrap();
        let answer = self.bus.request(SUBJECT_CONTROL, body, SOON).await.unwrap();
        serde_json::from_slice::<Answer<T>>(&answer).unwrap()
    }

    /// Answers what the control plane asks the node, one after the other.
    pub(crate) fn play_node(
        &self,
        answer: impl Fn(NodeRequest) -> Result<RoomAnswer, ErrorCode> + Send + Sync + 'static,
    ) -> JoinHandle<()> {
        let mut requests: Requests = self.bus.serve(&subject_node(self.node), 8).unwrap();
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                let asked = serde_json::from_slice(&request.body).unwrap();
                let answered: Answer<RoomAnswer> = answer(asked).map_err(Refusal::from);
                request.reply(serde_json::to_vec(&answered).unwrap());
            }
        })
    }

    /// The metrics as a scrape would see them.
    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.metrics).unwrap();
        text
    }

    pub(crate) fn announcements(&self) -> Announcements {
        Announcements(self.bus.subscribe(SUBJECT_APP_CHANGED, 64))
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Reply {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        Reply::of(request).await
    }

    /// A request to complete by hand.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    pub(crate) async fn stop(self) {
        self.serving.abort();
        self.control.shutdown(SOON).await;
    }
}

impl Reply {
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() };
        Self { status, headers, body }
    }

    /// Status, code and sentence of a refusal, for tables.
    pub(crate) fn line(&self) -> String {
        let text = |name: &str| self.body[name].as_str().unwrap_or_default().to_owned();
        format!("{} {}: {}", self.status.as_u16(), text("code"), text("detail"))
    }
}

/// The apps announced as changed.
pub(crate) struct Announcements(Subscription);

impl Announcements {
    pub(crate) async fn next(&mut self) -> AppId {
        let body = tokio::time::timeout(SOON, self.0.next()).await.unwrap().unwrap();
        serde_json::from_slice::<AppChanged>(&body).unwrap().app
    }
}

/// The code of a refused operation.
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorCode {
    result.unwrap_err().code()
}
