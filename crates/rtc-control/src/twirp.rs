//! LiveKit's `RoomService` over Twirp (wire protocol v7): `POST /twirp/livekit.RoomService/{method}`.
//!
//! Translates only: the token becomes a [`Caller`], the body a request, the node's answer a body.
//! What a call needs and what it asks the node stands in `calls`.

use axum::{
    Router,
    extract::{Path, Request, State},
    http::{Method as HttpMethod, header},
    response::{IntoResponse, Response},
    routing::any,
};
use rtc_api::code::{ErrorCode, Refusal};

use crate::{Caller, Context, auth, body};

mod calls;
mod codec;
mod error;
mod method;

#[cfg(test)]
mod tests;

use codec::Encoding;
use error::TwirpError;
use method::Method;

/// `/twirp/*`.
pub(crate) fn router(cx: Context) -> Router {
    Router::new()
        .route("/twirp/{service}/{method}", any(handle))
        .route("/twirp", any(no_route))
        .route("/twirp/{service}", any(no_route))
        .route("/twirp/{service}/{method}/{*rest}", any(no_route))
        .with_state(cx)
}

async fn handle(
    State(cx): State<Context>,
    Path((service, method)): Path<(String, String)>,
    request: Request,
) -> Response {
    match answer(&cx, &service, &method, request).await {
        Ok(response) => response,
        Err(error) => {
            let (kind, code) = (error.kind().as_str(), error.code().as_str());
            tracing::debug!(kind, code, method, "a RoomService call was refused");
            error.into_response()
        }
    }
}

async fn no_route() -> TwirpError {
    TwirpError::bad_route("the path must be /twirp/livekit.RoomService/{method}")
}

async fn answer(
    cx: &Context,
    service: &str,
    method: &str,
    request: Request,
) -> Result<Response, TwirpError> {
    let method = route(service, method, request.method())?;
    let (head, body) = request.into_parts();
    let encoding = Encoding::of(&head.headers)?;
    let authorization = head.headers.get(header::AUTHORIZATION);
    let authorization = authorization.and_then(|value| value.to_str().ok());
    let caller = auth::app_server(cx, authorization).await.map_err(told)?;
    if matches!(caller, Caller::Anonymous) {
        return Err(ErrorCode::Unauthenticated.into());
    }
    let body = body::read(&head.headers, body, cx.limits.body_bytes_max).await?;
    let answer = calls::carry_out(cx, &caller, method, encoding, &body).await?;
    Ok(([(header::CONTENT_TYPE, encoding.content_type())], answer).into_response())
}

/// What the path names.
fn route(service: &str, method: &str, http: &HttpMethod) -> Result<Method, TwirpError> {
    if OTHER_SERVICES.contains(&service) {
        let detail = format!("{service} is not available in this version.");
        return Err(Refusal::new(ErrorCode::Unimplemented, detail).into());
    }
    if service != ROOM_SERVICE {
        return Err(TwirpError::bad_route(format!("there is only the service {ROOM_SERVICE}")));
    }
    let found = Method::named(method)
        .ok_or_else(|| TwirpError::bad_route(format!("{ROOM_SERVICE} has no such method")))?;
    if http != HttpMethod::POST {
        return Err(TwirpError::bad_route("only POST is possible"));
    }
    Ok(found)
}

/// Logs what is ours to look at, and says the rest to the caller.
fn told(error: crate::Error) -> TwirpError {
    error.log();
    error.refusal().into()
}

const ROOM_SERVICE: &str = "livekit.RoomService";
/// LiveKit's other services, whose SDK clients deserve a better answer than "no such path".
const OTHER_SERVICES: [&str; 7] = [
    "livekit.AgentDispatchService",
    "livekit.AgentService",
    "livekit.Connector",
    "livekit.Egress",
    "livekit.Ingress",
    "livekit.PhoneNumberService",
    "livekit.SIP",
];
