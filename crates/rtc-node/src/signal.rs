//! Signalling: the WebSockets at `/rtc` and `/rtc/v1`, and what surrounds them.
//!
//! ```text
//! request ─▶ address, rate ─▶ parameters ─▶ control: may it join? ─▶ packet thread: enter or come back
//!                                                                        │
//!                     refusals so far are HTTP statuses                  ▼
//!                                                        upgrade ─▶ session::Session
//! ```
//!
//! Both paths lead into the same session; they differ in how the parameters are written and in the topology.

mod authorization;
mod client_address;
mod join_request;
mod parameters;
mod rate;
mod session;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Instant, SystemTime},
};

use axum::{
    Router,
    extract::{State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header, request::Parts};
use rtc_api::{
    cluster::JoinGrant,
    code::{ErrorCode, Refusal},
};
use rtc_media::command::{Join, Resume, SessionNumber, Topology};
use rtc_model::{Identity, ParticipantId};
use tokio::sync::mpsc;

pub(crate) use self::authorization::Authorizer;
use self::{
    parameters::{JoinParameters, Version},
    rate::JoinRates,
    session::{Opening, Session},
};
use crate::{
    metrics::JoinOutcome,
    node::Context,
    proto::request,
    registry::Entering,
    thread::{Enter, Entered, Return, Returned, RoomKey, SESSION_QUEUE, ThreadCommand},
};

/// What signalling needs beside the node's context.
pub(crate) struct Signalling {
    pub(crate) authorizer: Authorizer,
    join_rates: JoinRates,
    sessions: AtomicU64,
}

impl Signalling {
    pub(crate) fn new(authorizer: Authorizer, joins_per_second_max: u32) -> Self {
        let join_rates = JoinRates::new(joins_per_second_max);
        Self { authorizer, join_rates, sessions: AtomicU64::new(1) }
    }

    fn next_session(&self) -> SessionNumber {
        SessionNumber(self.sessions.fetch_add(1, Ordering::Relaxed))
    }
}

/// The paths of signalling. Some clients write two slashes when the server's URL ends with one.
pub(crate) fn router(context: Arc<Context>) -> Router {
    let mut router = Router::new();
    for slashes in ["/", "//"] {
        router = router
            .route(&format!("{slashes}rtc"), get(connect_v0))
            .route(&format!("{slashes}rtc/v1"), get(connect_v1))
            .route(&format!("{slashes}rtc/validate"), get(validate_v0))
            .route(&format!("{slashes}rtc/v1/validate"), get(validate_v1));
    }
    router.with_state(context)
}

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

async fn connect_v0(State(cx): State<Arc<Context>>, upgrade: Upgrade, parts: Parts) -> Response {
    connect(cx, Version::V0, upgrade, &parts).await
}

async fn connect_v1(State(cx): State<Arc<Context>>, upgrade: Upgrade, parts: Parts) -> Response {
    connect(cx, Version::V1, upgrade, &parts).await
}

async fn validate_v0(State(cx): State<Arc<Context>>, parts: Parts) -> Response {
    validate(&cx, Version::V0, &parts).await
}

async fn validate_v1(State(cx): State<Arc<Context>>, parts: Parts) -> Response {
    validate(&cx, Version::V1, &parts).await
}

/// Tells a client whose WebSocket failed why.
async fn validate(cx: &Context, version: Version, parts: &Parts) -> Response {
    let judged = async {
        let parameters = parameters::read(version, parts)?;
        if let Some(refusal) = cx.signalling.authorizer.recent_refusal(&parameters.token) {
            return Err(refusal);
        }
        let grant = cx.signalling.authorizer.authorize(&parameters.token).await?;
        may_enter(&grant, &parameters)
    };
    match judged.await {
        Ok(()) => with_cors((StatusCode::OK, "success").into_response()),
        Err(refusal) => refused(&refusal),
    }
}

async fn connect(cx: Arc<Context>, version: Version, upgrade: Upgrade, parts: &Parts) -> Response {
    let Ok(upgrade) = upgrade else {
        let text = "This address speaks WebSocket only.";
        return with_cors((StatusCode::NOT_FOUND, text).into_response());
    };
    match Box::pin(admit(&cx, version, parts)).await {
        Ok(opening) => {
            let session = Session::new(Arc::clone(&cx), opening);
            let bytes_max = cx.config.limits.signal_bytes_max;
            let running = cx.tasks.token();
            upgrade.max_message_size(bytes_max).max_frame_size(bytes_max).on_upgrade(
                async move |socket| {
                    session.run(socket).await;
                    drop(running);
                },
            )
        }
        Err(refusal) => {
            cx.metrics.join(JoinOutcome::Refused(refusal.code));
            refused(&refusal)
        }
    }
}

/// Everything up to the upgrade.
async fn admit(cx: &Context, version: Version, parts: &Parts) -> Result<Opening, Refusal> {
    let address = client_address::of(parts, &cx.config.trusted_proxies);
    if let Some(address) = address
        && !cx.signalling.join_rates.take(Instant::now(), address)
    {
        let detail = "Too many joins from this address; wait a moment.";
        return Err(Refusal::new(ErrorCode::RateLimited, detail));
    }
    let parameters = parameters::read(version, parts)?;
    let authorizer = &cx.signalling.authorizer;
    let grant = authorizer.authorize(&parameters.token).await?;
    let token = parameters.token.clone();
    let admitted = async {
        may_enter(&grant, &parameters)?;
        if parameters.returning.is_some() {
            Ok(come_back(cx, grant, parameters).await)
        } else {
            enter(cx, grant, parameters).await
        }
    };
    let admitted = admitted.await;
    if let Err(refusal) = &admitted {
        authorizer.remember_refusal(&token, refusal);
    }
    admitted
}

/// A disabled app's people may come back, but nobody may enter.
fn may_enter(grant: &JoinGrant, parameters: &JoinParameters) -> Result<(), Refusal> {
    if grant.app_disabled && parameters.returning.is_none() {
        return Err(ErrorCode::AppDisabled.into());
    }
    Ok(())
}

async fn enter(
    cx: &Context,
    mut grant: JoinGrant,
    parameters: JoinParameters,
) -> Result<Opening, Refusal> {
    if let Some(metadata) = &parameters.metadata {
        grant.metadata.clone_from(metadata);
    }
    grant.attributes.extend(parameters.attributes.clone());
    let session = cx.signalling.next_session();
    let publish = parameters.publish.iter().filter_map(request::publish).collect();
    let join = Join {
        session,
        identity: grant.identity.clone(),
        name: grant.name.clone(),
        metadata: grant.metadata.clone(),
        attributes: grant.attributes.clone(),
        kind: grant.kind,
        permissions: grant.permissions.clone(),
        topology: parameters.topology,
        auto_subscribe: parameters.auto_subscribe,
        adaptive_stream: parameters.adaptive_stream,
        joined_at: SystemTime::now(),
        protocol: parameters.protocol,
        stream_per_track: parameters.is_firefox,
        publish,
        offer: parameters.offer.as_ref().map(request::description),
    };
    let key = RoomKey { app: grant.app.clone(), name: grant.room.clone() };
    let (thread, ticket) = cx.registry.enter(&key, Entering::Participant)?;
    let thread = cx.thread(thread)?.clone();
    let (events, queue) = mpsc::channel(SESSION_QUEUE);
    let settings = grant.room_settings.clone();
    let entered = thread
        .ask(|reply| {
            ThreadCommand::Enter(Box::new(Enter { key, ticket, settings, join, events, reply }))
        })
        .await;
    let Entered { room, joined } = entered??;
    Ok(Opening::joined(thread, room, session, joined, grant, &parameters, queue))
}

/// Comes back, or opens a session that only tells the client to rejoin.
async fn come_back(cx: &Context, grant: JoinGrant, parameters: JoinParameters) -> Opening {
    let session = cx.signalling.next_session();
    let key = RoomKey { app: grant.app.clone(), name: grant.room.clone() };
    let participant = parameters.returning.as_ref().and_then(|sid| sid.parse().ok());
    let thread = cx.registry.find(&key).and_then(|index| cx.thread(index).ok().cloned());
    let (Some(participant), Some(thread)) = (participant, thread) else {
        return Opening::not_resumable();
    };
    let resume = resume(session, participant, grant.identity.clone(), parameters.topology);
    let (events, queue) = mpsc::channel(SESSION_QUEUE);
    let returned = thread
        .ask(|reply| ThreadCommand::Return(Box::new(Return { key, resume, events, reply })))
        .await;
    match returned {
        Ok(Ok(returned)) => {
            let Returned { room, joined, gone, last_sequence, sabotage } = returned;
            let opening = Opening::joined(thread, room, session, joined, grant, &parameters, queue);
            opening.returning(gone, last_sequence, sabotage, parameters)
        }
        Ok(Err(_)) | Err(_) => Opening::not_resumable(),
    }
}

fn resume(
    session: SessionNumber,
    participant: ParticipantId,
    identity: Identity,
    topology: Topology,
) -> Resume {
    Resume { session, participant, identity, topology }
}

/// A refusal as clients show it: the status tells them whether to try again, the text is for a person, and
/// the code in brackets for a program.
fn refused(refusal: &Refusal) -> Response {
    let status = match refusal.code {
        // A 404 would tell newer clients that this path does not exist here.
        ErrorCode::AppNotFound => StatusCode::UNAUTHORIZED,
        // Clients pass on the text of 401 and 403 only.
        ErrorCode::RoomFull | ErrorCode::QuotaExceeded => StatusCode::FORBIDDEN,
        code => {
            StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
        }
    };
    let text = format!("{} [{}]", refusal.detail, refusal.code.as_str());
    let mut response = with_cors((status, text).into_response());
    // A refused client opens a new connection anyway; meanwhile an idle one would hold on to the buffers that its
    // join request, up to a hundred kilobytes, was read into.
    let close = http::HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

fn with_cors(mut response: Response) -> Response {
    let any = http::HeaderValue::from_static("*");
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
    response
}
