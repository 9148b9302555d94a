//! The task that turns announcements into deliveries and brings them out.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use rtc_api::{
    cluster::{AppChanged, RoomEvent, SUBJECT_APP_CHANGED, SUBJECT_ROOM_EVENTS},
    proto,
};
use rtc_backends::bus::Subscription;
use tokio_util::sync::CancellationToken;

use super::{
    courier::{Courier, DeliveryError},
    metrics::{Delivered, Metrics, Tried},
    outbox::{Attempt, Bounds, Delivery, Fate, Outbox, Outcome},
    receivers::Receivers,
    schedule::Schedule,
    sign,
};
use crate::{Clock, Context, context};

/// Owns everything about webhooks under way; one task, so nothing is locked.
pub(super) struct Worker {
    events: Subscription,
    changes: Subscription,
    clock: Clock,
    receivers: Receivers,
    courier: Courier,
    metrics: Metrics,
    outbox: Outbox,
    flying: FuturesUnordered<BoxFuture<'static, Landed>>,
    /// The server stops: a failed delivery is not worth a wait.
    stopping: bool,
    /// When a person was last told that a delivery was given up.
    warned: Option<Instant>,
}

/// An attempt that has ended.
struct Landed {
    attempt: Attempt,
    result: Result<(), DeliveryError>,
    took: Duration,
}

/// What the task wakes up for.
enum Wake {
    Event(Vec<u8>),
    Changed(Vec<u8>),
    Landed(Box<Landed>),
    Due,
    Stop,
}

impl Worker {
    /// Subscribes at once, so that nothing announced from here on is missed.
    pub(super) fn new(
        cx: &Context,
        receivers: Receivers,
        courier: Courier,
        metrics: Metrics,
    ) -> Self {
        Self {
            events: cx.bus.subscribe(SUBJECT_ROOM_EVENTS, EVENTS_QUEUED),
            changes: cx.bus.subscribe(SUBJECT_APP_CHANGED, CHANGES_QUEUED),
            clock: cx.clock.clone(),
            receivers,
            courier,
            metrics,
            outbox: Outbox::new(Schedule::default(), Bounds::default(), rand::random()),
            flying: FuturesUnordered::new(),
            stopping: false,
            warned: None,
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            match self.wake(&stop).await {
                Wake::Event(body) => self.take(&body).await,
                Wake::Changed(body) => self.forget(&body),
                Wake::Landed(landed) => self.land(&landed),
                Wake::Due => {}
                Wake::Stop => break,
            }
            self.launch();
        }
        self.finish().await;
    }

