//! Tokens: making them for people, checking those that come in, and the guide's access signature.

use std::fmt::Display;

use rtc_api::{
    code::ErrorCode,
    rest::{
        time::rfc3339,
        tokens::{AccessToken, AccessTokenRequest, TemporaryToken, TokenCreate},
    },
    token::{AccessSignature, Claims, TokenError, UnverifiedToken, VideoGrants, access_signature},
};
use rtc_backends::db::AppRow;
use rtc_model::{AppId, AppKey, AppStatus, IdError, Identity, RoomName};

use crate::{Caller, Context, Error, Permission, Target, apps};

/// Makes a token for a room, a user and a role, in both forms, with a link that joins.
///
/// # Errors
/// `app_not_found`; `app_disabled`; `invalid_argument` for values out of shape.
pub async fn temporary(
    cx: &Context,
    caller: &Caller,
    app: &AppId,
    wanted: &TokenCreate,
) -> Result<TemporaryToken, Error> {
    caller.require(Permission::TokenCreate, Target::App(app))?;
    let room = room_name(&wanted.room_id)?;
    let user = identity(&wanted.user_id)?;
    let lifetime_s = wanted.lifetime_s.unwrap_or(LIFETIME_S_DEFAULT);
    let lifetime_s_max = cx.limits.token_lifetime_s_max;
    if lifetime_s == 0 || lifetime_s > lifetime_s_max {
        let detail =
            format!("lifetime_s is {lifetime_s}; give a number from 1 to {lifetime_s_max}.");
        return Err(Error::refused(ErrorCode::InvalidArgument, detail));
    }
    let name = wanted.name.clone().unwrap_or_default();
    if name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let detail = "name has at most 256 bytes and no control characters; choose a shorter one.";
        return Err(Error::refused(ErrorCode::InvalidArgument, detail));
    }
    let row = apps::find(cx, app).await?;
    require_enabled(&row)?;

    let now_s = cx.clock.now_s();
    let exp = now_s.saturating_add(lifetime_s);
    let token = mint(&row.key, &join_claims(&row.id, &room, &user, wanted.role, exp, name))?;
    let ctime = now_s.saturating_add(lifetime_s.min(SIGNATURE_AHEAD_S_MAX)).to_string();
    let covered = AccessSignature { app: &row.id, room: &room, user: &user, ctime: &ctime };
    let signature = access_signature(&covered, row.key.expose().as_bytes());
    Ok(TemporaryToken {
        join_url: format!("{}/play#token={token}", cx.settings.public_url),
        url: signalling_url(cx),
        expires_at: time(exp),
        token,
        signature,
        ctime,
    })
}

/// Exchanges an access signature for a token that joins with the rights of the asked role. The
/// signature itself is the authorization.
///
/// # Errors
/// `app_not_found`; `token_invalid` when the signature does not match; `token_expired` when its
/// `ctime` is past, the app's tolerance included; `app_disabled`; `invalid_argument` for values out
/// of shape.
pub async fn exchange(
    cx: &Context,
    app: &AppId,
    request: &AccessTokenRequest,
) -> Result<AccessToken, Error> {
    let room = room_name(&request.room_id)?;
    let user = identity(&request.user_id)?;
    let row = apps::find(cx, app).await?;
    let now_s = cx.clock.now_s();
    let exp = if row.join_authentication {
        let covered =
            AccessSignature { app: &row.id, room: &room, user: &user, ctime: &request.ctime };
        check_signature(&row, &covered, &request.signature, cx.clock.now_ms())?;
        check_ctime(&request.ctime, now_s, row.signature_tolerance_s)?
    } else {
        now_s.saturating_add(LIFETIME_S_DEFAULT)
    };
    require_enabled(&row)?;
    let claims = join_claims(&row.id, &room, &user, request.role, exp, String::new());
    Ok(AccessToken {
        token: mint(&row.key, &claims)?,
        url: signalling_url(cx),
        expires_at: time(exp),
    })
}

/// A token that was checked, and the app that it belongs to.
#[derive(Debug)]
pub(crate) struct CheckedToken {
    pub(crate) app: AppRow,
    pub(crate) claims: Claims,
    pub(crate) trust: Trust,
}

/// How far a token can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Signed with the app's key, and valid now.
    Full,
    /// It does not verify, but its app lets anybody join.
    JoinOnly,
}

/// Checks a JWT: finds the app that issued it and verifies it with that app's keys. Whether the
/// app is enabled is for the asker to decide.
///
/// # Errors
/// `token_invalid`, `token_expired`, `app_not_found`.
pub(crate) async fn verify(cx: &Context, token: &str) -> Result<CheckedToken, Error> {
    let unverified = UnverifiedToken::parse(token).map_err(refusal)?;
    let issuer = unverified.issuer();
    let app = AppId::new(issuer).map_err(|_| {
        let detail = "The token's issuer is not an app ID; sign it with iss set to the app ID.";
        Error::refused(ErrorCode::TokenInvalid, detail)
    })?;
    let row = apps::find(cx, &app).await?;
    match verify_with(&unverified, &row, cx) {
        Ok(claims) => Ok(CheckedToken { claims: claims.clone(), app: row, trust: Trust::Full }),
        Err(_) if !row.join_authentication => {
            let claims = unverified.claims_without_authentication().clone();
            Ok(CheckedToken { claims, app: row, trust: Trust::JoinOnly })
        }
        Err(error) => Err(refusal(error)),
    }
}

