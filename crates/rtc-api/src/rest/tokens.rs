//! Tokens and access signatures.

use std::fmt;

use rtc_model::Role;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A temporary token to make, for trying out and for support.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenCreate {
    /// The room to join: 1 to 256 bytes of UTF-8 without control characters.
    #[schema(min_length = 1, max_length = 256, example = "room001")]
    pub room_id: String,
    /// Who joins: 1 to 256 bytes of UTF-8 without control characters. The same user joining the
    /// same room again replaces the earlier session.
    #[schema(min_length = 1, max_length = 256, example = "user001")]
    pub user_id: String,
    /// The name that others see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub name: Option<String>,
    /// What the user may do.
    #[serde(default = "super::default_role")]
    #[schema(value_type = super::RoleSchema, default = "joiner")]
    pub role: Role,
    /// For how many seconds the token is good: 1 to 2,592,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2_592_000, default = 7_200)]
    pub lifetime_s: Option<u64>,
}

/// A temporary token, in both forms.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TemporaryToken {
    /// The JWT for LiveKit client SDKs.
    pub token: String,
    /// The access signature over app, room, user and `ctime`.
    #[schema(example = "95c4ea3d26bd29b5253dcc16c6bbf7542ad0fe76ee03c1a4b6f357cf81bac56c")]
    pub signature: String,
    /// When the signature ends, in Unix seconds; at most twelve hours ahead.
    #[schema(example = "1700007200")]
    pub ctime: String,
    /// The server's address for client SDKs.
    #[schema(example = "ws://127.0.0.1:7880")]
    pub url: String,
    /// A link that joins the room in the built-in page. The token stands in its fragment, which
    /// browsers do not send.
    #[schema(example = "http://127.0.0.1:7880/play#token=eyJ...")]
    pub join_url: String,
    /// When the JWT ends.
    #[schema(format = DateTime)]
    pub expires_at: String,
}

impl fmt::Debug for TemporaryToken {
    /// Leaves the credentials out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TemporaryToken")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// An access signature to exchange for a token.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessTokenRequest {
    /// The room to join.
    #[schema(min_length = 1, max_length = 256, example = "room001")]
    pub room_id: String,
    /// Who joins.
    #[schema(min_length = 1, max_length = 256, example = "user001")]
    pub user_id: String,
    /// When the signature ends, in Unix seconds, as it was signed; at most twelve hours ahead.
    #[serde(deserialize_with = "digits")]
    #[schema(example = "1700007200")]
    pub ctime: String,
    /// `hex(HMAC-SHA256(app_key, app_id + "+" + room_id + "+" + user_id + "+" + ctime))`.
    #[schema(example = "95c4ea3d26bd29b5253dcc16c6bbf7542ad0fe76ee03c1a4b6f357cf81bac56c")]
    pub signature: String,
    /// What the user may do; the signature does not cover it.
    #[serde(default = "super::default_role")]
    #[schema(value_type = super::RoleSchema, default = "joiner")]
    pub role: Role,
}

/// The token that an access signature was exchanged for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccessToken {
    /// The JWT for LiveKit client SDKs.
    pub token: String,
    /// The server's address for client SDKs.
    #[schema(example = "ws://127.0.0.1:7880")]
    pub url: String,
    /// When the token ends.
    #[schema(format = DateTime)]
    pub expires_at: String,
}

impl fmt::Debug for AccessToken {
    /// Leaves the credential out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// Clients send `ctime` as a text or as a number.
fn digits<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "ctime is a number of Unix seconds")]
    enum Digits {
        Text(String),
        Number(u64),
    }
    Ok(match Digits::deserialize(deserializer)? {
        Digits::Text(text) => text,
        Digits::Number(number) => number.to_string(),
    })
}