    async fn wake(&mut self, stop: &CancellationToken) -> Wake {
        let due = self.outbox.next_due();
        let due = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => Wake::Stop,
            // Before the events, so that an event after a change already meets it.
            Some(body) = self.changes.next() => Wake::Changed(body),
            Some(landed) = self.flying.next() => Wake::Landed(Box::new(landed)),
            event = self.events.next() => event.map_or(Wake::Stop, Wake::Event),
            () = due => Wake::Due,
        }
    }

    /// Takes in what is announced already, tries everything once, and ends. The caller bounds how
    /// long that may take.
    async fn finish(mut self) {
        self.stopping = true;
        while let Some(Some(body)) = self.events.next().now_or_never() {
            self.take(&body).await;
        }
        self.outbox.hurry();
        self.launch();
        while let Some(landed) = self.flying.next().await {
            self.land(&landed);
            self.launch();
        }
    }

    /// Makes one event a delivery to each of its receivers.
    async fn take(&mut self, body: &[u8]) {
        // What cannot be read is logged there.
        let Ok(RoomEvent { app, event }) = context::decode(body) else { return };
        let now = Instant::now();
        let found = match self.receivers.of(now, &app).await {
            Ok(found) => found,
            Err(error) => {
                error.log();
                self.metrics.count_delivery(Delivered::NoKey);
                return;
            }
        };
        let wanting = found.receivers.iter().filter(|receiver| receiver.wants(&event.event));
        let urls: Vec<Arc<str>> = wanting.map(|receiver| Arc::clone(&receiver.url)).collect();
        if urls.is_empty() {
            return;
        }
        let Some(key) = &found.key else {
            self.metrics.count_delivery(Delivered::NoKey);
            return;
        };
        let room: Arc<str> = event.room.as_ref().map_or("", |room| room.name.as_str()).into();
        let now_s = self.clock.now_s();
        let Some((body, authorization)) =
            written(complete(event, now_s), |body| sign::authorization(&app, key, body, now_s))
        else {
            return;
        };
        for url in urls {
            let (app, room, body) = (app.clone(), Arc::clone(&room), Arc::clone(&body));
            let authorization = Arc::clone(&authorization);
            let delivery = Delivery { url, app, room, body, authorization };
            if self.outbox.push(now, delivery).is_err() {
                self.metrics.count_delivery(Delivered::QueueFull);
            }
        }
        self.metrics.set_waiting(self.outbox.len());
    }

    fn forget(&mut self, body: &[u8]) {
        if let Ok(AppChanged { app }) = context::decode(body) {
            self.receivers.forget(&app);
        }
    }

    fn launch(&mut self) {
        while let Some(attempt) = self.outbox.poll(Instant::now()) {
            let courier = self.courier.clone();
            self.flying.push(Box::pin(async move {
                let started = Instant::now();
                let result = courier.deliver(&attempt.delivery).await;
                Landed { attempt, result, took: started.elapsed() }
            }));
        }
    }

    fn land(&mut self, landed: &Landed) {
        let lane = landed.attempt.lane;
        let tried = landed.result.as_ref().map_or_else(tried, |()| Tried::Delivered);
        self.metrics.count_attempt(tried, landed.took.as_secs_f64());
        let outcome = match &landed.result {
            Ok(()) => Outcome::Delivered,
            Err(_) if self.stopping => Outcome::Refused,
            Err(error) => error.outcome(),
        };
        match self.outbox.finish(Instant::now(), lane, outcome) {
            Fate::Delivered => self.metrics.count_delivery(Delivered::Yes),
            Fate::Waits => {}
            Fate::GivenUp => {
                self.metrics.count_delivery(Delivered::GivenUp);
                self.tell(landed);
            }
        }
        self.metrics.set_waiting(self.outbox.len());
    }

    /// Tells a person that an event was given up; once a minute, because any app's owner can name
    /// a receiver that fails.
    fn tell(&mut self, landed: &Landed) {
        let now = Instant::now();
        if self.warned.is_some_and(|warned| now - warned < WARNED_EVERY) {
            return;
        }
        self.warned = Some(now);
        let Attempt { delivery, number: attempts, .. } = &landed.attempt;
        let error = landed.result.as_ref().err().map(|error| error as &dyn std::error::Error);
        // The URL may hold a secret of its owner's; its host does not.
        let url = reqwest::Url::parse(&delivery.url).ok();
        let host = url.as_ref().and_then(|url| url.host_str()).unwrap_or_default();
        let app = &delivery.app;
        tracing::warn!(error, %app, host, attempts, "a webhook could not be delivered");
    }
}

/// Gives the event what its receiver tells repetitions by.
fn complete(event: proto::WebhookEvent, now_s: u64) -> proto::WebhookEvent {
    let created_at = match event.created_at {
        0 => i64::try_from(now_s).unwrap_or(i64::MAX),
        given => given,
    };
    let id = format!("EV_{}", hex::encode(rand::random::<[u8; 12]>()));
    proto::WebhookEvent { id, created_at, ..event }
}

type Written = (Arc<[u8]>, Arc<str>);

/// The event as proto3 JSON, and its signature.
fn written<E: std::fmt::Display>(
    event: proto::WebhookEvent,
    sign: impl FnOnce(&[u8]) -> Result<String, E>,
) -> Option<Written> {
    let body = match serde_json::to_vec(&event) {
        Ok(body) => body,
        Err(error) => {
            tracing::error!(%error, "a room event cannot be written");
            return None;
        }
    };
    match sign(&body) {
        Ok(authorization) => Some((body.into(), authorization.into())),
        Err(error) => {
            tracing::error!(%error, "a webhook cannot be signed");
            None
        }
    }
}

fn tried(error: &DeliveryError) -> Tried {
    match error {
        DeliveryError::Url(_) => Tried::Forbidden,
        DeliveryError::Redirect => Tried::Refused,
        DeliveryError::Status { .. } => match error.outcome() {
            Outcome::Failed { .. } => Tried::Busy,
            Outcome::Delivered | Outcome::Refused => Tried::Refused,
        },
        DeliveryError::Timeout => Tried::Timeout,
        DeliveryError::Transport(_) => Tried::Unreachable,
    }
}

/// The metrics count the rest.
const WARNED_EVERY: Duration = Duration::from_secs(60);
/// A burst of joins is some thousand events; each takes well under a millisecond to take in.
const EVENTS_QUEUED: usize = 16_384;
/// Changes are rare; one that is missed is noticed within seconds.
const CHANGES_QUEUED: usize = 256;