/// Makes a token with an app's key.
///
/// # Errors
/// `token_invalid` when the claims are too large.
pub(crate) fn mint(key: &AppKey, claims: &Claims) -> Result<String, Error> {
    rtc_api::token::mint(claims, key.expose().as_bytes()).map_err(refusal)
}

/// The address for client SDKs.
pub(crate) fn signalling_url(cx: &Context) -> String {
    // http becomes ws, https becomes wss.
    cx.settings.public_url.replacen("http", "ws", 1)
}

/// Reads a room's name.
///
/// # Errors
/// `invalid_argument`.
pub(crate) fn room_name(text: &str) -> Result<RoomName, Error> {
    RoomName::new(text).map_err(|error| out_of_shape("room_id", error))
}

pub(crate) fn require_enabled(row: &AppRow) -> Result<(), Error> {
    match row.status {
        AppStatus::Enabled => Ok(()),
        AppStatus::Disabled => {
            let detail = format!("The app {} is disabled; enable it, or use another one.", row.id);
            Err(Error::refused(ErrorCode::AppDisabled, detail))
        }
    }
}

fn verify_with<'t>(
    token: &'t UnverifiedToken<'_>,
    row: &AppRow,
    cx: &Context,
) -> Result<&'t Claims, TokenError> {
    let now_s = cx.clock.now_s();
    let mut verified = Err(TokenError::Signature);
    for key in apps::keys(row, cx.clock.now_ms()) {
        verified = token.verify(key.expose().as_bytes(), now_s);
        if verified != Err(TokenError::Signature) {
            break;
        }
    }
    verified
}

fn check_signature(
    row: &AppRow,
    covered: &AccessSignature<'_>,
    signature: &str,
    now_ms: i64,
) -> Result<(), Error> {
    let matches = |key: &AppKey| covered.matches(key.expose().as_bytes(), signature);
    if apps::keys(row, now_ms).any(matches) {
        return Ok(());
    }
    let detail = "The signature does not match; compute hex(HMAC-SHA256(app_key, app_id + \"+\" + \
                  room_id + \"+\" + user_id + \"+\" + ctime)) with the plus signs and the app's \
                  private key.";
    Err(Error::refused(ErrorCode::TokenInvalid, detail))
}

/// Checks when a signature ends and says when its token shall.
fn check_ctime(ctime: &str, now_s: u64, tolerance_s: u32) -> Result<u64, Error> {
    let ctime_s: u64 = ctime.parse().map_err(|_| {
        let detail = "ctime is not a number of Unix seconds; send the time at which the signature \
                      ends.";
        Error::refused(ErrorCode::InvalidArgument, detail)
    })?;
    if ctime_s > now_s.saturating_add(SIGNATURE_AHEAD_S_MAX) {
        let detail = "ctime lies more than twelve hours ahead; sign for at most twelve hours, in \
                      seconds, and check the clocks of both machines.";
        return Err(Error::refused(ErrorCode::InvalidArgument, detail));
    }
    if now_s > ctime_s.saturating_add(u64::from(tolerance_s)) {
        let detail = "The signature has expired; get a new one, and check the clocks of both \
                      machines.";
        return Err(Error::refused(ErrorCode::TokenExpired, detail));
    }
    // Within the tolerance there must be time left to connect.
    Ok(ctime_s.max(now_s.saturating_add(CONNECT_S)))
}

fn join_claims(
    app: &AppId,
    room: &RoomName,
    user: &Identity,
    role: rtc_model::Role,
    exp: u64,
    name: String,
) -> Claims {
    Claims {
        iss: app.to_string(),
        sub: user.to_string(),
        exp: Some(exp),
        name,
        video: Some(VideoGrants::for_role(room, role)),
        ..Claims::default()
    }
}

fn identity(text: &str) -> Result<Identity, Error> {
    Identity::new(text).map_err(|error| out_of_shape("user_id", error))
}

fn out_of_shape(field: impl Display, _: IdError) -> Error {
    let detail = format!(
        "{field} has 1 to 256 bytes of UTF-8 and no control characters; choose such a value."
    );
    Error::refused(ErrorCode::InvalidArgument, detail)
}

fn refusal(error: TokenError) -> Error {
    Error::Refused(error.into())
}

fn time(unix_s: u64) -> String {
    rfc3339(i64::try_from(unix_s).unwrap_or(i64::MAX).saturating_mul(1_000))
}

const NAME_BYTES_MAX: usize = 256;
/// The guide's advice for signatures: two hours.
const LIFETIME_S_DEFAULT: u64 = 7_200;
/// The guide's product takes signatures of up to twelve hours.
const SIGNATURE_AHEAD_S_MAX: u64 = 12 * 3_600;
/// Time to set the connection up.
const CONNECT_S: u64 = 60;
