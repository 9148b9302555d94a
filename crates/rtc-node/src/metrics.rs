//! What a node shows in `/metrics`. Packet threads count for themselves; their sums arrive here once a
//! second.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use rtc_media::stats::RoomStats;

use crate::{
    data::DataDrop,
    thread::{ThreadCounters, Undeliverable},
};

type Labelled = Family<[(&'static str, &'static str); 1], Counter>;

/// The node's metrics; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Metrics {
    rooms: Gauge,
    participants: Gauge,
    /// Signalling connections now.
    pub(crate) sessions: Gauge,
    joins: Labelled,
    packets_received: Counter,
    bytes_received: Counter,
    packets_forwarded: Counter,
    bytes_forwarded: Counter,
    datagrams_received: Counter,
    datagrams_sent: Counter,
    dropped: Labelled,
    keyframe_requests: Counter,
    keyframe_requests_merged: Counter,
    layer_switches: Counter,
    pauses: Counter,
    messages_received: Counter,
    messages_sent: Counter,
    messages_dropped: Labelled,
    send_failures: Counter,
    rooms_panicked: Counter,
    session_overflows: Counter,
    facts_dropped: Counter,
    /// Signalling messages that could not be read.
    pub(crate) signals_malformed: Counter,
    /// Times a session had to wait because it sent messages too fast.
    pub(crate) signals_throttled: Counter,
}

/// How a join or resume ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JoinOutcome {
    /// The join response was sent.
    Joined,
    /// The session was resumed.
    Resumed,
    /// The session could not be resumed; the client was told to rejoin.
    NotResumable,
    /// Refused, for this reason.
    Refused(rtc_api::code::ErrorCode),
}

