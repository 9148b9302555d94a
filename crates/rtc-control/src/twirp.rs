//! LiveKit's `RoomService` over Twirp (wire protocol v7): `POST /twirp/livekit.RoomService/{method}`.
//!
//! Translates only: the token becomes a [`Caller`], the body a request, the node's answer a body.
//! What a call needs and what it asks the node stands in `calls`.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, Request, State},
    http::{HeaderMap, Method as HttpMethod, header},
    response::{IntoResponse, Response},
    routing::any,
};
use futures_util::StreamExt;
use rtc_api::code::{ErrorCode, Refusal};

use crate::{Caller, Context, auth};

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
    let body = read(&head.headers, body, cx.limits.body_bytes_max).await?;
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

/// Reads a body of at most `bytes_max`, within [`BODY_DEADLINE`].
async fn read(headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Vec<u8>, TwirpError> {
    let too_large = || {
        let detail = format!("A request may have {bytes_max} bytes at most.");
        TwirpError::from(Refusal::new(ErrorCode::TooLarge, detail))
    };
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let announced = announced.and_then(|text| text.parse::<u64>().ok());
    if announced.is_some_and(|bytes| usize::try_from(bytes).is_ok_and(|bytes| bytes > bytes_max)) {
        return Err(too_large());
    }
    let reading = async {
        let mut bytes = Vec::new();
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk: Bytes = chunk.map_err(|_| TwirpError::malformed("the body broke off"))?;
            if bytes.len() + chunk.len() > bytes_max {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    };
    match tokio::time::timeout(BODY_DEADLINE, reading).await {
        Ok(result) => result,
        Err(_) => {
            let detail = "The request's body did not arrive in time.";
            Err(Refusal::new(ErrorCode::Timeout, detail).into())
        }
    }
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
/// A request of the largest size needs a tenth of this on a slow line; more is somebody who keeps
/// connections busy.
const BODY_DEADLINE: Duration = Duration::from_secs(15);
