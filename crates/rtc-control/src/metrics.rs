//! What is counted about the control plane itself; webhooks count for themselves.

use std::{fmt, time::Duration};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _},
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        family::Family,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use rtc_api::code::ErrorCode;
use rtc_backends::Bus;

/// The counters; clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    answers: Family<AnswerLabels, Counter>,
    answer_seconds: Histogram,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    ask: &'static str,
    result: &'static str,
}

/// What a node asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    AuthorizeJoin,
    RefreshToken,
    /// What cannot be understood.
    Unknown,
}

impl Ask {
    const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizeJoin => "authorize_join",
            Self::RefreshToken => "refresh_token",
            Self::Unknown => "unknown",
        }
    }
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry, bus: &Bus) -> Self {
        let metrics = Self {
            answers: Family::default(),
            // 0.25 ms to 8 s: from a row in the page cache to the store's deadline.
            answer_seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 16)),
        };
        registry.register(
            "control_answers",
            "Answers to nodes, by what they asked and the code of the refusal",
            metrics.answers.clone(),
        );
        registry.register(
            "control_answer_seconds",
            "Time from taking up a node's request to its answer",
            metrics.answer_seconds.clone(),
        );
        registry.register_collector(Box::new(BusCollector(bus.clone())));
        metrics
    }

    /// `refused` is `None` for what was granted.
    pub(crate) fn count_answer(&self, ask: Ask, refused: Option<ErrorCode>, took: Duration) {
        let result = refused.map_or("granted", ErrorCode::as_str);
        self.answers.get_or_create(&AnswerLabels { ask: ask.as_str(), result }).inc();
        self.answer_seconds.observe(took.as_secs_f64());
    }
}

#[derive(Debug)]
struct BusCollector(Bus);

impl Collector for BusCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let dropped = ConstCounter::new(self.0.dropped_total());
        let help = "Announcements on the bus that found a subscriber's queue full";
        let name = "bus_announcements_dropped";
        let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        dropped.encode(metric)
    }
}
