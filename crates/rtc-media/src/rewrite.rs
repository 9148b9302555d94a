//! Sequence number, timestamp and VP8 descriptor rewriting for one outbound stream.
//!
//! The stream of one subscription is fed by one encoding after another. Its receiver must see one
//! unbroken stream: numbers count on, time moves forward. Holes of the source stay holes, so that the
//! receiver asks for what was really lost; packets we leave out ourselves close up.
//!
//! ```text
//!            first forward                  switch
//!   Awaited ───────────────► Live(source) ───────────► Awaited
//! ```
//!
//! Late and repeated packets get the place that was kept for them, as long as they are within the
//! last 1,024 packets of the live source and not from before its first forwarded packet.

mod compaction;

use std::time::{Duration, Instant, SystemTime};

use self::compaction::Compaction;
use crate::payload::{PictureId, PictureIdWidth, Vp8Descriptor, Vp8Header, Vp8Numbers};

/// What is rewritten of one packet of the live source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SourcePacket {
    /// Extended sequence number, as received.
    pub(crate) ext_seq: u64,
    /// RTP timestamp, as received.
    pub(crate) timestamp: u32,
    /// The VP8 descriptor, for VP8.
    pub(crate) vp8: Option<Vp8Descriptor>,
}

/// The same packet as the subscriber gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutPacket {
    /// Extended sequence number.
    pub(crate) ext_seq: u64,
    /// RTP timestamp.
    pub(crate) timestamp: u32,
    /// Takes the place of the payload's first bytes; `None`: the payload goes out as it is.
    pub(crate) vp8_patch: Option<Vp8Header>,
}

/// A place in the outbound stream that is promised to a packet nobody wants.
///
/// It came after later ones were already numbered, so it cannot close up any more: unless something
/// is sent there, the receiver will ask for it again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promised {
    /// Its whole frame has a place: send the packet, the receiver may wait for the frame.
    Packet(OutPacket),
    /// Send an empty payload here, or nothing.
    Filler(OutPacket),
}

/// How the next source's timestamps are tied to those of the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ClockBridge {
    /// By the time that passes between the arrivals of the last and the next packet.
    #[default]
    Arrival,
    /// By adding this, wrapping, to the next source's timestamps gives the clock of the one before
    /// (see [`clock_offset`]). An offset that is more than [`BRIDGE_ERROR_MAX`] off what arrival
    /// times say is not believed.
    Offset(u32),
}

/// An RTCP sender report's two readings of one moment (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClockReading {
    /// The sender's wall clock.
    pub(crate) ntp: SystemTime,
    /// The stream's RTP clock.
    pub(crate) timestamp: u32,
}

/// What to add, wrapping, to timestamps of `new` to read them on the clock of `old`.
///
/// Both readings must come from one sender, whose wall clock they share.
pub(crate) fn clock_offset(old: ClockReading, new: ClockReading, clock_rate: u32) -> u32 {
    let base = old.timestamp.wrapping_sub(new.timestamp);
    match new.ntp.duration_since(old.ntp) {
        Ok(later) => base.wrapping_add(ticks(later, clock_rate)),
        Err(earlier) => base.wrapping_sub(ticks(earlier.duration(), clock_rate)),
    }
}

/// A sender's reports are not trusted beyond this disagreement with arrival times: wall clocks that
/// are stepped would otherwise throw the stream's time far forward.
pub(crate) const BRIDGE_ERROR_MAX: Duration = Duration::from_secs(2);

/// Packets of the live source that are remembered, in words of 64: at 3 Mbit/s about 3 s, longer
/// than a retransmission is of use.
const PACKET_WORDS: usize = 16;
/// Frames of the live source that are remembered, in words of 64: 4 s at 30 frames per second.
const PICTURE_WORDS: usize = 2;

/// Rewrites the packets of one outbound stream.
#[derive(Clone, Debug)]
pub(crate) struct Rewrite {
    clock_rate: u32,
    start: Start,
    live: Option<Live>,
    bridge: ClockBridge,
    last: Option<Last>,
}

/// The numbers of an outbound stream's first packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// First extended sequence number. Below 32,768, so that a receiver that misses the first packets
    /// still guesses the SRTP roll-over counter right (RFC 3711 §3.3.1).
    pub(crate) ext_seq: u64,
    /// First timestamp.
    pub(crate) timestamp: u32,
}

/// How the live source is mapped.
#[derive(Clone, Debug)]
struct Live {
    packets: Compaction<PACKET_WORDS>,
    pictures: Option<Compaction<PICTURE_WORDS>>,
    timestamp_shift: u32,
    tl0_pic_idx_shift: u8,
    key_idx_shift: u8,
}

