//! A running node, a control plane that grants by table, and a client.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::{SinkExt as _, StreamExt as _};
use prometheus_client::registry::Registry;
use prost::Message as _;
use rtc_api::{
    cluster::{
        Answer, ControlRequest, JoinGrant, MintedToken, NodeRequest, RoomAnswer, RoomCall,
        RoomEvent, RoomSettings, SUBJECT_CONTROL, SUBJECT_ROOM_EVENTS, subject_node,
    },
    code::{ErrorCode, Refusal},
    proto::{self, signal_request::Message as Ask, signal_response::Message as Told},
};
use rtc_backends::bus::Bus;
use rtc_model::{AppId, Identity, ParticipantKind, Permissions, RoomName};
use rtc_node::{Node, NodeConfig};
use tokio::{net::TcpStream, sync::mpsc, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Error as WsError, Message as Frame},
};

/// How long anything may take before the test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A node with everything around it.
pub(crate) struct World {
    pub(crate) node: Option<Node>,
    pub(crate) http: SocketAddr,
    pub(crate) bus: Bus,
    pub(crate) grants: Grants,
    pub(crate) registry: Registry,
    events: mpsc::Receiver<RoomEvent>,
    node_subject: String,
}

/// What the control plane answers, by token.
pub(crate) type Grants = Arc<Mutex<BTreeMap<String, Answer<JoinGrant>>>>;

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut NodeConfig)) -> Self {
        let bus = Bus::in_process();
        let grants = Grants::default();
        serve_control(&bus, Arc::clone(&grants));
        let events = collect_events(&bus);
        let mut config = NodeConfig {
            media: SocketAddr::from(([127, 0, 0, 1], 0)),
            threads: std::num::NonZeroUsize::new(2),
            ..NodeConfig::default()
        };
        change(&mut config);
        let mut registry = Registry::default();
        let node = Node::start(config, bus.clone(), &mut registry).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = listener.local_addr().unwrap();
        let service: IntoMakeServiceWithConnectInfo<_, SocketAddr> =
            node.router().into_make_service_with_connect_info();
        tokio::spawn(async move { axum::serve(listener, service).await });
        let node_subject = subject_node(node.id());
        Self { node: Some(node), http, bus, grants, registry, events, node_subject }
    }

    /// Lets the bearer of `token` join as told by `change`.
    pub(crate) fn grant(&self, token: &str, change: impl FnOnce(&mut JoinGrant)) {
        let mut grant = grant(token);
        change(&mut grant);
        self.grants.lock().unwrap().insert(token.to_owned(), Ok(grant));
    }

    /// Refuses the bearer of `token`.
    pub(crate) fn refuse(&self, token: &str, code: ErrorCode) {
        self.grants.lock().unwrap().insert(token.to_owned(), Err(code.into()));
    }

    /// A participant that has joined by `/rtc`, named like its token.
    pub(crate) async fn join(&self, identity: &str) -> (Client, proto::JoinResponse) {
        self.grant(identity, |_| {});
        self.join_as_granted(identity).await
    }

    pub(crate) async fn join_as_granted(&self, token: &str) -> (Client, proto::JoinResponse) {
        let mut client = self.connect(&format!("/rtc?access_token={token}&protocol=17")).await;
        match client.next().await {
            Some(Told::Join(join)) => (client, join),
            other => panic!("not a join response: {other:?}"),
        }
    }

    pub(crate) async fn connect(&self, path: &str) -> Client {
        let url = format!("ws://{}{path}", self.http);
        match tokio_tungstenite::connect_async(url).await {
            Ok((socket, _)) => Client { socket },
            Err(error) => panic!("{path} was refused: {error}"),
        }
    }

    /// The status and body with which a connection is refused.
    pub(crate) async fn refused(&self, path: &str) -> (u16, String) {
        let url = format!("ws://{}{path}", self.http);
        match tokio_tungstenite::connect_async(url).await {
            Err(WsError::Http(response)) => {
                let body = response.body().clone().unwrap_or_default();
                (response.status().as_u16(), String::from_utf8(body).unwrap())
            }
            other => panic!("{path} was not refused: {other:?}"),
        }
    }

    /// A plain request: status line and headers, and the body.
    pub(crate) async fn get(&self, path: &str) -> (String, String) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = TcpStream::connect(self.http).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_lowercase(), body.to_owned())
    }

    /// A call of the control plane.
    pub(crate) async fn call(&self, call: RoomCall) -> Answer<RoomAnswer> {
        self.call_of("app", call).await
    }

    pub(crate) async fn call_of(&self, app: &str, call: RoomCall) -> Answer<RoomAnswer> {
        let request = NodeRequest { app: AppId::new(app).unwrap(), call };
        let body = serde_json::to_vec(&request).unwrap();
        let answer = self.bus.request(&self.node_subject, body, PATIENCE).await.unwrap();
        serde_json::from_slice(&answer).unwrap()
    }

    /// The next event of this name; others before it are passed over.
    pub(crate) async fn event(&mut self, name: &str) -> proto::WebhookEvent {
        let wanted = async {
            loop {
                let event = self.events.recv().await.unwrap();
                if event.event.event == name {
                    return event.event;
                }
            }
        };
        timeout(PATIENCE, wanted).await.unwrap_or_else(|_| panic!("no event {name}"))
    }

    /// A metric's value as it stands now.
    pub(crate) fn metric(&self, line: &str) -> Option<u64> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let line = text.lines().find_map(|each| each.strip_prefix(line)?.strip_prefix(' '))?;
        line.parse().ok()
    }

    /// Waits until a metric has reached a value.
    pub(crate) async fn metric_reaches(&self, line: &str, value: u64) {
        let reached = async {
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            while self.metric(line).is_none_or(|now| now < value) {
                tick.tick().await;
            }
        };
        let reached = timeout(PATIENCE, reached).await;
        assert!(reached.is_ok(), "{line} is {:?}, not {value}", self.metric(line));
    }
}

