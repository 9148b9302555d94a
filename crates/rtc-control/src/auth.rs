//! From credentials to a [`Caller`].

use crate::{Caller, Context, Error};

/// Who sent this `Authorization` header to the REST API: the operator, or nobody.
///
/// # Errors
/// `token_invalid` when a token is there but is not the admin token.
pub async fn operator(cx: &Context, authorization: Option<&str>) -> Result<Caller, Error> {
    let _ = (cx, authorization);
    Ok(Caller::Anonymous)
}

/// Who sent this `Authorization` header to the `RoomService` API: the program that signed the JWT,
/// or nobody. Disabled apps are let in: their rooms can still be read and ended.
///
/// # Errors
/// `token_invalid`, `token_expired` or `app_not_found` when a token is there but does not count;
/// [`Error::Store`] when that cannot be found out.
pub async fn app_server(cx: &Context, authorization: Option<&str>) -> Result<Caller, Error> {
    let _ = (cx, authorization);
    Ok(Caller::Anonymous)
}
