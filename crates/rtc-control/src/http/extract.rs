//! What handlers take out of a request. Everything that cannot be taken is a problem document.
//!
//! Handlers list [`Authorized`] before path, query and body, so that somebody who may not ask is
//! told nothing about what was asked.

use std::fmt::Display;

use axum::extract::{FromRequest, FromRequestParts, Request};
use http::{HeaderMap, header, request::Parts};
use rtc_api::code::{ErrorCode, Refusal};
use serde::de::DeserializeOwned;

use super::problem::Problem;
use crate::{Caller, Context, auth, body};

/// A caller with credentials that count; what they allow is decided by the operation.
pub(super) struct Authorized(pub(super) Caller);

impl FromRequestParts<Context> for Authorized {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, cx: &Context) -> Result<Self, Problem> {
        let header = parts.headers.get(header::AUTHORIZATION);
        // A header that is no text is a token that is none of ours.
        let authorization = header.map(|value| value.to_str().unwrap_or_default());
        match auth::operator(cx, authorization)? {
            Caller::Anonymous => Err(Refusal::from(ErrorCode::Unauthenticated).into()),
            caller => Ok(Self(caller)),
        }
    }
}

/// The values of the path.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Context> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, cx: &Context) -> Result<Self, Problem> {
        match axum::extract::Path::from_request_parts(parts, cx).await {
            Ok(axum::extract::Path(values)) => Ok(Self(values)),
            // A path that names nothing that could exist.
            Err(_) => Err(Refusal::from(ErrorCode::NotFound).into()),
        }
    }
}

/// The values of the query.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Context> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Context) -> Result<Self, Problem> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(values)) => Ok(Self(values)),
            Err(rejection) => Err(unreadable("query", &std::error::Error::source(&rejection))),
        }
    }
}

/// A JSON body.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Context> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, cx: &Context) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let detail = "The body is not declared as JSON; send Content-Type: application/json.";
            return Err(Refusal::new(ErrorCode::InvalidArgument, detail).into());
        }
        let bytes = bytes(request, cx).await?;
        read(&bytes).map(Self)
    }
}

/// A JSON body that may be left out.
pub(super) struct OptionalBody<T>(pub(super) T);

impl<T: DeserializeOwned + Default> FromRequest<Context> for OptionalBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, cx: &Context) -> Result<Self, Problem> {
        let bytes = bytes(request, cx).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        read(&bytes).map(Self)
    }
}

async fn bytes(request: Request, cx: &Context) -> Result<Vec<u8>, Problem> {
    let (head, body) = request.into_parts();
    Ok(body::read(&head.headers, body, cx.limits.body_bytes_max).await?)
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| unreadable("body", &Some(&error)))
}

fn unreadable(part: &str, cause: &Option<impl Display>) -> Problem {
    let detail = match cause {
        Some(cause) => {
            let cause = body::shortened(&cause.to_string());
            format!("The {part} cannot be understood: {cause}. Correct it.")
        }
        None => format!("The {part} cannot be understood. Correct it."),
    };
    Refusal::new(ErrorCode::InvalidArgument, detail).into()
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|content_type| {
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        media_type.eq_ignore_ascii_case("application/json")
    })
}
