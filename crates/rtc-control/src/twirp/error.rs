//! Twirp's error vocabulary: codes, their HTTP statuses, and the JSON body every client parses.
//!
//! Errors are JSON whatever the request's encoding was (Twirp wire protocol v7, "Error handling").

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use rtc_api::code::{ErrorCode, Refusal};
use serde_json::json;

/// A failed call as its caller sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TwirpError {
    kind: TwirpCode,
    msg: String,
    /// Our own stable code, in `meta.code`.
    code: ErrorCode,
    /// The request's field at fault, in `meta.argument`.
    argument: Option<&'static str>,
}

/// The codes of Twirp's closed set that we answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TwirpCode {
    AlreadyExists,
    BadRoute,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    Malformed,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Unimplemented,
}

impl TwirpCode {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::AlreadyExists => "already_exists",
            Self::BadRoute => "bad_route",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::FailedPrecondition => "failed_precondition",
            Self::Internal => "internal",
            Self::InvalidArgument => "invalid_argument",
            Self::Malformed => "malformed",
            Self::NotFound => "not_found",
            Self::PermissionDenied => "permission_denied",
            Self::ResourceExhausted => "resource_exhausted",
            Self::Unauthenticated => "unauthenticated",
            Self::Unavailable => "unavailable",
            Self::Unimplemented => "unimplemented",
        }
    }

    /// The status Twirp's table gives the code.
    pub(super) const fn http_status(self) -> StatusCode {
        match self {
            Self::AlreadyExists => StatusCode::CONFLICT,
            Self::BadRoute | Self::NotFound => StatusCode::NOT_FOUND,
            Self::DeadlineExceeded => StatusCode::REQUEST_TIMEOUT,
            Self::FailedPrecondition => StatusCode::PRECONDITION_FAILED,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::InvalidArgument | Self::Malformed => StatusCode::BAD_REQUEST,
            Self::PermissionDenied => StatusCode::FORBIDDEN,
            Self::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        }
    }
}

impl TwirpError {
    /// The path, method or content type is not one of ours.
    pub(super) fn bad_route(msg: impl Into<String>) -> Self {
        Self::new(TwirpCode::BadRoute, ErrorCode::NotFound, msg)
    }

    /// The body could not be read as the message it should be.
    pub(super) fn malformed(msg: impl Into<String>) -> Self {
        Self::new(TwirpCode::Malformed, ErrorCode::InvalidArgument, msg)
    }

    /// One field of the request is missing or not allowed.
    pub(super) fn argument(argument: &'static str, problem: &str) -> Self {
        let msg = format!("{argument} {problem}");
        let error = Self::new(TwirpCode::InvalidArgument, ErrorCode::InvalidArgument, msg);
        Self { argument: Some(argument), ..error }
    }

    fn new(kind: TwirpCode, code: ErrorCode, msg: impl Into<String>) -> Self {
        Self { kind, msg: msg.into(), code, argument: None }
    }

    pub(super) fn kind(&self) -> TwirpCode {
        self.kind
    }

    pub(super) fn code(&self) -> ErrorCode {
        self.code
    }

    /// Twirp has no code of its own for a body that is too large; every HTTP client knows 413.
    fn status(&self) -> StatusCode {
        match self.code {
            ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            _ => self.kind.http_status(),
        }
    }

    fn body(&self) -> String {
        let mut meta = json!({ "code": self.code.as_str() });
        if let Some(argument) = self.argument {
            meta["argument"] = json!(argument);
        }
        json!({ "code": self.kind.as_str(), "msg": self.msg, "meta": meta }).to_string()
    }
}

impl From<Refusal> for TwirpError {
    fn from(refusal: Refusal) -> Self {
        Self::new(twirp_code(refusal.code), refusal.code, refusal.detail)
    }
}

impl From<ErrorCode> for TwirpError {
    fn from(code: ErrorCode) -> Self {
        Refusal::from(code).into()
    }
}

impl IntoResponse for TwirpError {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body()));
        *response.status_mut() = self.status();
        // Exactly this: npm `livekit-server-sdk` parses the body only if the type has no parameters.
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }
}

