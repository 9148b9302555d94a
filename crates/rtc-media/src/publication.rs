//! A published track: its codecs and encodings, what was last seen on each, and who receives it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime},
};

use rtc_model::{Bitrate, Codec, ParticipantId, TrackKind};
use str0m::{
    format::PayloadParams,
    media::{Mid, Pt, Rid},
    rtp::RtpPacket,
};

use crate::{
    dynacast::Dynacast,
    gaps::{FrameGaps, Seen},
    info::TrackInfo,
    keyframe::KeyframeRequests,
    layer::{LAYER_STALE_AFTER, SeenLayer},
    payload::{self, PacketInfo},
    peer::{PayloadEncoding, PeerKey},
    rate::RateMeter,
    rewrite::ClockReading,
    subscription::Subscription,
};

pub(crate) struct Publication {
    pub(crate) info: TrackInfo,
    pub(crate) owner: ParticipantId,
    /// The client's id for it.
    pub(crate) cid: String,
    /// The peer its packets arrive at.
    pub(crate) peer: PeerKey,
    /// As in `info.codecs`; the first is the one published first.
    pub(crate) codecs: Vec<PublishedCodec>,
    /// Ordered by subscriber.
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) dynacast: Dynacast,
    /// Whether anybody ever subscribed.
    pub(crate) was_subscribed: bool,
}

/// One codec of a publication, with its media section once there is one.
pub(crate) struct PublishedCodec {
    pub(crate) codec: Codec,
    pub(crate) mid: Option<Mid>,
    /// Lowest first; one without restriction id when there is no simulcast.
    pub(crate) encodings: Vec<Encoding>,
    /// The publisher's payload types, as far as seen.
    payload_types: BTreeMap<u8, (PayloadParams, PayloadEncoding)>,
    seen: (Option<Instant>, Vec<SeenLayer>),
}

/// One version of the track the publisher sends.
pub(crate) struct Encoding {
    pub(crate) rid: Option<Rid>,
    pub(crate) keyframes: KeyframeRequests,
    pub(crate) last_packet: Option<Instant>,
    pub(crate) resolution: Option<(u32, u32)>,
    /// When a decoder last asked for a keyframe.
    pub(crate) asked_at: Option<Instant>,
    highest_seq: u64,
    gaps: FrameGaps,
    /// Sequence numbers before the last packet that were padding, and got lost.
    pub(crate) padding: Option<std::ops::Range<u64>>,
    /// Latest sender report, to tie this encoding's clock to the others'.
    pub(crate) report: Option<ClockReading>,
    /// Highest temporal layer seen.
    temporal_max: u8,
    /// Payload rate of each temporal layer alone.
    rates: [RateMeter; TEMPORAL_METERS],
}

/// How long a measurement of layers is used.
const SEEN_EVERY: Duration = Duration::from_millis(50);
/// Temporal layers measured apart; browsers use at most three, higher ones count with the last.
const TEMPORAL_METERS: usize = 4;

impl PublishedCodec {
    pub(crate) fn new(codec: Codec, section: Option<(Mid, &[Rid])>) -> Self {
        let encodings = match section {
            Some((_, rids)) if !rids.is_empty() => {
                rids.iter().map(|rid| Encoding::new(Some(*rid))).collect()
            }
            Some(_) | None => vec![Encoding::new(None)],
        };
        Self {
            codec,
            mid: section.map(|(mid, _)| mid),
            encodings,
            payload_types: BTreeMap::new(),
            seen: (None, Vec::new()),
        }
    }

    /// The publisher's parameters for a payload type; asked of the peer once.
    pub(crate) fn params(
        &mut self,
        pt: Pt,
        ask: impl FnOnce() -> Option<(PayloadParams, PayloadEncoding)>,
    ) -> Option<(PayloadParams, PayloadEncoding)> {
        if let Some(known) = self.payload_types.get(&*pt) {
            return Some(*known);
        }
        let params = ask()?;
        // Seven bits: the map cannot outgrow 128 entries.
        self.payload_types.insert(*pt, params);
        Some(params)
    }

    /// Layers with packets lately, lowest first, with the rate it takes to forward them.
    ///
    /// Measured anew every [`SEEN_EVERY`] at most: all subscribers of a track look at the same moment.
    pub(crate) fn seen_layers(&mut self, now: Instant) -> Vec<SeenLayer> {
        let is_fresh = self.seen.0.is_some_and(|at| now.saturating_duration_since(at) < SEEN_EVERY);
        if !is_fresh || self.seen.1.is_empty() {
            self.seen = (Some(now), self.measure(now));
        }
        self.seen.1.clone()
    }

    fn measure(&mut self, now: Instant) -> Vec<SeenLayer> {
        let mut seen = Vec::new();
        for (spatial, encoding) in self.encodings.iter_mut().enumerate() {
            if !encoding.is_live(now) {
                continue;
            }
            let spatial = u8::try_from(spatial).unwrap_or(u8::MAX);
            let mut bitrate = Bitrate::ZERO;
            for (temporal, meter) in encoding.rates.iter_mut().enumerate() {
                let temporal = u8::try_from(temporal).unwrap_or(u8::MAX);
                if temporal > encoding.temporal_max {
                    break;
                }
                bitrate = bitrate + meter.rate(now);
                seen.push(SeenLayer { layer: rtc_model::Layer { spatial, temporal }, bitrate });
            }
        }
        seen
    }
}

