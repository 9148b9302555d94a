//! Apps: making, finding, changing and deleting them.
//!
//! Whatever changes who may join is announced on the bus, so that no node goes on with what it
//! remembers. A deleted app's rooms are ended; its row stays without its keys, because its history
//! stays readable.

use rtc_api::{
    cluster::{AppChanged, RoomCall, SUBJECT_APP_CHANGED},
    code::{ErrorCode, Refusal},
    rest::{
        apps::{
            AppCreate, AppList, AppListQuery, AppUpdate, AppView, Authentication,
            AuthenticationUpdate, KeyRotate,
        },
        time::rfc3339,
    },
};
use rtc_backends::{
    BackendError, BackendErrorKind,
    db::{AppChange, AppPosition, AppQuery, AppRow, NewApp},
};
use rtc_model::{AppId, AppKey, AppKind, AppStatus};

use crate::{Caller, Context, Error, Permission, Target, context, random};

/// Creates an app, enabled and with join authentication, and shows it with its key.
///
/// # Errors
/// `invalid_argument` for a name out of shape, `conflict` for a name that is taken.
pub async fn create(cx: &Context, caller: &Caller, new: &AppCreate) -> Result<AppView, Error> {
    caller.require(Permission::AppCreate, Target::Server)?;
    check_name(&new.name)?;
    let app = NewApp {
        id: new_id()?,
        name: new.name.clone(),
        kind: new.kind,
        key: new_key()?,
        signature_tolerance_s: TOLERANCE_S_DEFAULT,
        created_at_ms: cx.clock.now_ms(),
    };
    let row = cx.db.apps().insert(&app).await.map_err(name_taken(&new.name))?;
    tracing::info!(app = %row.id, name = row.name, "app created");
    Ok(with_key(cx, &row))
}

/// Lists apps, newest first, without their keys. The app of `--dev` is not among them.
///
/// # Errors
/// `invalid_argument` for a limit or position out of shape.
pub async fn list(cx: &Context, caller: &Caller, query: &AppListQuery) -> Result<AppList, Error> {
    caller.require(Permission::AppRead, Target::Server)?;
    let limit = query.limit.unwrap_or(PAGE_ITEMS_DEFAULT);
    let limit_max = cx.limits.page_items_max;
    if limit == 0 || limit > limit_max {
        let detail = format!("limit is {limit}; give a number from 1 to {limit_max}.");
        return Err(Error::refused(ErrorCode::InvalidArgument, detail));
    }
    let after = query.after.as_deref().map(parse_position).transpose()?;
    let page = cx.db.apps().page(&AppQuery { status: query.status, after, limit }).await?;
    Ok(AppList {
        items: page.rows.iter().map(|row| view(cx, row)).collect(),
        next: page.next.as_ref().map(write_position),
    })
}

/// Shows an app, with its key to those who may see it.
///
/// # Errors
/// `app_not_found`.
pub async fn show(cx: &Context, caller: &Caller, id: &AppId) -> Result<AppView, Error> {
    caller.require(Permission::AppRead, Target::App(id))?;
    let row = find(cx, id).await?;
    match caller.require(Permission::AppKeyRead, Target::App(id)) {
        Ok(()) => Ok(with_key(cx, &row)),
        Err(_) => Ok(view(cx, &row)),
    }
}

/// Changes an app's name, type, status or authentication, and shows it.
///
/// # Errors
/// `app_not_found`; `conflict` for a name that is taken; `invalid_argument` for values out of
/// shape; `forbidden` for the app of `--dev`. Nothing is changed then.
pub async fn update(
    cx: &Context,
    caller: &Caller,
    id: &AppId,
    wanted: &AppUpdate,
) -> Result<AppView, Error> {
    caller.require(Permission::AppUpdate, Target::App(id))?;
    refuse_dev_pair(cx, id)?;
    if let Some(name) = &wanted.name {
        check_name(name)?;
    }
    let authentication = wanted.authentication.clone().unwrap_or_default();
    check_tolerance(&authentication)?;
    let change = AppChange {
        name: wanted.name.clone(),
        kind: wanted.kind,
        status: wanted.status,
        join_authentication: authentication.enabled,
        signature_tolerance_s: authentication.tolerance_s,
    };
    let taken = name_taken(wanted.name.as_deref().unwrap_or_default());
    let row = cx.db.apps().update(id, &change, cx.clock.now_ms()).await.map_err(|error| {
        if error.kind == BackendErrorKind::NotFound { not_found(id) } else { taken(error) }
    })?;
    announce(cx, id)?;
    tracing::info!(app = %id, status = %row.status, "app changed");
    if wanted.authentication.as_ref().is_some_and(|wanted| wanted.enabled == Some(false)) {
        tracing::warn!(app = %id, "anybody who knows the app ID may join its rooms now");
    }
    Ok(with_key(cx, &row))
}

