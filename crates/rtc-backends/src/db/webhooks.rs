//! Where an app's room events are sent.

use rtc_model::AppId;
use sqlx::{Row as _, any::AnyRow};

use super::{Db, bounded};
use crate::BackendError;

/// The webhooks of apps in the store.
#[derive(Clone, Copy, Debug)]
pub struct Webhooks<'a> {
    db: &'a Db,
}

/// A receiver of an app's events, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookRow {
    /// Where events are posted; unique in its app.
    pub url: String,
    /// The events wanted, by LiveKit's names; empty means all.
    pub events: Vec<String>,
    /// Whether the receiver could be connected to when the URL was set.
    pub reachable: bool,
}

impl<'a> Webhooks<'a> {
    pub(super) const fn new(db: &'a Db) -> Self {
        Self { db }
    }

    /// The receivers of an app, in the order they were set.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn list(&self, app: &AppId) -> Result<Vec<WebhookRow>, BackendError> {
        let select = sqlx::query(
            "SELECT url, events, reachable FROM app_webhooks WHERE app_id = $1 ORDER BY position",
        )
        .bind(app.as_str())
        .try_map(|row: AnyRow| webhook_row(&row));
        bounded(select.fetch_all(&self.db.reader)).await
    }

    /// Replaces the receivers of an app; an empty list removes them.
    ///
    /// # Errors
    /// `Conflict` when a URL stands in the list twice. The receivers are then as before.
    pub async fn replace(
        &self,
        app: &AppId,
        rows: &[WebhookRow],
        now_ms: i64,
    ) -> Result<(), BackendError> {
        bounded(async {
            let mut transaction = self.db.writer.begin().await?;
            sqlx::query("DELETE FROM app_webhooks WHERE app_id = $1")
                .bind(app.as_str())
                .execute(&mut *transaction)
                .await?;
            for (position, row) in (0_i64..).zip(rows) {
                sqlx::query(
                    "INSERT INTO app_webhooks \
                     (app_id, url, position, events, reachable, created_at_ms) \
                     VALUES ($1, $2, $3, $4, $5, $6)",
                )
                .bind(app.as_str())
                .bind(row.url.as_str())
                .bind(position)
                .bind(row.events.join(" "))
                .bind(i64::from(row.reachable))
                .bind(now_ms)
                .execute(&mut *transaction)
                .await?;
            }
            transaction.commit().await
        })
        .await
    }
}

fn webhook_row(row: &AnyRow) -> Result<WebhookRow, sqlx::Error> {
    let events: String = row.try_get("events")?;
    Ok(WebhookRow {
        url: row.try_get("url")?,
        events: events.split_whitespace().map(str::to_owned).collect(),
        reachable: row.try_get::<i64, _>("reachable")? != 0,
    })
}
