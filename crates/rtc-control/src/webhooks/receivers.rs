//! Who is told about an app's rooms, and with which key.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use rtc_api::code::ErrorCode;
use rtc_model::{AppId, AppKey};

use crate::{Context, Error, apps};

/// The receivers of each app, read from the store and remembered for [`REMEMBERED`].
#[derive(Debug)]
pub(super) struct Receivers {
    cx: Context,
    everywhere: Vec<Receiver>,
    known: HashMap<AppId, (Instant, Arc<AppReceivers>)>,
}

/// Who is told about one app's rooms.
#[derive(Debug)]
pub(super) struct AppReceivers {
    /// Signs the events; `None` once the app is deleted.
    pub(super) key: Option<AppKey>,
    pub(super) receivers: Vec<Receiver>,
}

#[derive(Clone, Debug)]
pub(super) struct Receiver {
    pub(super) url: Arc<str>,
    events: Vec<String>,
}

impl Receiver {
    pub(super) fn wants(&self, event: &str) -> bool {
        self.events.is_empty() || self.events.iter().any(|wanted| wanted == event)
    }
}

impl Receivers {
    pub(super) fn new(cx: Context, everywhere: &[String]) -> Self {
        let everywhere = everywhere
            .iter()
            .map(|url| Receiver { url: url.as_str().into(), events: Vec::new() })
            .collect();
        Self { cx, everywhere, known: HashMap::new() }
    }

    /// The receivers of an app's events.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn of(
        &mut self,
        now: Instant,
        app: &AppId,
    ) -> Result<Arc<AppReceivers>, Error> {
        if let Some((until, known)) = self.known.get(app)
            && now < *until
        {
            return Ok(Arc::clone(known));
        }
        let key = key_of(&self.cx, app).await?;
        let mut receivers = self.everywhere.clone();
        for row in self.cx.db.webhooks().list(app).await? {
            if !receivers.iter().any(|known| *known.url == *row.url) {
                receivers.push(Receiver { url: row.url.into(), events: row.events });
            }
        }
        let found = Arc::new(AppReceivers { key, receivers });
        if self.known.len() >= REMEMBERED_MAX {
            self.known.clear();
        }
        self.known.insert(app.clone(), (now + REMEMBERED, Arc::clone(&found)));
        Ok(found)
    }

    /// The app was changed: what is known of it is stale.
    pub(super) fn forget(&mut self, app: &AppId) {
        self.known.remove(app);
    }
}

async fn key_of(cx: &Context, app: &AppId) -> Result<Option<AppKey>, Error> {
    match apps::find(cx, app).await {
        Ok(row) => Ok(Some(row.key)),
        Err(error) if error.code() == ErrorCode::AppNotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Changes are announced and take effect at once; this bounds how long a lost announcement, or a
/// change by another process, goes unnoticed.
const REMEMBERED: Duration = Duration::from_secs(10);
/// Apps remembered at a time.
const REMEMBERED_MAX: usize = 10_000;
