//! The signature by which a receiver knows that a webhook is ours and unchanged.

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rtc_api::token::{self, Claims, TokenError};
use rtc_model::{AppId, AppKey};

/// Gives the `Authorization` header of a webhook: a JWT of the app that carries the hash of the
/// body and grants nothing. Receivers check the hash, the key and the time.
///
/// # Errors
/// Only when the key or the claims are beyond what a token can hold.
pub(super) fn authorization(
    app: &AppId,
    key: &AppKey,
    body: &[u8],
    now_s: u64,
) -> Result<String, TokenError> {
    let claims = Claims {
        iss: app.as_str().to_owned(),
        nbf: Some(now_s),
        exp: Some(now_s + LIFETIME_S),
        sha256: STANDARD.encode(digest::digest(&digest::SHA256, body)),
        ..Claims::default()
    };
    token::mint(&claims, key.expose().as_bytes())
}

/// Longer than any delivery is tried, in seconds.
const LIFETIME_S: u64 = 600;

#[cfg(test)]
mod tests {
    use rtc_api::token::UnverifiedToken;

    use super::*;

    const NOW_S: u64 = 1_800_000_000;

    fn signed(body: &[u8]) -> String {
        let app = AppId::new("devkey").unwrap();
        authorization(&app, &AppKey::new("secret"), body, NOW_S).unwrap()
    }

    #[test]
    fn the_token_carries_the_body_s_hash_and_no_grants() {
        // The hash of nothing is the best known of all SHA-256 values.
        for (body, hash) in [
            (&b""[..], "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
            (b"abc", "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="),
        ] {
            let token = signed(body);
            let token = UnverifiedToken::parse(&token).unwrap();
            let claims = token.verify(b"secret", NOW_S).unwrap();
            assert_eq!(claims.sha256, hash);
            assert_eq!((claims.iss.as_str(), &claims.video), ("devkey", &None));
        }
    }

    #[test]
    fn the_token_outlives_the_last_attempt_but_not_by_much() {
        let token = signed(b"abc");
        let token = UnverifiedToken::parse(&token).unwrap();
        assert!(token.verify(b"secret", NOW_S + 300).is_ok());
        assert_eq!(token.verify(b"secret", NOW_S + 700), Err(TokenError::Expired));
        assert_eq!(token.verify(b"other", NOW_S), Err(TokenError::Signature));
    }
}
