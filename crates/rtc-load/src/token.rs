//! Tokens to join with: made from an app's key, or given.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::anyhow;
use rtc_api::token::{Claims, VideoGrants, mint};

/// Where clients' tokens come from.
#[derive(Clone)]
pub enum TokenSource {
    /// Made here, for any number of clients.
    Key {
        /// The app's ID.
        api_key: String,
        /// The app's private key.
        api_secret: String,
    },
    /// One for each client, in order of the clients' numbers; the tokens then name identities and
    /// room.
    Given(Vec<String>),
}

impl TokenSource {
    /// The token of the client with this number.
    ///
    /// # Errors
    /// When fewer tokens were given than clients are to join.
    pub fn token(&self, number: usize, identity: &str, room: &str) -> anyhow::Result<String> {
        let (api_key, api_secret) = match self {
            Self::Key { api_key, api_secret } => (api_key, api_secret),
            Self::Given(tokens) => {
                let token = tokens.get(number).cloned();
                return token.ok_or_else(|| anyhow!("no token for client {number}"));
            }
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let video = VideoGrants { room_join: true, room: room.into(), ..Default::default() };
        let claims = Claims {
            iss: api_key.clone(),
            sub: identity.into(),
            name: identity.into(),
            nbf: Some(now.saturating_sub(SKEW).as_secs()),
            exp: Some((now + LIFETIME).as_secs()),
            video: Some(video),
            ..Default::default()
        };
        Ok(mint(&claims, api_secret.as_bytes())?)
    }
}

/// Longer than any run.
const LIFETIME: Duration = Duration::from_secs(6 * 3_600);
/// The server's clock may be behind.
const SKEW: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use rtc_api::token::UnverifiedToken;

    use super::*;

    #[test]
    fn given_tokens_are_used_in_order_and_must_suffice() {
        let source = TokenSource::Given(vec!["a".into(), "b".into()]);
        assert_eq!(source.token(1, "ignored", "ignored").unwrap(), "b");
        assert!(source.token(2, "ignored", "ignored").is_err());
    }

    #[test]
    fn made_tokens_name_app_identity_and_room() {
        let source = TokenSource::Key { api_key: "devkey".into(), api_secret: "secret".into() };
        let token = source.token(0, "viewer-1", "load").unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let read = UnverifiedToken::parse(&token).unwrap();
        let claims = read.verify(b"secret", now).unwrap();
        assert_eq!((claims.iss.as_str(), claims.identity()), ("devkey", "viewer-1"));
        let video = claims.video.as_ref().unwrap();
        assert!(video.room_join && video.room == "load");
    }
}