/// The newest packet sent, over all sources.
#[derive(Clone, Copy, Debug)]
struct Last {
    ext_seq: u64,
    timestamp: u32,
    /// When the packet with `timestamp` came in.
    arrival: Instant,
    /// The shift that the sources' clocks alone would have asked for; differs from the live one when
    /// time had to be pushed forward, and lets the next switch take that back.
    ideal_timestamp_shift: u32,
    picture_id: Option<u64>,
    tl0_pic_idx: Option<u8>,
    key_idx: Option<u8>,
}

impl Rewrite {
    /// A stream that nothing was sent on. `clock_rate` is its RTP clock in Hz.
    pub(crate) const fn new(start: Start, clock_rate: u32) -> Self {
        Self { clock_rate, start, live: None, bridge: ClockBridge::Arrival, last: None }
    }

    /// Ends the live source. The next packet given to [`Self::forward`] is the first of the next
    /// source (or of the same one after a pause), for video one that a decoder can start with.
    ///
    /// Late packets of the ended source must not be given any more.
    pub(crate) fn switch(&mut self, bridge: ClockBridge) {
        self.live = None;
        self.bridge = bridge;
    }

    /// Maps a packet that the subscriber gets.
    ///
    /// `None`: it has no place any more. It is from before the source's first forwarded packet, was
    /// left out earlier, belongs to a frame that was left out, or is too old.
    pub(crate) fn forward(&mut self, now: Instant, packet: &SourcePacket) -> Option<OutPacket> {
        if self.live.is_none() {
            self.live = Some(self.begin(now, packet));
        }
        let live = self.live.as_mut()?;
        let picture = match (packet.vp8.and_then(|vp8| vp8.picture_id), &live.pictures) {
            (Some(id), Some(pictures)) => Some(unwrapped(id, pictures.highest())),
            _ => None,
        };
        let picture_place = match (picture, &live.pictures) {
            (Some(number), Some(pictures)) => match pictures.peek(number) {
                Some(place) => Some(place),
                None => {
                    // The rest of its frame was left out: alone it is of no use.
                    live.packets.leave_out(packet.ext_seq);
                    return None;
                }
            },
            _ => None,
        };
        let ext_seq = live.packets.keep(packet.ext_seq)?;
        if let (Some(number), Some(pictures)) = (picture, &mut live.pictures) {
            pictures.keep(number);
        }
        let out = live.out(packet, ext_seq, picture_place);
        self.note(now, packet, &out, picture_place);
        Some(out)
    }

    /// Leaves a packet out: padding only, or of a layer the subscriber does not get.
    ///
    /// `Some`: its place is already promised, because later packets were numbered before it came.
    pub(crate) fn drop_packet(&mut self, packet: &SourcePacket) -> Option<Promised> {
        let live = self.live.as_mut()?;
        let ext_seq = live.packets.leave_out(packet.ext_seq);
        let picture_place = match (packet.vp8.and_then(|vp8| vp8.picture_id), &mut live.pictures) {
            (Some(id), Some(pictures)) => pictures.leave_out(unwrapped(id, pictures.highest())),
            _ => None,
        };
        let out = live.out(packet, ext_seq?, picture_place);
        Some(if picture_place.is_some() { Promised::Packet(out) } else { Promised::Filler(out) })
    }

    /// Ties a new source to what was sent last, by its first packet.
    fn begin(&mut self, now: Instant, packet: &SourcePacket) -> Live {
        let Some(last) = &mut self.last else {
            let timestamp_shift = self.start.timestamp.wrapping_sub(packet.timestamp);
            let number = packet.vp8.and_then(|vp8| vp8.picture_id).map(first_number);
            return Live {
                packets: Compaction::new(packet.ext_seq, self.start.ext_seq),
                pictures: number.map(|number| Compaction::new(number, number)),
                timestamp_shift,
                tl0_pic_idx_shift: 0,
                key_idx_shift: 0,
            };
        };
        let elapsed = ticks(now.saturating_duration_since(last.arrival), self.clock_rate);
        let by_arrival = last.timestamp.wrapping_add(elapsed);
        let wanted = match self.bridge {
            ClockBridge::Arrival => by_arrival,
            ClockBridge::Offset(offset) => {
                let by_clock =
                    packet.timestamp.wrapping_add(offset).wrapping_add(last.ideal_timestamp_shift);
                let error = by_clock.wrapping_sub(by_arrival).cast_signed().unsigned_abs();
                let believed = error <= ticks(BRIDGE_ERROR_MAX, self.clock_rate);
                if believed { by_clock } else { by_arrival }
            }
        };
        last.ideal_timestamp_shift = wanted.wrapping_sub(packet.timestamp);
        let forward = wanted.wrapping_sub(last.timestamp).cast_signed() > 0;
        let timestamp = if forward { wanted } else { last.timestamp.wrapping_add(1) };
        let vp8 = packet.vp8;
        let following = |before: Option<u8>, first: Option<u8>| match (before, first) {
            (Some(before), Some(first)) => before.wrapping_add(1).wrapping_sub(first),
            _ => 0,
        };
        Live {
            packets: Compaction::new(packet.ext_seq, last.ext_seq.wrapping_add(1)),
            pictures: vp8.and_then(|vp8| vp8.picture_id).map(first_number).map(|number| {
                let place = last.picture_id.map_or(number, |id| id.wrapping_add(1));
                Compaction::new(number, place)
            }),
            timestamp_shift: timestamp.wrapping_sub(packet.timestamp),
            tl0_pic_idx_shift: following(last.tl0_pic_idx, vp8.and_then(|vp8| vp8.tl0_pic_idx)),
            key_idx_shift: following(last.key_idx, vp8.and_then(|vp8| vp8.key_idx)),
        }
    }