impl Encoding {
    fn new(rid: Option<Rid>) -> Self {
        Self {
            rid,
            keyframes: KeyframeRequests::default(),
            last_packet: None,
            resolution: None,
            asked_at: None,
            highest_seq: 0,
            gaps: FrameGaps::default(),
            padding: None,
            report: None,
            temporal_max: 0,
            rates: std::array::from_fn(|_| RateMeter::default()),
        }
    }

    /// Whether packets arrive.
    pub(crate) fn is_live(&self, now: Instant) -> bool {
        self.last_packet.is_some_and(|at| now.saturating_duration_since(at) < LAYER_STALE_AFTER)
    }

    /// Takes one packet into account and tells what it is.
    pub(crate) fn note(&mut self, now: Instant, codec: Codec, packet: &RtpPacket) -> PacketInfo {
        let mut info = payload::inspect(codec, &packet.payload);
        // A keyframe whose first packet comes late, repaired, has lost the rest to whoever waited for it: they
        // were not looking yet. Only one that begins in order is a beginning.
        info.keyframe_start &=
            *packet.seq_no >= self.highest_seq || codec.kind() == TrackKind::Audio;
        let is_newest = *packet.seq_no > self.highest_seq;
        self.highest_seq = self.highest_seq.max(*packet.seq_no);
        self.padding = if is_newest && codec.kind() == TrackKind::Video {
            self.gaps.note(Seen {
                ext_seq: *packet.seq_no,
                timestamp: packet.header.timestamp,
                ends_frame: packet.header.marker,
                starts_frame: info.part.is_start(),
                is_padding: packet.payload.is_empty(),
            })
        } else {
            None
        };
        self.last_packet = Some(now);
        let temporal = info.temporal.unwrap_or(0);
        let meter = usize::from(temporal).min(TEMPORAL_METERS - 1);
        self.temporal_max = self.temporal_max.max(u8::try_from(meter).unwrap_or(0));
        if let Some(rate) = self.rates.get_mut(meter) {
            rate.add(now, packet.payload.len());
        }
        if info.keyframe_start && codec.kind() == TrackKind::Video {
            self.keyframes.on_keyframe(now);
            self.resolution = info.resolution.or(self.resolution);
        }
        if let Some(report) = packet.last_sender_info {
            self.report = Some(ClockReading {
                ntp: report.ntp_time,
                timestamp: low_32(report.rtp_time.numer()),
            });
        }
        info
    }
}

impl Publication {
    pub(crate) fn kind(&self) -> TrackKind {
        self.info.kind
    }

    pub(crate) fn subscription_of(
        &mut self,
        subscriber: ParticipantId,
    ) -> Option<&mut Subscription> {
        let at = self.subscription_index(subscriber).ok()?;
        self.subscriptions.get_mut(at)
    }

    /// Whether the publisher is expected to send: audio always, video while anybody watches.
    pub(crate) fn is_needed(&self) -> bool {
        self.kind() == TrackKind::Audio
            || self.codecs.iter().any(|codec| self.dynacast.is_needed(codec.codec))
    }

    /// Where a subscriber's subscription is, or would be: they are ordered by subscriber.
    pub(crate) fn subscription_index(&self, subscriber: ParticipantId) -> Result<usize, usize> {
        self.subscriptions.binary_search_by_key(&subscriber, |entry| entry.subscriber)
    }

    /// Index of the codec whose section this is.
    pub(crate) fn codec_on(&self, mid: Mid) -> Option<usize> {
        self.codecs.iter().position(|codec| codec.mid == Some(mid))
    }
}

/// RTP time is counted modulo 2^32.
pub(crate) fn low_32(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).unwrap_or(0)
}

/// Ties the capture time of a publisher's streams to our clock, so that what subscribers get told about
/// simultaneity (RTCP sender reports) is what the publisher said, not when packets happened to arrive.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CaptureClock {
    /// A moment on the publisher's wall clock, and the earliest it was heard of on ours.
    reference: Option<(SystemTime, Instant)>,
}

impl CaptureClock {
    /// When this packet was captured, on our clock; its arrival while the publisher has sent no report.
    pub(crate) fn captured_at(&mut self, now: Instant, packet: &RtpPacket) -> Instant {
        let Some(report) = packet.last_sender_info else {
            return now;
        };
        let Some(ntp) = captured_ntp(packet, &report) else {
            return now;
        };
        let by_reference = self.reference.and_then(|(wall, ours)| shifted(ours, wall, ntp));
        match by_reference {
            // Jitter only ever makes packets late: the least delay seen ties the clocks. A capture time in the
            // far past means that the publisher's wall clock was set back.
            Some(at) if at <= now && now.duration_since(at) < CAPTURE_AGE_MAX => at,
            _ => {
                self.reference = Some((ntp, now));
                now
            }
        }
    }
}

/// A packet is not older than this when it arrives.
const CAPTURE_AGE_MAX: Duration = Duration::from_secs(3);

fn captured_ntp(packet: &RtpPacket, report: &str0m::rtp::rtcp::SenderInfo) -> Option<SystemTime> {
    let rate = packet.time.frequency().get();
    let ticks = packet.header.timestamp.wrapping_sub(low_32(report.rtp_time.numer())).cast_signed();
    let offset = Duration::from_secs(u64::from(ticks.unsigned_abs())).checked_div(rate)?;
    if ticks >= 0 {
        report.ntp_time.checked_add(offset)
    } else {
        report.ntp_time.checked_sub(offset)
    }
}

fn shifted(ours: Instant, wall: SystemTime, ntp: SystemTime) -> Option<Instant> {
    match ntp.duration_since(wall) {
        Ok(later) => ours.checked_add(later),
        Err(earlier) => ours.checked_sub(earlier.duration()),
    }
}
