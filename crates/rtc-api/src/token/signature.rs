//! The guide's access signature, with which a client joins without a JWT.

use aws_lc_rs::hmac;
use rtc_model::{AppId, Identity, RoomName};

/// What an access signature covers. The role is not among it.
#[derive(Clone, Copy, Debug)]
pub struct AccessSignature<'a> {
    /// The app.
    pub app: &'a AppId,
    /// The room to join.
    pub room: &'a RoomName,
    /// Who joins.
    pub user: &'a Identity,
    /// Until when, in Unix seconds, exactly as it is written in the request.
    pub ctime: &'a str,
}

impl AccessSignature<'_> {
    /// Whether `signature` (64 hex characters) is the one made with `key`. Compares in constant
    /// time; whether `ctime` has passed is another question.
    pub fn matches(&self, key: &[u8], signature: &str) -> bool {
        let Ok(tag) = hex::decode(signature) else {
            return false;
        };
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        hmac::verify(&key, self.content().as_bytes(), &tag).is_ok()
    }

    /// Literal plus signs stand between the parts.
    fn content(&self) -> String {
        format!("{}+{}+{}+{}", self.app, self.room, self.user, self.ctime)
    }
}

/// The signature as lower-case hex.
pub fn access_signature(covered: &AccessSignature<'_>, key: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hex::encode(hmac::sign(&key, covered.content().as_bytes()))
}
