//! LiveKit's tokens and the guide's access signature: their shape, making and checking.
//!
//! A token is a JWT signed with HS256 (RFC 7519, RFC 7515); its issuer is an app's id, its key the
//! app's private key. Everything here is a function of values and `now`; finding the key, and
//! whether the app lets people in, is the control plane's.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use livekit_protocol as proto;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::code::{ErrorCode, Refusal};

mod grants;
mod signature;

#[cfg(test)]
mod tests;

pub use grants::{VideoGrants, participant_kind, participant_kind_name};
pub use signature::{AccessSignature, access_signature};

/// The longest token taken, in bytes: metadata and attributes of 64 KiB in base64, with room for
/// the rest.
pub const TOKEN_BYTES_MAX: usize = 128 * 1024;

/// How far two clocks may differ, in seconds (as LiveKit's servers allow).
pub const LEEWAY_S: u64 = 60;

/// What a token says.
///
/// Absent texts are empty, as in LiveKit's JSON; unknown claims are passed over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Claims {
    /// The app whose key signs.
    pub iss: String,
    /// The participant's identity.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sub: String,
    /// The token's own id; some libraries put the identity here instead of `sub`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub jti: String,
    /// End, in Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "numeric_date")]
    pub exp: Option<u64>,
    /// Beginning, in Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "numeric_date")]
    pub nbf: Option<u64>,
    /// Display name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Free text about the participant.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub metadata: String,
    /// Named free texts about the participant.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// Program kind; see [`participant_kind`].
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Base64 of the SHA-256 of a body that the token vouches for (webhooks).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sha256: String,
    /// Name of a prepared room configuration.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub room_preset: String,
    /// How the room is set up if this participant opens it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_config: Option<proto::RoomConfiguration>,
    /// What the bearer may do; `None` grants nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<VideoGrants>,
}

impl Claims {
    /// Who the bearer is: `sub`, or `jti` where a library put it there.
    pub fn identity(&self) -> &str {
        if self.sub.is_empty() { &self.jti } else { &self.sub }
    }
}

/// Makes a token.
///
/// # Errors
/// [`TokenError::NoExpiry`] without `exp`, which every verifier would refuse, and
/// [`TokenError::TooLarge`] above [`TOKEN_BYTES_MAX`].
pub fn mint(claims: &Claims, key: &[u8]) -> Result<String, TokenError> {
    if claims.exp.is_none() {
        return Err(TokenError::NoExpiry);
    }
    let payload = serde_json::to_vec(claims).map_err(|_| TokenError::Malformed)?;
    let mut token = format!("{HEADER_HS256}.{}", URL_SAFE_NO_PAD.encode(payload));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(tag.as_ref(), &mut token);
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::TooLarge);
    }
    Ok(token)
}

/// A token that has been read but not believed: only its issuer can be seen, to find the key.
#[derive(Debug)]
pub struct UnverifiedToken<'a> {
    /// `header.payload`, which the signature covers.
    signed: &'a [u8],
    signature: Vec<u8>,
    header: Header,
    claims: Claims,
}

#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    crit: Option<Value>,
}

