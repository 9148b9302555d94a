//! Apps: what they are called, their keys, their status.
//!
//! The rows of deleted apps stay, without keys, because their history stays readable; nothing here
//! returns them.

use rtc_model::{AppId, AppKey, AppKind, AppStatus};
use sqlx::{Row as _, any::AnyRow};

use super::{Db, bounded};
use crate::{BackendError, BackendErrorKind};

/// The apps in the store.
#[derive(Clone, Copy, Debug)]
pub struct Apps<'a> {
    db: &'a Db,
}

/// An app as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppRow {
    /// Its id, which is also the issuer of its tokens.
    pub id: AppId,
    /// Its name, unique among the apps that are not deleted.
    pub name: String,
    /// What it is for.
    pub kind: AppKind,
    /// Whether rooms and joins are let in.
    pub status: AppStatus,
    /// The key that signs and verifies.
    pub key: AppKey,
    /// The key before the last rotation.
    pub previous_key: Option<PreviousKey>,
    /// Whether joining needs a good token or signature.
    pub join_authentication: bool,
    /// How many seconds after its `ctime` an access signature still counts.
    pub signature_tolerance_s: u32,
    /// When it was made, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// When it was last changed, in milliseconds since 1970.
    pub updated_at_ms: i64,
}

/// A key that was replaced and still verifies for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousKey {
    /// The key.
    pub key: AppKey,
    /// Until when it verifies, in milliseconds since 1970.
    pub until_ms: i64,
}

/// An app to store.
#[derive(Clone, Debug)]
pub struct NewApp {
    /// Its id.
    pub id: AppId,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub kind: AppKind,
    /// Its key.
    pub key: AppKey,
    /// How many seconds after its `ctime` an access signature still counts.
    pub signature_tolerance_s: u32,
    /// Now, in milliseconds since 1970.
    pub created_at_ms: i64,
}

/// What to change; `None` leaves a value as it is.
#[derive(Clone, Debug, Default)]
pub struct AppChange {
    /// A new name.
    pub name: Option<String>,
    /// A new type.
    pub kind: Option<AppKind>,
    /// A new status.
    pub status: Option<AppStatus>,
    /// Joining needs a good token or signature, or does not.
    pub join_authentication: Option<bool>,
    /// A new tolerance.
    pub signature_tolerance_s: Option<u32>,
}

/// Which apps to list.
#[derive(Clone, Debug)]
pub struct AppQuery {
    /// Only those of this status.
    pub status: Option<AppStatus>,
    /// Only those that come after this position.
    pub after: Option<AppPosition>,
    /// At most so many.
    pub limit: u32,
}

/// A place in the list of apps, which runs from the newest to the oldest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppPosition {
    /// When the app before it was made, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// The id of the app before it.
    pub id: AppId,
}

/// A part of the list of apps.
#[derive(Clone, Debug)]
pub struct AppPage {
    /// The apps, newest first.
    pub rows: Vec<AppRow>,
    /// Where the list goes on; `None` at its end.
    pub next: Option<AppPosition>,
}

/// Every column of [`AppRow`], in one place for all statements.
macro_rules! columns {
    () => {
        "id, name, kind, status, app_key, previous_key, previous_key_until_ms, \
         join_authentication, signature_tolerance_s, created_at_ms, updated_at_ms"
    };
}

impl<'a> Apps<'a> {
    pub(super) const fn new(db: &'a Db) -> Self {
        Self { db }
    }

    /// Stores a new app, enabled and with join authentication on.
    ///
    /// # Errors
    /// `Conflict` when the name or id is taken; nothing is stored then.
    pub async fn insert(&self, app: &NewApp) -> Result<AppRow, BackendError> {
        let insert = sqlx::query(concat!(
            "INSERT INTO apps (id, name, kind, status, app_key, join_authentication, \
             signature_tolerance_s, created_at_ms, updated_at_ms) \
             VALUES ($1, $2, $3, $4, $5, 1, $6, $7, $7) RETURNING ",
            columns!()
        ))
        .bind(app.id.as_str())
        .bind(app.name.as_str())
        .bind(app.kind.as_str())
        .bind(AppStatus::Enabled.as_str())
        .bind(app.key.expose())
        .bind(i64::from(app.signature_tolerance_s))
        .bind(app.created_at_ms)
        .try_map(|row: AnyRow| app_row(&row));
        bounded(insert.fetch_one(&self.db.writer)).await
    }

