//! From credentials to a [`Caller`].

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, digest},
};
use rtc_api::code::ErrorCode;

use crate::{
    Caller, Context, Error,
    tokens::{self, Trust},
};

/// Who sent this `Authorization` header to the REST API: the operator, or nobody.
///
/// # Errors
/// `token_invalid` when a token is there but is not the admin token.
pub fn operator(cx: &Context, authorization: Option<&str>) -> Result<Caller, Error> {
    let Some(authorization) = authorization else { return Ok(Caller::Anonymous) };
    let expected = cx.settings.admin_token.expose();
    if bearer(authorization).is_some_and(|token| is_same(token, expected)) {
        return Ok(Caller::Operator);
    }
    let detail = "The token is not the admin token; send the content of the file admin.token of \
                  the data directory as a bearer token.";
    Err(Error::refused(ErrorCode::TokenInvalid, detail))
}

/// Who sent this `Authorization` header to the `RoomService` API: the program that signed the JWT,
/// or nobody. Disabled apps are let in: their rooms can still be read and ended.
///
/// # Errors
/// `token_invalid`, `token_expired` or `app_not_found` when a token is there but does not count;
/// [`Error::Store`] when that cannot be found out.
pub async fn app_server(cx: &Context, authorization: Option<&str>) -> Result<Caller, Error> {
    let Some(authorization) = authorization else { return Ok(Caller::Anonymous) };
    let token = bearer(authorization).ok_or_else(not_bearer)?;
    let checked = tokens::verify(cx, token).await?;
    match checked.trust {
        Trust::Full => Ok(Caller::AppServer {
            app: checked.app.id,
            grants: checked.claims.video.unwrap_or_default(),
        }),
        // Switching join authentication off opens joining, and nothing else.
        Trust::JoinOnly => {
            let detail = "The token's signature does not match the app's key, or its time is over; \
                          without join authentication such a token joins rooms, but steers none.";
            Err(Error::refused(ErrorCode::TokenInvalid, detail))
        }
    }
}

/// RFC 6750 §2.1; the scheme's case does not matter (RFC 9110 §11.1).
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn not_bearer() -> Error {
    let detail = "The Authorization header is not of the form \"Bearer TOKEN\".";
    Error::refused(ErrorCode::TokenInvalid, detail)
}

/// Compares in constant time, whatever the lengths; nothing equals an empty secret.
fn is_same(given: &str, expected: &str) -> bool {
    let given = digest(&SHA256, given.as_bytes());
    let same = digest(&SHA256, expected.as_bytes());
    verify_slices_are_equal(given.as_ref(), same.as_ref()).is_ok() && !expected.is_empty()
}
