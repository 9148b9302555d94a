//! Tells apps' servers what happens in rooms: LiveKit's webhooks.
//!
//! Nodes announce [`RoomEvent`]s; each is signed with its app's key and posted to the URLs of the
//! configuration and of the app. Events of one room reach one URL in order, one after the other;
//! rooms and URLs do not wait for each other. What fails is tried again for about a minute. What
//! waits is bounded; what finds no place is dropped and counted. Deliveries live in memory: a crash
//! loses what had not arrived, a shutdown tries each once more.
//!
//! [`RoomEvent`]: rtc_api::cluster::RoomEvent

mod courier;
mod metrics;
mod outbox;
mod policy;
mod receivers;
mod schedule;
mod sign;
mod worker;

use std::{collections::BTreeSet, sync::Arc};

use futures_util::future::join_all;
use prometheus_client::registry::Registry;
use rtc_api::{
    cluster::{AppChanged, SUBJECT_APP_CHANGED},
    code::{ErrorCode, Refusal},
    rest::webhooks::{NewWebhook, WebhookList, WebhookView, WebhooksReplace},
};
use rtc_backends::db::WebhookRow;
use rtc_model::AppId;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Caller, Context, Error, Permission, Target, apps, context};

pub use policy::{Listening, OutboundPolicy, URL_BYTES_MAX, UrlRefusal};

use courier::Courier;
use receivers::Receivers;
use worker::Worker;

/// How webhooks are sent.
#[derive(Clone, Debug)]
pub struct WebhooksConfig {
    /// URLs that get every event of every app, each signed with that app's key.
    pub urls: Vec<String>,
    /// Where webhooks may go; binds the URLs above as well as those of apps.
    pub policy: Arc<OutboundPolicy>,
}

impl Default for WebhooksConfig {
    /// No URLs; apps may name public ones.
    fn default() -> Self {
        let policy = OutboundPolicy::new(Listening::Anywhere, Vec::new());
        Self { urls: Vec::new(), policy: Arc::new(policy) }
    }
}

/// The events there are, by LiveKit's names.
pub const EVENTS: [&str; 7] = [
    "room_started",
    "room_finished",
    "participant_joined",
    "participant_left",
    "participant_connection_aborted",
    "track_published",
    "track_unpublished",
];

/// The receivers of an app, in the order they were set.
///
/// # Errors
/// `forbidden`; `app_not_found`; [`Error::Store`].
pub async fn list(cx: &Context, caller: &Caller, app: &AppId) -> Result<WebhookList, Error> {
    caller.require(Permission::AppRead, Target::App(app))?;
    apps::find(cx, app).await?;
    Ok(view(cx.db.webhooks().list(app).await?))
}

/// Replaces the receivers of an app, from the next event on. A receiver that cannot be connected
/// to now is kept all the same and marked so: it may be started later.
///
/// # Errors
/// `forbidden`; `app_not_found`; `invalid_argument` for a URL that is not used (see
/// [`UrlRefusal`]), an unknown event, a URL named twice or more than [`PER_APP_MAX`];
/// [`Error::Store`]. The receivers are then as before.
pub async fn replace(
    cx: &Context,
    caller: &Caller,
    app: &AppId,
    wanted: &WebhooksReplace,
) -> Result<WebhookList, Error> {
    caller.require(Permission::AppUpdate, Target::App(app))?;
    apps::find(cx, app).await?;
    let policy = &cx.settings.webhooks.policy;
    let urls = check(policy, &wanted.items)?;
    let courier = Courier::new(Arc::clone(policy)).map_err(|error| no_client(&error))?;
    let reachable = join_all(urls.iter().map(|url| courier.is_reachable(url))).await;
    let rows: Vec<WebhookRow> = wanted
        .items
        .iter()
        .zip(reachable)
        .map(|(new, reachable)| WebhookRow {
            url: new.url.clone(),
            events: new.events.clone(),
            reachable,
        })
        .collect();
    cx.db.webhooks().replace(app, &rows, cx.clock.now_ms()).await?;
    let changed = context::encode(&AppChanged { app: app.clone() })?;
    cx.bus.publish(SUBJECT_APP_CHANGED, changed);
    Ok(view(rows))
}

/// Starts the task that sends webhooks. When `stop` is cancelled it tries what it has once more
/// and ends.
pub(crate) async fn start(
    cx: &Context,
    config: &WebhooksConfig,
    tasks: &TaskTracker,
    stop: &CancellationToken,
    metrics: &mut Registry,
) -> Result<(), Error> {
    for url in &config.urls {
        config.policy.check(url).map_err(|refusal| refused(url, &refusal))?;
    }
    let courier = Courier::new(Arc::clone(&config.policy)).map_err(|error| no_client(&error))?;
    let receivers = Receivers::new(cx.clone(), &config.urls);
    let worker = Worker::new(cx, receivers, courier, metrics::Metrics::register(metrics));
    tasks.spawn(worker.run(stop.clone()));
    Ok(())
}

fn view(rows: Vec<WebhookRow>) -> WebhookList {
    let view = |row: WebhookRow| WebhookView {
        url: row.url,
        events: row.events,
        reachable: row.reachable,
    };
    WebhookList { items: rows.into_iter().map(view).collect() }
}

fn check(policy: &OutboundPolicy, wanted: &[NewWebhook]) -> Result<Vec<reqwest::Url>, Error> {
    if wanted.len() > PER_APP_MAX {
        let detail = format!("An app may have {PER_APP_MAX} webhooks at most.");
        return Err(Error::refused(ErrorCode::InvalidArgument, detail));
    }
    let mut seen = BTreeSet::new();
    let mut urls = Vec::new();
    for webhook in wanted {
        let unknown = webhook.events.iter().find(|event| !EVENTS.contains(&event.as_str()));
        if let Some(event) = unknown {
            let known = EVENTS.join(", ");
            let detail = format!("There is no event {event:.60?}; there are {known}.");
            return Err(Error::refused(ErrorCode::InvalidArgument, detail));
        }
        if !seen.insert(&webhook.url) {
            let detail = format!("The URL {:.200} stands there twice.", webhook.url);
            return Err(Error::refused(ErrorCode::InvalidArgument, detail));
        }
        urls.push(policy.check(&webhook.url).map_err(|refusal| refused(&webhook.url, &refusal))?);
    }
    Ok(urls)
}

fn refused(url: &str, refusal: &UrlRefusal) -> Error {
    let detail = format!("The webhook URL {url:.200} is not used: {refusal}.");
    Error::refused(ErrorCode::InvalidArgument, detail)
}

fn no_client(error: &reqwest::Error) -> Error {
    tracing::error!(error = error as &dyn std::error::Error, "TLS cannot be set up");
    Refusal::from(ErrorCode::Internal).into()
}

/// Most receivers of one app: each event is posted to every one.
pub const PER_APP_MAX: usize = 10;

#[cfg(test)]
mod tests;
