//! Exact bookkeeping of received packets.
//!
//! Every payload of the generator carries a counter of its own (not the RTP sequence number, which
//! the server may rewrite), so delivered, repeated and missing packets are counted, not estimated.
//! Membership in the measured window is decided by the sending time in the payload: both sides then
//! count the same set of packets.

use std::collections::BTreeMap;

use crate::{
    histogram::Histogram,
    payload::{MediaKind, Stamp},
};

/// The measured span of time, in nanoseconds of the Unix epoch: from `start` up to, not including,
/// `end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// First nanosecond that counts.
    pub start_ns: u64,
    /// First nanosecond that no longer counts.
    pub end_ns: u64,
}

impl Window {
    /// Whether a packet sent at this time belongs to the measurement.
    pub fn contains(self, at_ns: u64) -> bool {
        (self.start_ns..self.end_ns).contains(&at_ns)
    }
}

/// What one receiver got.
#[derive(Debug, Default)]
pub struct Ledger {
    streams: BTreeMap<StreamKey, StreamLedger>,
    delays_us: Histogram,
    foreign: u64,
}

/// One track of one publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamKey {
    /// The publisher's number.
    pub source: u32,
    /// Audio or video.
    pub kind: MediaKind,
}

/// What one receiver got of one track.
#[derive(Debug, Default)]
pub struct StreamLedger {
    encodings: BTreeMap<u8, Counters>,
    run: Option<Run>,
    expected_in_runs: u64,
    distinct: u64,
    repeated: u64,
    bytes: u64,
}

/// Counters seen of one encoding within the window, as a bitmap from the first one on.
#[derive(Debug, Default)]
struct Counters {
    base: Option<u64>,
    words: Vec<u64>,
}

/// Unbroken reception of one encoding, from the first to the highest counter.
#[derive(Clone, Copy, Debug)]
struct Run {
    encoding: u8,
    first: u64,
    last: u64,
}

/// Whether a packet was the first of its track, so that the caller can note when media began to
/// flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Nothing of this track had come before.
    FirstOfTrack,
    /// The track was flowing.
    Later,
}

impl Ledger {
    /// Enters a packet received at `received_ns` with `payload_bytes` of RTP payload.
    ///
    /// Packets without a stamp (padding, probes) are counted as foreign only.
    pub fn record(
        &mut self,
        window: Window,
        stamp: Option<Stamp>,
        received_ns: u64,
        payload_bytes: usize,
    ) -> Arrival {
        let Some(stamp) = stamp else {
            self.foreign += 1;
            return Arrival::Later;
        };
        let key = StreamKey { source: stamp.source, kind: stamp.kind };
        let mut arrival = Arrival::Later;
        let stream = self.streams.entry(key).or_insert_with(|| {
            arrival = Arrival::FirstOfTrack;
            StreamLedger::default()
        });
        if window.contains(stamp.sent_ns) && stream.record(&stamp, payload_bytes) {
            let delay_ns = received_ns.saturating_sub(stamp.sent_ns);
            self.delays_us.record(delay_ns / 1_000);
        }
        arrival
    }

    /// Tracks in order of publisher and kind.
    pub fn streams(&self) -> impl Iterator<Item = (StreamKey, &StreamLedger)> {
        self.streams.iter().map(|(key, stream)| (*key, stream))
    }

    /// One-way delays in microseconds of first copies within the window.
    pub fn delays_us(&self) -> &Histogram {
        &self.delays_us
    }

    /// Packets that carry no stamp of ours: padding and probes of the server's estimator.
    pub fn foreign(&self) -> u64 {
        self.foreign
    }
}

impl StreamLedger {
    /// True for a first copy.
    fn record(&mut self, stamp: &Stamp, payload_bytes: usize) -> bool {
        if !self.encodings.entry(stamp.encoding).or_default().insert(stamp.counter) {
            self.repeated += 1;
            return false;
        }
        self.distinct += 1;
        self.bytes = self.bytes.saturating_add(u64::try_from(payload_bytes).unwrap_or(u64::MAX));
        self.extend_run(stamp);
        true
    }

    fn extend_run(&mut self, stamp: &Stamp) {
        let fresh = Run { encoding: stamp.encoding, first: stamp.counter, last: stamp.counter };
        match &mut self.run {
            Some(run) if run.encoding == stamp.encoding => {
                run.first = run.first.min(stamp.counter);
                run.last = run.last.max(stamp.counter);
            }
            Some(run) => {
                self.expected_in_runs += run.length();
                *run = fresh;
            }
            None => self.run = Some(fresh),
        }
    }

    /// Different packets received.
    pub fn distinct(&self) -> u64 {
        self.distinct
    }