/// One signalling connection, from the client's side.
pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Client {
    /// The next message; `None` when the connection has ended.
    pub(crate) async fn next(&mut self) -> Option<Told> {
        loop {
            let frame = timeout(PATIENCE, self.socket.next()).await.expect("the server is silent");
            match frame {
                Some(Ok(Frame::Binary(bytes))) => {
                    return proto::SignalResponse::decode(bytes).unwrap().message;
                }
                Some(Ok(Frame::Text(text))) => {
                    let response: proto::SignalResponse = serde_json::from_str(&text).unwrap();
                    return response.message;
                }
                Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => {}
                Some(Ok(Frame::Close(_)) | Err(_)) | None => return None,
            }
        }
    }

    /// The first message for which `wanted` gives something; others before it are passed over.
    pub(crate) async fn until<T>(&mut self, wanted: impl Fn(Told) -> Option<T>) -> T {
        let found = async {
            loop {
                let message = self.next().await.expect("the connection has ended");
                if let Some(found) = wanted(message) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, found).await.expect("the message did not come")
    }

    /// The leave request, after which the client closes the connection, as clients do.
    pub(crate) async fn leave(&mut self) -> proto::LeaveRequest {
        let leave =
            self.until(|told| if let Told::Leave(leave) = told { Some(leave) } else { None }).await;
        self.socket.close(None).await.unwrap();
        leave
    }

    pub(crate) async fn ask(&mut self, ask: Ask) {
        let request = proto::SignalRequest { message: Some(ask) };
        self.send(Frame::Binary(request.encode_to_vec().into())).await;
    }

    pub(crate) async fn send(&mut self, frame: Frame) {
        self.socket.send(frame).await.unwrap();
    }

    /// Ends the connection without a word.
    pub(crate) fn cut(self) {
        drop(self);
    }
}

/// What a token of this name lets its bearer do.
fn grant(token: &str) -> JoinGrant {
    JoinGrant {
        app: AppId::new("app").unwrap(),
        room: RoomName::new("room").unwrap(),
        identity: Identity::new(token).unwrap(),
        name: token.to_uppercase(),
        metadata: String::new(),
        attributes: BTreeMap::new(),
        kind: ParticipantKind::Standard,
        permissions: Permissions::default(),
        app_disabled: false,
        expires_at_s: u64::MAX,
        room_settings: RoomSettings::default(),
    }
}

/// The `join_request` of a client that says this.
pub(crate) fn join_request(request: &proto::JoinRequest) -> String {
    let wrapped = proto::WrappedJoinRequest {
        compression: proto::wrapped_join_request::Compression::None.into(),
        join_request: request.encode_to_vec(),
    };
    URL_SAFE_NO_PAD.encode(wrapped.encode_to_vec())
}

fn serve_control(bus: &Bus, grants: Grants) {
    let mut requests = bus.serve(SUBJECT_CONTROL, 16).unwrap();
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            let answer = match serde_json::from_slice(&request.body).unwrap() {
                ControlRequest::AuthorizeJoin { token } => {
                    let unknown = || Err(Refusal::from(ErrorCode::TokenInvalid));
                    let granted = grants.lock().unwrap().get(&token).cloned();
                    serde_json::to_vec(&granted.unwrap_or_else(unknown)).unwrap()
                }
                ControlRequest::RefreshToken { grant } => {
                    let token = format!("fresh token of {}", grant.name);
                    let minted: Answer<MintedToken> = Ok(MintedToken { token });
                    serde_json::to_vec(&minted).unwrap()
                }
            };
            request.reply(answer);
        }
    });
}

fn collect_events(bus: &Bus) -> mpsc::Receiver<RoomEvent> {
    let mut subscription = bus.subscribe(SUBJECT_ROOM_EVENTS, 1_024);
    let (sender, events) = mpsc::channel(1_024);
    tokio::spawn(async move {
        while let Some(event) = subscription.next().await {
            if sender.send(serde_json::from_slice(&event).unwrap()).await.is_err() {
                return;
            }
        }
    });
    events
}
