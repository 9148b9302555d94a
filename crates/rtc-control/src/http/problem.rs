//! Refusals on their way out: RFC 9457 problem documents.
//!
//! A handler's refusal only carries what went wrong; the middleware writes the body, because the
//! request's id stands in it.

use axum::{
    body::Body,
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use rtc_api::{
    code::{ErrorCode, Refusal},
    rest::Problem as ProblemBody,
};

use crate::{Error, random};

/// A refusal as a response.
#[derive(Debug)]
pub(crate) struct Problem(Refusal);

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        error.log();
        Self(error.refusal())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = status(self.0.code).into_response();
        response.extensions_mut().insert(self.0);
        response
    }
}

/// Writes the bodies of refusals, and gives every request an id.
pub(crate) async fn write_problems(request: Request, next: Next) -> Response {
    let given = request.headers().get(REQUEST_ID).filter(|id| is_usable(id)).cloned();
    let request_id = given.unwrap_or_else(new_request_id);
    let mut response = next.run(request).await;
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        let headers = response.headers().clone();
        response = problem_response(&refusal, &request_id);
        // What the router added, as Allow, stays.
        for (name, value) in &headers {
            if name != header::CONTENT_LENGTH && name != header::CONTENT_TYPE {
                response.headers_mut().insert(name, value.clone());
            }
        }
    }
    response.headers_mut().insert(REQUEST_ID, request_id);
    response
}

fn problem_response(refusal: &Refusal, request_id: &HeaderValue) -> Response {
    let code = refusal.code;
    // A refusal without a sentence of its own says what to do.
    let detail =
        if refusal.detail == code.title() { code.advice() } else { refusal.detail.as_str() };
    let body = ProblemBody {
        kind: format!("urn:sparkrtc:error:{}", code.as_str()),
        title: code.title().to_owned(),
        status: code.http_status(),
        detail: detail.to_owned(),
        code: code.as_str().to_owned(),
        request_id: request_id.to_str().unwrap_or_default().to_owned(),
    };
    let json = serde_json::to_vec(&body).unwrap_or_default();
    let mut response = (status(code), Body::from(json)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if status(code) == StatusCode::UNAUTHORIZED {
        // RFC 9110 §15.5.2 demands a challenge.
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn status(code: ErrorCode) -> StatusCode {
    StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn is_usable(id: &HeaderValue) -> bool {
    let id = id.as_bytes();
    (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

fn new_request_id() -> HeaderValue {
    let bits = random::bits_128().unwrap_or_default();
    HeaderValue::from_str(&hex::encode(bits)).unwrap_or(HeaderValue::from_static("unknown"))
}

/// The server's front sets it; requests that come without one get theirs here.
const REQUEST_ID: &str = "x-request-id";
/// A request's id is copied into logs and answers.
const REQUEST_ID_BYTES_MAX: usize = 128;