/// Enables or disables an app, and shows it. A disabled app lets no new rooms and joins in; people
/// inside stay.
///
/// # Errors
/// As [`update`].
pub async fn set_status(
    cx: &Context,
    caller: &Caller,
    id: &AppId,
    status: AppStatus,
) -> Result<AppView, Error> {
    update(cx, caller, id, &AppUpdate { status: Some(status), ..AppUpdate::default() }).await
}

/// Gives an app a new key and shows it. Tokens of the old key count during the grace period.
///
/// # Errors
/// `app_not_found`; `invalid_argument` for a grace period out of range; `forbidden` for the app of
/// `--dev`. The key is then as before.
pub async fn rotate_key(
    cx: &Context,
    caller: &Caller,
    id: &AppId,
    wanted: &KeyRotate,
) -> Result<AppView, Error> {
    caller.require(Permission::AppUpdate, Target::App(id))?;
    refuse_dev_pair(cx, id)?;
    let grace_s = wanted.grace_s.unwrap_or(GRACE_S_DEFAULT);
    if grace_s > GRACE_S_MAX {
        let detail = format!("grace_s is {grace_s}; give a number from 0 to {GRACE_S_MAX}.");
        return Err(Error::refused(ErrorCode::InvalidArgument, detail));
    }
    let now_ms = cx.clock.now_ms();
    let until_ms = now_ms.saturating_add(i64::from(grace_s) * 1_000);
    let key = new_key()?;
    let rotated = cx.db.apps().rotate_key(id, &key, until_ms, now_ms).await;
    let row = rotated.map_err(|error| missing(error, id))?;
    announce(cx, id)?;
    tracing::info!(app = %id, grace_s, "the app's key was replaced");
    Ok(with_key(cx, &row))
}

/// Deletes an app: ends its rooms and voids its keys.
///
/// # Errors
/// `app_not_found`; `forbidden` for the app of `--dev`; [`Error::Bus`] when a node does not answer,
/// the app is then disabled and can be deleted later.
pub async fn delete(cx: &Context, caller: &Caller, id: &AppId) -> Result<(), Error> {
    caller.require(Permission::AppDelete, Target::App(id))?;
    refuse_dev_pair(cx, id)?;
    // Disabled first: nobody enters between the end of the rooms and the end of the app.
    let disabled = AppChange { status: Some(AppStatus::Disabled), ..AppChange::default() };
    let now_ms = cx.clock.now_ms();
    cx.db.apps().update(id, &disabled, now_ms).await.map_err(|error| missing(error, id))?;
    announce(cx, id)?;
    cx.tell_node(id, RoomCall::CloseAll).await?;
    cx.db.apps().delete(id, now_ms).await.map_err(|error| missing(error, id))?;
    announce(cx, id)?;
    // A join let in just before the app was disabled may have opened a room since.
    if let Err(error) = cx.tell_node(id, RoomCall::CloseAll).await {
        tracing::warn!(app = %id, %error, "rooms of a deleted app may be open until they are empty");
    }
    tracing::info!(app = %id, "app deleted");
    Ok(())
}

/// Finds an app, that of `--dev` among them. For use after the authorization.
///
/// # Errors
/// `app_not_found`.
pub(crate) async fn find(cx: &Context, id: &AppId) -> Result<AppRow, Error> {
    if let Some(row) = dev_row(cx).filter(|row| row.id == *id) {
        return Ok(row);
    }
    cx.db.apps().find(id).await?.ok_or_else(|| not_found(id))
}

/// The keys that count now, the newest first.
pub(crate) fn keys(row: &AppRow, now_ms: i64) -> impl Iterator<Item = &AppKey> {
    let previous = row.previous_key.as_ref().filter(|previous| now_ms < previous.until_ms);
    std::iter::once(&row.key).chain(previous.map(|previous| &previous.key))
}

fn dev_row(cx: &Context) -> Option<AppRow> {
    cx.settings.dev_pair.as_ref().map(|pair| AppRow {
        id: pair.id.clone(),
        name: pair.id.to_string(),
        kind: AppKind::Other,
        status: AppStatus::Enabled,
        key: pair.key.clone(),
        previous_key: None,
        join_authentication: true,
        signature_tolerance_s: TOLERANCE_S_DEFAULT,
        created_at_ms: 0,
        updated_at_ms: 0,
    })
}