impl Metrics {
    /// Registers everything.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        metrics.register_gauges(registry);
        metrics.register_packets(registry);
        metrics.register_rest(registry);
        metrics
    }

    /// Counts a join.
    pub(crate) fn join(&self, outcome: JoinOutcome) {
        let outcome = match outcome {
            JoinOutcome::Joined => "joined",
            JoinOutcome::Resumed => "resumed",
            JoinOutcome::NotResumable => "not_resumable",
            JoinOutcome::Refused(code) => code.as_str(),
        };
        self.joins.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// Takes over what a thread counted since `former`.
    pub(crate) fn add(&self, former: &ThreadCounters, counters: &ThreadCounters) {
        self.add_rooms(&former.rooms, &counters.rooms);
        let words = Undeliverable::WORDS.into_iter();
        let pairs = former.undeliverable_total.iter().zip(&counters.undeliverable_total);
        for (word, (former, count)) in words.zip(pairs) {
            self.dropped.get_or_create(&[("reason", word)]).inc_by(count - former);
        }
        let words = DataDrop::ALL.into_iter().map(DataDrop::as_str);
        let pairs = former.data_dropped_total.iter().zip(&counters.data_dropped_total);
        for (word, (former, count)) in words.zip(pairs) {
            self.messages_dropped.get_or_create(&[("reason", word)]).inc_by(count - former);
        }
        let grow = |counter: &Counter, former: u64, count: u64| counter.inc_by(count - former);
        grow(&self.send_failures, former.send_failures_total, counters.send_failures_total);
        grow(&self.rooms_panicked, former.rooms_panicked_total, counters.rooms_panicked_total);
        grow(
            &self.session_overflows,
            former.session_overflows_total,
            counters.session_overflows_total,
        );
        grow(&self.facts_dropped, former.facts_dropped_total, counters.facts_dropped_total);
        let change = |gauge: &Gauge, former: u64, count: u64| {
            let signed = |value| i64::try_from(value).unwrap_or(i64::MAX);
            gauge.inc_by(signed(count) - signed(former));
        };
        change(&self.rooms, former.rooms_open, counters.rooms_open);
        change(&self.participants, former.participants, counters.participants);
    }

    fn add_rooms(&self, former: &RoomStats, stats: &RoomStats) {
        let grow = |counter: &Counter<u64, AtomicU64>, former: u64, count: u64| {
            counter.inc_by(count.saturating_sub(former))
        };
        grow(
            &self.datagrams_received,
            former.datagrams_received_total,
            stats.datagrams_received_total,
        );
        grow(&self.packets_received, former.packets_received_total, stats.packets_received_total);
        grow(&self.bytes_received, former.bytes_received_total, stats.bytes_received_total);
        grow(
            &self.packets_forwarded,
            former.packets_forwarded_total,
            stats.packets_forwarded_total,
        );
        grow(&self.bytes_forwarded, former.bytes_forwarded_total, stats.bytes_forwarded_total);
        grow(&self.datagrams_sent, former.datagrams_sent_total, stats.datagrams_sent_total);
        grow(
            &self.keyframe_requests,
            former.keyframe_requests_total,
            stats.keyframe_requests_total,
        );
        grow(
            &self.keyframe_requests_merged,
            former.keyframe_requests_merged_total,
            stats.keyframe_requests_merged_total,
        );
        grow(&self.layer_switches, former.layer_switches_total, stats.layer_switches_total);
        grow(&self.pauses, former.pauses_total, stats.pauses_total);
        grow(
            &self.messages_received,
            former.messages_received_total,
            stats.messages_received_total,
        );
        grow(&self.messages_sent, former.messages_sent_total, stats.messages_sent_total);
        let dropped = self.messages_dropped.get_or_create(&[("reason", "not_deliverable")]);
        grow(&dropped, former.messages_dropped_total, stats.messages_dropped_total);
        let pairs = former.dropped_total.iter().zip(&stats.dropped_total);
        for (word, (former, count)) in RoomStats::DROP_REASONS.into_iter().zip(pairs) {
            grow(&self.dropped.get_or_create(&[("reason", word)]), *former, *count);
        }
    }

    fn register_gauges(&self, registry: &mut Registry) {
        registry.register("rooms", "Open rooms", self.rooms.clone());
        registry.register("participants", "Participants in rooms", self.participants.clone());
        registry.register("sessions", "Open signalling connections", self.sessions.clone());
    }

    fn register_packets(&self, registry: &mut Registry) {
        let counters: [(&str, &str, &Counter); 8] = [
            ("datagrams_received", "UDP datagrams taken by rooms", &self.datagrams_received),
            ("datagrams_sent", "UDP datagrams sent", &self.datagrams_sent),
            ("rtp_packets_received", "RTP packets taken from publishers", &self.packets_received),
            (
                "rtp_bytes_received",
                "Bytes of RTP packets taken from publishers",
                &self.bytes_received,
            ),
            (
                "rtp_packets_forwarded",
                "RTP packets written to subscribers",
                &self.packets_forwarded,
            ),
            (
                "rtp_bytes_forwarded",
                "Bytes of RTP packets written to subscribers",
                &self.bytes_forwarded,
            ),
            ("datagrams_send_failed", "UDP datagrams the kernel did not take", &self.send_failures),
            ("layer_switches", "Layer changes of subscriptions", &self.layer_switches),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        let help = "UDP datagrams and RTP packets dropped, by reason";
        registry.register("packets_dropped", help, self.dropped.clone());
    }

    fn register_rest(&self, registry: &mut Registry) {
        let counters: [(&str, &str, &Counter); 10] = [
            ("keyframe_requests", "Keyframe requests sent to publishers", &self.keyframe_requests),
            (
                "keyframe_requests_merged",
                "Keyframe requests merged into one under way",
                &self.keyframe_requests_merged,
            ),
            ("subscription_pauses", "Subscriptions paused for lack of bandwidth", &self.pauses),
            ("messages_received", "Data messages received", &self.messages_received),
            ("messages_sent", "Data messages written", &self.messages_sent),
            ("rooms_panicked", "Rooms closed by a bug", &self.rooms_panicked),
            (
                "session_overflows",
                "Sessions cut because their queue was full",
                &self.session_overflows,
            ),
            ("facts_dropped", "Room events lost because their queue was full", &self.facts_dropped),
            (
                "signals_malformed",
                "Signalling messages that could not be read",
                &self.signals_malformed,
            ),
            ("signals_throttled", "Waits of sessions that sent too fast", &self.signals_throttled),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register("joins", "Joins and resumes, by outcome", self.joins.clone());
        let help = "Data messages dropped, by reason";
        registry.register("messages_dropped", help, self.messages_dropped.clone());
    }
}