    /// Remembers what was sent, to tie the next source to it.
    fn note(&mut self, now: Instant, packet: &SourcePacket, out: &OutPacket, picture: Option<u64>) {
        let live = self.live.as_ref();
        let tl0_shift = live.map_or(0, |live| live.tl0_pic_idx_shift);
        let key_shift = live.map_or(0, |live| live.key_idx_shift);
        let vp8 = packet.vp8;
        let tl0_pic_idx = vp8.and_then(|vp8| vp8.tl0_pic_idx).map(|id| id.wrapping_add(tl0_shift));
        let key_idx = vp8.and_then(|vp8| vp8.key_idx).map(|id| id.wrapping_add(key_shift));
        let Some(last) = &mut self.last else {
            self.last = Some(Last {
                ext_seq: out.ext_seq,
                timestamp: out.timestamp,
                arrival: now,
                ideal_timestamp_shift: out.timestamp.wrapping_sub(packet.timestamp),
                picture_id: picture,
                tl0_pic_idx,
                key_idx,
            });
            return;
        };
        if out.ext_seq.wrapping_sub(last.ext_seq).cast_signed() <= 0 {
            return;
        }
        last.ext_seq = out.ext_seq;
        if out.timestamp.wrapping_sub(last.timestamp).cast_signed() > 0 {
            last.timestamp = out.timestamp;
            last.arrival = now;
        }
        last.picture_id = picture.or(last.picture_id);
        last.tl0_pic_idx = tl0_pic_idx.or(last.tl0_pic_idx);
        last.key_idx = key_idx.or(last.key_idx);
    }
}

impl Live {
    fn out(&self, packet: &SourcePacket, ext_seq: u64, picture: Option<u64>) -> OutPacket {
        let vp8_patch = packet.vp8.and_then(|vp8| {
            vp8.rewritten(Vp8Numbers {
                picture_id: picture
                    .map_or(vp8.picture_id.map_or(0, |picture_id| picture_id.value), low_bits),
                tl0_pic_idx: vp8.tl0_pic_idx.unwrap_or(0).wrapping_add(self.tl0_pic_idx_shift),
                key_idx: vp8.key_idx.unwrap_or(0).wrapping_add(self.key_idx_shift),
            })
        });
        OutPacket {
            ext_seq,
            timestamp: packet.timestamp.wrapping_add(self.timestamp_shift),
            vp8_patch,
        }
    }
}

/// Where the count of a source's pictures starts: high enough that late ones stay positive, and with
/// the same low bits as on the wire.
fn first_number(id: PictureId) -> u64 {
    u64::from(id.value) + (1 << 32)
}

/// The picture number nearest to `highest` that is written as `id`.
fn unwrapped(id: PictureId, highest: u64) -> u64 {
    let mask = u64::from(id.width.mask());
    let ahead = u64::from(id.value).wrapping_sub(highest) & mask;
    if ahead <= mask / 2 {
        highest.wrapping_add(ahead)
    } else {
        highest.wrapping_add(ahead).wrapping_sub(mask + 1)
    }
}

fn low_bits(number: u64) -> u16 {
    let [.., high, low] = number.to_be_bytes();
    u16::from_be_bytes([high, low]) & PictureIdWidth::Long.mask()
}

/// A duration in ticks of a clock, modulo 2^32 as RTP timestamps are.
fn ticks(duration: Duration, clock_rate: u32) -> u32 {
    let whole = duration.as_nanos() * u128::from(clock_rate) / 1_000_000_000;
    u32::try_from(whole & u128::from(u32::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests;