impl<'a> UnverifiedToken<'a> {
    /// Reads a token.
    ///
    /// # Errors
    /// [`TokenError::TooLarge`] or [`TokenError::Malformed`].
    pub fn parse(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLarge);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let header =
            serde_json::from_slice(&decoded(header)?).map_err(|_| TokenError::Malformed)?;
        let mut claims: Value =
            serde_json::from_slice(&decoded(payload)?).map_err(|_| TokenError::Malformed)?;
        strip_nulls(&mut claims);
        Ok(Self {
            signed: signed.as_bytes(),
            signature: decoded(signature)?,
            header,
            claims: serde_json::from_value(claims).map_err(|_| TokenError::Malformed)?,
        })
    }

    /// The app that the token says has signed it.
    pub fn issuer(&self) -> &str {
        &self.claims.iss
    }

    /// Believes the token if it is signed with `key` by HS256 and valid at `now_s`, give or take
    /// [`LEEWAY_S`].
    ///
    /// # Errors
    /// In this order: [`TokenError::Algorithm`], [`TokenError::Signature`], [`TokenError::NoExpiry`],
    /// [`TokenError::Expired`], [`TokenError::NotYetValid`].
    pub fn verify(&self, key: &[u8], now_s: u64) -> Result<&Claims, TokenError> {
        self.verify_signature(key)?;
        let exp = self.claims.exp.ok_or(TokenError::NoExpiry)?;
        if now_s > exp.saturating_add(LEEWAY_S) {
            return Err(TokenError::Expired);
        }
        if self.claims.nbf.is_some_and(|nbf| now_s.saturating_add(LEEWAY_S) < nbf) {
            return Err(TokenError::NotYetValid);
        }
        Ok(&self.claims)
    }

    /// Believes the token without looking at its signature and times: for apps whose join
    /// authentication is switched off, and for nothing else.
    pub const fn claims_without_authentication(&self) -> &Claims {
        &self.claims
    }

    fn verify_signature(&self, key: &[u8]) -> Result<(), TokenError> {
        // RFC 7515 §4.1.11: extensions that must be understood, and are not, invalidate the token.
        if self.header.alg != "HS256" || self.header.crit.is_some() {
            return Err(TokenError::Algorithm);
        }
        if key.is_empty() {
            return Err(TokenError::Signature);
        }
        // Compares in constant time.
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key), self.signed, &self.signature)
            .map_err(|_| TokenError::Signature)
    }
}

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than [`TOKEN_BYTES_MAX`].
    #[error("the token is too large")]
    TooLarge,
    /// Not three parts of base64url with JSON objects in the first two.
    #[error("the token is not a JWT")]
    Malformed,
    /// Signed with something else than HS256, or not at all.
    #[error("the token is not signed with HS256")]
    Algorithm,
    /// Signed with another key, or changed since.
    #[error("the token's signature does not match the app's key")]
    Signature,
    /// It would be valid for ever.
    #[error("the token has no expiry")]
    NoExpiry,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
}

impl TokenError {
    /// The stable code.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::TooLarge
            | Self::Malformed
            | Self::Algorithm
            | Self::Signature
            | Self::NoExpiry => ErrorCode::TokenInvalid,
            Self::Expired | Self::NotYetValid => ErrorCode::TokenExpired,
        }
    }

    /// A sentence for the bearer: what is wrong and what to do.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::TooLarge => "The token is longer than 128 KiB; put less into its metadata.",
            Self::Malformed => {
                "The token is not a JWT; copy it completely, without quotes or line breaks."
            }
            Self::Algorithm => "The token is not signed with HS256; sign it with that algorithm.",
            Self::Signature => {
                "The token's signature does not match the app's key; sign it with the private key \
                 of the app that is its issuer."
            }
            Self::NoExpiry => "The token has no expiry; give it an exp claim.",
            Self::Expired => "The token has expired; get a new one.",
            Self::NotYetValid => {
                "The token is not valid yet; check its nbf claim and the clocks of both machines."
            }
        }
    }
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        Self::new(error.code(), error.detail())
    }
}

fn decoded(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)
}

/// Some libraries write `null` for what is absent.
fn strip_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(strip_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// RFC 7519 §2 `NumericDate`: seconds, possibly with a fraction, which is cut off.
fn numeric_date<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    use serde::de::Error as _;
    let number = serde_json::Number::deserialize(deserializer)?;
    if let Some(seconds) = number.as_u64() {
        return Ok(Some(seconds));
    }
    match number.as_f64() {
        // Above 2^53 a float no longer holds whole seconds, and no date is meant.
        Some(seconds) if (0.0..9_007_199_254_740_992.0).contains(&seconds) => {
            let whole = format!("{:.0}", seconds.trunc());
            whole.parse().map(Some).map_err(D::Error::custom)
        }
        _ => Err(D::Error::custom("not a date")),
    }
}

/// base64url of `{"alg":"HS256","typ":"JWT"}`.
const HEADER_HS256: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