    /// Finds an app by its id.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn find(&self, id: &AppId) -> Result<Option<AppRow>, BackendError> {
        let select = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM apps WHERE id = $1 AND deleted_at_ms IS NULL"
        ))
        .bind(id.as_str())
        .try_map(|row: AnyRow| app_row(&row));
        bounded(select.fetch_optional(&self.db.reader)).await
    }

    /// Lists apps, newest first. An app made meanwhile never moves the rest of the list.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn page(&self, query: &AppQuery) -> Result<AppPage, BackendError> {
        let after = query.after.as_ref();
        let select = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM apps WHERE deleted_at_ms IS NULL AND ($1 = '' OR status = $1) \
             AND (created_at_ms < $2 OR (created_at_ms = $2 AND id < $3)) \
             ORDER BY created_at_ms DESC, id DESC LIMIT $4"
        ))
        .bind(query.status.map_or("", AppStatus::as_str))
        .bind(after.map_or(i64::MAX, |position| position.created_at_ms))
        .bind(after.map_or("", |position| position.id.as_str()))
        // One more than asked for tells whether the list goes on.
        .bind(i64::from(query.limit) + 1)
        .try_map(|row: AnyRow| app_row(&row));
        let mut rows = bounded(select.fetch_all(&self.db.reader)).await?;
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let goes_on = rows.len() > limit;
        rows.truncate(limit);
        let next = rows
            .last()
            .filter(|_| goes_on)
            .map(|last| AppPosition { created_at_ms: last.created_at_ms, id: last.id.clone() });
        Ok(AppPage { rows, next })
    }

    /// Changes an app and returns it as it is then.
    ///
    /// # Errors
    /// `NotFound` when there is none, `Conflict` when the new name is taken; nothing is changed
    /// then.
    pub async fn update(
        &self,
        id: &AppId,
        change: &AppChange,
        now_ms: i64,
    ) -> Result<AppRow, BackendError> {
        let update = sqlx::query(concat!(
            "UPDATE apps SET name = COALESCE($2, name), kind = COALESCE($3, kind), \
             status = COALESCE($4, status), \
             join_authentication = COALESCE($5, join_authentication), \
             signature_tolerance_s = COALESCE($6, signature_tolerance_s), updated_at_ms = $7 \
             WHERE id = $1 AND deleted_at_ms IS NULL RETURNING ",
            columns!()
        ))
        .bind(id.as_str())
        .bind(change.name.as_deref())
        .bind(change.kind.map(AppKind::as_str))
        .bind(change.status.map(AppStatus::as_str))
        .bind(change.join_authentication.map(i64::from))
        .bind(change.signature_tolerance_s.map(i64::from))
        .bind(now_ms)
        .try_map(|row: AnyRow| app_row(&row));
        bounded(update.fetch_one(&self.db.writer)).await
    }

    /// Replaces an app's key; the old one still verifies until `previous_until_ms`. A key that was
    /// replaced earlier ends at once.
    ///
    /// # Errors
    /// `NotFound` when there is no such app.
    pub async fn rotate_key(
        &self,
        id: &AppId,
        key: &AppKey,
        previous_until_ms: i64,
        now_ms: i64,
    ) -> Result<AppRow, BackendError> {
        let update = sqlx::query(concat!(
            "UPDATE apps SET previous_key = app_key, previous_key_until_ms = $3, app_key = $2, \
             updated_at_ms = $4 WHERE id = $1 AND deleted_at_ms IS NULL RETURNING ",
            columns!()
        ))
        .bind(id.as_str())
        .bind(key.expose())
        .bind(previous_until_ms)
        .bind(now_ms)
        .try_map(|row: AnyRow| app_row(&row));
        bounded(update.fetch_one(&self.db.writer)).await
    }

    /// Deletes an app: its keys are wiped, its name is free again, its row stays.
    ///
    /// # Errors
    /// `NotFound` when there is no such app.
    pub async fn delete(&self, id: &AppId, now_ms: i64) -> Result<(), BackendError> {
        let update = sqlx::query(
            "UPDATE apps SET deleted_at_ms = $2, updated_at_ms = $2, app_key = '', \
             previous_key = NULL, previous_key_until_ms = NULL \
             WHERE id = $1 AND deleted_at_ms IS NULL",
        )
        .bind(id.as_str())
        .bind(now_ms);
        match bounded(update.execute(&self.db.writer)).await?.rows_affected() {
            0 => Err(BackendError::new(BackendErrorKind::NotFound)),
            _ => Ok(()),
        }
    }
}

fn app_row(row: &AnyRow) -> Result<AppRow, sqlx::Error> {
    let previous_key: Option<String> = row.try_get("previous_key")?;
    let previous_until_ms: Option<i64> = row.try_get("previous_key_until_ms")?;
    Ok(AppRow {
        id: AppId::new(&text(row, "id")?).map_err(undecodable)?,
        name: text(row, "name")?,
        kind: text(row, "kind")?.parse().map_err(undecodable)?,
        status: text(row, "status")?.parse().map_err(undecodable)?,
        key: AppKey::new(&text(row, "app_key")?),
        previous_key: previous_key
            .zip(previous_until_ms)
            .map(|(key, until_ms)| PreviousKey { key: AppKey::new(&key), until_ms }),
        join_authentication: row.try_get::<i64, _>("join_authentication")? != 0,
        signature_tolerance_s: u32::try_from(row.try_get::<i64, _>("signature_tolerance_s")?)
            .map_err(undecodable)?,
        created_at_ms: row.try_get("created_at_ms")?,
        updated_at_ms: row.try_get("updated_at_ms")?,
    })
}

fn text(row: &AnyRow, column: &str) -> Result<String, sqlx::Error> {
    row.try_get(column)
}

fn undecodable(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}
