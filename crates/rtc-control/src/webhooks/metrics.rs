//! What is counted about webhooks.

use std::fmt;

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

/// The counters; clones count together.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    /// What became of each event for each URL.
    deliveries: Family<DeliveryLabels, Counter>,
    /// How each HTTP attempt ended.
    attempts: Family<AttemptLabels, Counter>,
    attempt_seconds: Histogram,
    waiting: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeliveryLabels {
    result: Delivered,
}

/// The end of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Delivered {
    /// The receiver took it.
    Yes,
    /// The receiver refused it, or the last attempt failed.
    GivenUp,
    /// There was no place to wait.
    QueueFull,
    /// The app is gone, or its key could not be read.
    NoKey,
}

impl Delivered {
    const ALL: [Self; 4] = [Self::Yes, Self::GivenUp, Self::QueueFull, Self::NoKey];
}

impl EncodeLabelValue for Delivered {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let word = match self {
            Self::Yes => "delivered",
            Self::GivenUp => "given_up",
            Self::QueueFull => "queue_full",
            Self::NoKey => "no_key",
        };
        word.encode(encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    result: Tried,
}

/// The end of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Tried {
    Delivered,
    /// Status 5xx, 408, 425 or 429.
    Busy,
    /// Another status, a redirect that is not followed.
    Refused,
    /// The URL leads where we do not go.
    Forbidden,
    Timeout,
    /// No connection, or it broke off.
    Unreachable,
}

impl Tried {
    const ALL: [Self; 6] = [
        Self::Delivered,
        Self::Busy,
        Self::Refused,
        Self::Forbidden,
        Self::Timeout,
        Self::Unreachable,
    ];
}

impl EncodeLabelValue for Tried {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let word = match self {
            Self::Delivered => "delivered",
            Self::Busy => "busy",
            Self::Refused => "refused",
            Self::Forbidden => "forbidden",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
        };
        word.encode(encoder)
    }
}

impl Metrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            deliveries: Family::default(),
            attempts: Family::default(),
            // 4 ms to 8 s: from a receiver next door to the attempt's deadline.
            attempt_seconds: Histogram::new(exponential_buckets(0.004, 2.0, 12)),
            waiting: Gauge::default(),
        };
        registry.register(
            "webhook_deliveries",
            "Room events by what became of them, for each URL",
            metrics.deliveries.clone(),
        );
        registry.register(
            "webhook_attempts",
            "HTTP requests of webhooks by how they ended",
            metrics.attempts.clone(),
        );
        registry.register(
            "webhook_attempt_seconds",
            "Time until a webhook's receiver had answered, or had not",
            metrics.attempt_seconds.clone(),
        );
        registry.register(
            "webhook_waiting",
            "Room events waiting for their delivery, for each URL",
            metrics.waiting.clone(),
        );
        // A series that begins at zero shows its first step, too.
        for result in Delivered::ALL {
            drop(metrics.deliveries.get_or_create(&DeliveryLabels { result }));
        }
        for result in Tried::ALL {
            drop(metrics.attempts.get_or_create(&AttemptLabels { result }));
        }
        metrics
    }

    pub(super) fn count_delivery(&self, result: Delivered) {
        self.deliveries.get_or_create(&DeliveryLabels { result }).inc();
    }

    pub(super) fn count_attempt(&self, result: Tried, seconds: f64) {
        self.attempts.get_or_create(&AttemptLabels { result }).inc();
        self.attempt_seconds.observe(seconds);
    }

    pub(super) fn set_waiting(&self, deliveries: usize) {
        self.waiting.set(i64::try_from(deliveries).unwrap_or(i64::MAX));
    }
}