fn refuse_dev_pair(cx: &Context, id: &AppId) -> Result<(), Error> {
    if cx.settings.dev_pair.as_ref().is_some_and(|pair| pair.id == *id) {
        let detail = "The development app comes from the configuration and cannot be changed; \
                      create an app of your own.";
        return Err(Error::refused(ErrorCode::Forbidden, detail));
    }
    Ok(())
}

fn announce(cx: &Context, id: &AppId) -> Result<(), Error> {
    let body = context::encode(&AppChanged { app: id.clone() })?;
    cx.bus.publish(SUBJECT_APP_CHANGED, body);
    Ok(())
}

fn not_found(id: &AppId) -> Error {
    let detail = format!("There is no app {id}; check the app ID.");
    Error::refused(ErrorCode::AppNotFound, detail)
}

fn missing(error: BackendError, id: &AppId) -> Error {
    if error.kind == BackendErrorKind::NotFound { not_found(id) } else { error.into() }
}

fn name_taken(name: &str) -> impl Fn(BackendError) -> Error {
    move |error| match error.kind {
        BackendErrorKind::Conflict => {
            let detail = format!("An app named {name} exists already; choose another name.");
            Refusal::new(ErrorCode::Conflict, detail).into()
        }
        _ => error.into(),
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    let detail = "An app's name has 1 to 64 letters, digits, hyphens (-) and underscores (_); \
                  choose such a name.";
    Err(Error::refused(ErrorCode::InvalidArgument, detail))
}

fn check_tolerance(wanted: &AuthenticationUpdate) -> Result<(), Error> {
    match wanted.tolerance_s {
        Some(seconds) if !(TOLERANCE_S_MIN..=TOLERANCE_S_MAX).contains(&seconds) => {
            let detail = format!(
                "authentication.tolerance_s is {seconds}; give a number from {TOLERANCE_S_MIN} to \
                 {TOLERANCE_S_MAX}."
            );
            Err(Error::refused(ErrorCode::InvalidArgument, detail))
        }
        _ => Ok(()),
    }
}

/// 32 lower-case hex characters.
fn new_id() -> Result<AppId, Error> {
    AppId::new(&hex::encode(random::bits_128()?))
        .map_err(|_| Refusal::from(ErrorCode::Internal).into())
}

/// 32 upper-case hex characters.
fn new_key() -> Result<AppKey, Error> {
    Ok(AppKey::new(&hex::encode_upper(random::bits_128()?)))
}

fn with_key(cx: &Context, row: &AppRow) -> AppView {
    AppView { app_key: Some(row.key.expose().to_owned()), ..view(cx, row) }
}

fn view(cx: &Context, row: &AppRow) -> AppView {
    let now_ms = cx.clock.now_ms();
    let previous = row.previous_key.as_ref().filter(|previous| now_ms < previous.until_ms);
    AppView {
        app_id: row.id.clone(),
        app_key: None,
        name: row.name.clone(),
        kind: row.kind,
        domain: format!("{}.{}", row.id, cx.settings.base_domain),
        status: row.status,
        authentication: Authentication {
            enabled: row.join_authentication,
            tolerance_s: row.signature_tolerance_s,
        },
        previous_key_until: previous.map(|previous| rfc3339(previous.until_ms)),
        created_at: rfc3339(row.created_at_ms),
        updated_at: rfc3339(row.updated_at_ms),
    }
}

/// A position as clients carry it: opaque to them, `<created_at_ms>-<id>` to us.
fn write_position(position: &AppPosition) -> String {
    format!("{}-{}", position.created_at_ms, position.id)
}

fn parse_position(text: &str) -> Result<AppPosition, Error> {
    let parsed = text.split_once('-').and_then(|(created_at_ms, id)| {
        Some(AppPosition { created_at_ms: created_at_ms.parse().ok()?, id: id.parse().ok()? })
    });
    parsed.ok_or_else(|| {
        let detail = "after is not a position of this list; send the next of the part before.";
        Error::refused(ErrorCode::InvalidArgument, detail)
    })
}

/// The guide's limit.
const NAME_BYTES_MAX: usize = 64;
const PAGE_ITEMS_DEFAULT: u32 = 50;
/// The range and default of Huawei's `authentication.expire`.
const TOLERANCE_S_MIN: u32 = 60;
const TOLERANCE_S_MAX: u32 = 2_592_000;
const TOLERANCE_S_DEFAULT: u32 = 300;
/// A day: every program that holds the old key can be restarted within working hours.
const GRACE_S_DEFAULT: u32 = 86_400;
const GRACE_S_MAX: u32 = 2_592_000;