/// What Twirp calls our codes.
const fn twirp_code(code: ErrorCode) -> TwirpCode {
    match code {
        // An unknown app is met here only as the issuer of a token: the token is no good.
        ErrorCode::Unauthenticated
        | ErrorCode::TokenInvalid
        | ErrorCode::TokenExpired
        | ErrorCode::AppNotFound => TwirpCode::Unauthenticated,
        ErrorCode::AppDisabled | ErrorCode::Forbidden => TwirpCode::PermissionDenied,
        ErrorCode::RoomNotFound
        | ErrorCode::ParticipantNotFound
        | ErrorCode::TrackNotFound
        | ErrorCode::NotFound => TwirpCode::NotFound,
        ErrorCode::RoomFull
        | ErrorCode::QuotaExceeded
        | ErrorCode::RateLimited
        | ErrorCode::TooLarge => TwirpCode::ResourceExhausted,
        ErrorCode::Conflict => TwirpCode::AlreadyExists,
        ErrorCode::InvalidArgument => TwirpCode::InvalidArgument,
        ErrorCode::MethodNotAllowed => TwirpCode::BadRoute,
        ErrorCode::Unimplemented => TwirpCode::Unimplemented,
        ErrorCode::SessionNotResumable => TwirpCode::FailedPrecondition,
        ErrorCode::Overloaded | ErrorCode::Unavailable => TwirpCode::Unavailable,
        ErrorCode::Timeout => TwirpCode::DeadlineExceeded,
        ErrorCode::Internal => TwirpCode::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twirp's table (wire protocol v7): the status its clients expect for each code.
    #[test]
    fn every_one_of_our_codes_has_a_twirp_code_and_its_status() {
        let table = [
            (ErrorCode::Unauthenticated, "unauthenticated", 401),
            (ErrorCode::TokenInvalid, "unauthenticated", 401),
            (ErrorCode::TokenExpired, "unauthenticated", 401),
            (ErrorCode::AppNotFound, "unauthenticated", 401),
            (ErrorCode::AppDisabled, "permission_denied", 403),
            (ErrorCode::Forbidden, "permission_denied", 403),
            (ErrorCode::RoomNotFound, "not_found", 404),
            (ErrorCode::ParticipantNotFound, "not_found", 404),
            (ErrorCode::TrackNotFound, "not_found", 404),
            (ErrorCode::RoomFull, "resource_exhausted", 429),
            (ErrorCode::Conflict, "already_exists", 409),
            (ErrorCode::QuotaExceeded, "resource_exhausted", 429),
            (ErrorCode::InvalidArgument, "invalid_argument", 400),
            (ErrorCode::TooLarge, "resource_exhausted", 413),
            (ErrorCode::RateLimited, "resource_exhausted", 429),
            (ErrorCode::NotFound, "not_found", 404),
            (ErrorCode::MethodNotAllowed, "bad_route", 404),
            (ErrorCode::Unimplemented, "unimplemented", 501),
            (ErrorCode::SessionNotResumable, "failed_precondition", 412),
            (ErrorCode::Overloaded, "unavailable", 503),
            (ErrorCode::Unavailable, "unavailable", 503),
            (ErrorCode::Timeout, "deadline_exceeded", 408),
            (ErrorCode::Internal, "internal", 500),
        ];
        for code in ErrorCode::ALL {
            let row = table.iter().find(|row| row.0 == code).expect("every code has a row");
            let error = TwirpError::from(code);
            assert_eq!((error.kind.as_str(), error.status().as_u16()), (row.1, row.2), "{code:?}");
        }
    }

    #[test]
    fn the_body_has_code_message_and_meta() {
        let refusal = Refusal::new(ErrorCode::RoomNotFound, "room \"a\" is not open");
        assert_eq!(
            TwirpError::from(refusal).body(),
            r#"{"code":"not_found","meta":{"code":"room_not_found"},"msg":"room \"a\" is not open"}"#,
        );
        assert_eq!(
            TwirpError::argument("name", "must not be empty").body(),
            r#"{"code":"invalid_argument","meta":{"argument":"name","code":"invalid_argument"},"msg":"name must not be empty"}"#,
        );
    }

    #[test]
    fn errors_are_plain_json() {
        let response = TwirpError::bad_route("no such method").into_response();
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
    }
}
