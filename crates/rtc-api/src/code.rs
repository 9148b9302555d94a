//! Stable error codes. The same strings stand in REST problems, signalling and the SDK.

use serde::{Deserialize, Serialize};

/// What went wrong, as a program should branch on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// No credentials were given.
    Unauthenticated,
    /// The token is not a token, or its signature is wrong.
    TokenInvalid,
    /// The token's time is over, or not yet come.
    TokenExpired,
    /// The app named by the token or path does not exist.
    AppNotFound,
    /// The app is disabled.
    AppDisabled,
    /// The credentials are good but do not cover this.
    Forbidden,
    /// The room is not open.
    RoomNotFound,
    /// The participant is not in the room.
    ParticipantNotFound,
    /// The track is not published.
    TrackNotFound,
    /// The room has as many participants as it may.
    RoomFull,
    /// A name is taken.
    Conflict,
    /// A quota of the app or account is used up.
    QuotaExceeded,
    /// A value is missing, malformed or out of range.
    InvalidArgument,
    /// A message or body is too large.
    TooLarge,
    /// Too many requests in too short a time.
    RateLimited,
    /// No such path or operation.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// Known, but not available in this version.
    Unimplemented,
    /// The session cannot be resumed; join afresh.
    SessionNotResumable,
    /// The server has no capacity now.
    Overloaded,
    /// Something the server needs does not answer.
    Unavailable,
    /// A remote participant did not answer in time.
    Timeout,
    /// A bug of ours.
    Internal,
}

impl ErrorCode {
    /// Every code, in the order of the documentation.
    pub const ALL: [Self; 23] = [
        Self::Unauthenticated,
        Self::TokenInvalid,
        Self::TokenExpired,
        Self::AppNotFound,
        Self::AppDisabled,
        Self::Forbidden,
        Self::RoomNotFound,
        Self::ParticipantNotFound,
        Self::TrackNotFound,
        Self::RoomFull,
        Self::Conflict,
        Self::QuotaExceeded,
        Self::InvalidArgument,
        Self::TooLarge,
        Self::RateLimited,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Unimplemented,
        Self::SessionNotResumable,
        Self::Overloaded,
        Self::Unavailable,
        Self::Timeout,
        Self::Internal,
    ];

    /// The stable string.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::TokenInvalid => "token_invalid",
            Self::TokenExpired => "token_expired",
            Self::AppNotFound => "app_not_found",
            Self::AppDisabled => "app_disabled",
            Self::Forbidden => "forbidden",
            Self::RoomNotFound => "room_not_found",
            Self::ParticipantNotFound => "participant_not_found",
            Self::TrackNotFound => "track_not_found",
            Self::RoomFull => "room_full",
            Self::Conflict => "conflict",
            Self::QuotaExceeded => "quota_exceeded",
            Self::InvalidArgument => "invalid_argument",
            Self::TooLarge => "too_large",
            Self::RateLimited => "rate_limited",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Unimplemented => "unimplemented",
            Self::SessionNotResumable => "session_not_resumable",
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Internal => "internal",
        }
    }

    /// The HTTP status it goes with.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Unauthenticated | Self::TokenInvalid | Self::TokenExpired => 401,
            Self::AppDisabled | Self::Forbidden => 403,
            Self::AppNotFound
            | Self::RoomNotFound
            | Self::ParticipantNotFound
            | Self::TrackNotFound
            | Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::Conflict | Self::SessionNotResumable => 409,
            Self::TooLarge => 413,
            Self::InvalidArgument => 400,
            Self::RoomFull | Self::QuotaExceeded | Self::RateLimited => 429,
            Self::Unimplemented => 501,
            Self::Overloaded | Self::Unavailable => 503,
            Self::Timeout => 504,
            Self::Internal => 500,
        }
    }

    /// One sentence for a person: what happened.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Unauthenticated => "No credentials were given.",
            Self::TokenInvalid => "The token is malformed or its signature is wrong.",
            Self::TokenExpired => "The token is not valid at this time.",
            Self::AppNotFound => "There is no such app.",
            Self::AppDisabled => "The app is disabled.",
            Self::Forbidden => "The credentials do not allow this.",
            Self::RoomNotFound => "There is no such open room.",
            Self::ParticipantNotFound => "There is no such participant in the room.",
            Self::TrackNotFound => "There is no such track in the room.",
            Self::RoomFull => "The room is full.",
            Self::Conflict => "This exists already.",
            Self::QuotaExceeded => "A quota is used up.",
            Self::InvalidArgument => "A value is missing or not allowed.",
            Self::TooLarge => "The request is too large.",
            Self::RateLimited => "Too many requests.",
            Self::NotFound => "There is nothing at this address.",
            Self::MethodNotAllowed => "This address does not take this method.",
            Self::Unimplemented => "This is not available in this version.",
            Self::SessionNotResumable => "The session cannot be resumed.",
            Self::Overloaded => "The server is at its capacity.",
            Self::Unavailable => "A part of the server does not answer.",
            Self::Timeout => "No answer came in time.",
            Self::Internal => "The server made a mistake.",
        }
    }

    /// One sentence for a person: what to do.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Unauthenticated => "Send a token in the Authorization header or as access_token.",
            Self::TokenInvalid => "Sign the token with the app's private key and its ID as issuer.",
            Self::TokenExpired => "Get a new token; check the clocks of both machines.",
            Self::AppNotFound => "Check the app ID.",
            Self::AppDisabled => "Enable the app, or use another one.",
            Self::Forbidden => "Use credentials with the needed grant.",
            Self::RoomNotFound => "Create the room, or let somebody join it first.",
            Self::ParticipantNotFound => "Check the identity; it may have left.",
            Self::TrackNotFound => "Check the track ID; it may have been unpublished.",
            Self::RoomFull => "Wait until somebody leaves, or raise the room's limit.",
            Self::Conflict => "Use another name, or change what exists.",
            Self::QuotaExceeded => "Remove what is no longer needed, or raise the quota.",
            Self::InvalidArgument => "Correct the value named in the detail.",
            Self::TooLarge => "Send less at once.",
            Self::RateLimited => "Wait a moment and try again.",
            Self::NotFound => "Check the address.",
            Self::MethodNotAllowed => "Check the method.",
            Self::Unimplemented => "Do without, or use a later version.",
            Self::SessionNotResumable => "Join again.",
            Self::Overloaded | Self::Unavailable | Self::Timeout => "Try again in a moment.",
            Self::Internal => "Try again; if it stays, report it with the request ID.",
        }
    }
}

/// A refusal: the code, and a sentence about this very case. Nothing secret stands in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// What kind of refusal.
    pub code: ErrorCode,
    /// What exactly, in a sentence for a person.
    pub detail: String,
}

impl Refusal {
    /// A refusal with a sentence of its own.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self::new(code, code.title())
    }
}