    /// Further copies of packets already received.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// RTP payload bytes of first copies.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Packets the publisher sent of the encodings received, from the first to the last packet of
    /// every unbroken stretch: what a subscriber of a simulcast track could have received. A
    /// stretch ends where the server changes the encoding.
    pub fn expected_in_runs(&self) -> u64 {
        self.expected_in_runs + self.run.map_or(0, Run::length)
    }
}

impl Run {
    fn length(self) -> u64 {
        self.last - self.first + 1
    }
}

impl Counters {
    /// True when the counter was not there. Counters further than [`SPAN_MAX`] from the first one
    /// seen count as present: memory stays bounded, and no run of the generator is that long.
    fn insert(&mut self, counter: u64) -> bool {
        // Reordering can deliver a counter below the first one seen; leave room for it.
        let base = *self.base.get_or_insert(counter.saturating_sub(REORDER_ROOM) / 64 * 64);
        let Some(offset) = counter.checked_sub(base).filter(|offset| *offset < SPAN_MAX) else {
            return false;
        };
        let Ok(word) = usize::try_from(offset / 64) else { return false };
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let bit = 1u64 << (offset % 64);
        let fresh = self.words[word] & bit == 0;
        self.words[word] |= bit;
        fresh
    }
}

/// How far below the first counter a late packet may lie.
const REORDER_ROOM: u64 = 4_096;
/// Most counters followed per encoding: a bitmap of 8 MiB, about four days of 2 Mbit/s video.
const SPAN_MAX: u64 = 1 << 26;

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { start_ns: 1_000, end_ns: 2_000 };

    fn stamp(encoding: u8, counter: u64, sent_ns: u64) -> Option<Stamp> {
        Some(Stamp { source: 7, kind: MediaKind::Video, encoding, counter, sent_ns })
    }

    fn stream_after(packets: &[(u8, u64)]) -> (u64, u64, u64) {
        let mut ledger = Ledger::default();
        for (encoding, counter) in packets {
            ledger.record(WINDOW, stamp(*encoding, *counter, 1_500), 2_500, 10);
        }
        let (_, stream) = ledger.streams().next().unwrap();
        (stream.distinct(), stream.repeated(), stream.expected_in_runs())
    }

    #[test]
    fn gaps_repeats_and_reordering_are_told_apart() {
        // (packets, (distinct, repeated, expected))
        type Row<'a> = (&'a [(u8, u64)], (u64, u64, u64));
        let rows: &[Row<'_>] = &[
            (&[(1, 0)], (1, 0, 1)),
            (&[(1, 5), (1, 6), (1, 7)], (3, 0, 3)),
            (&[(1, 5), (1, 7)], (2, 0, 3)),
            (&[(1, 5), (1, 7), (1, 6)], (3, 0, 3)),
            (&[(1, 5), (1, 5), (1, 5)], (1, 2, 1)),
            (&[(1, 5_000), (1, 4_990), (1, 4_990)], (2, 1, 11)),
            (&[(1, u64::MAX - 1), (1, u64::MAX)], (2, 0, 2)),
            // A change of encoding ends a run: what lies between is not missing.
            (&[(1, 10), (1, 11), (3, 900), (3, 901), (1, 50)], (5, 0, 5)),
            (&[(1, 10), (1, 12), (3, 900), (3, 903)], (4, 0, 7)),
        ];
        for (packets, expected) in rows {
            assert_eq!(stream_after(packets), *expected, "{packets:?}");
        }
    }

    #[test]
    fn only_packets_sent_within_the_window_count() {
        let mut ledger = Ledger::default();
        for (counter, sent_ns) in [(0, 999), (1, 1_000), (2, 1_999), (3, 2_000)] {
            ledger.record(WINDOW, stamp(1, counter, sent_ns), 9_000_000, 100);
        }
        let (key, stream) = ledger.streams().next().unwrap();
        assert_eq!(key, StreamKey { source: 7, kind: MediaKind::Video });
        assert_eq!((stream.distinct(), stream.bytes()), (2, 200));
        assert_eq!(ledger.delays_us().count(), 2);
    }

    #[test]
    fn first_packet_of_a_track_is_announced_once_even_outside_the_window() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.record(WINDOW, stamp(1, 0, 0), 0, 1), Arrival::FirstOfTrack);
        assert_eq!(ledger.record(WINDOW, stamp(1, 1, 0), 0, 1), Arrival::Later);
        assert_eq!(ledger.record(WINDOW, None, 0, 1), Arrival::Later);
        assert_eq!(ledger.foreign(), 1);
    }

    #[test]
    fn a_counter_far_ahead_takes_no_memory() {
        let mut counters = Counters::default();
        assert!(counters.insert(0));
        assert!(!counters.insert(u64::MAX));
        assert!(counters.words.len() < 10);
    }
}
