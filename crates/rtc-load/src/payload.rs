//! RTP payloads that look like VP8 and Opus from outside and carry a stamp for the ledger inside.

/// Audio or video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MediaKind {
    /// Opus-like.
    Audio,
    /// VP8-like.
    Video,
}

/// What the last bytes of every payload say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The publisher's number.
    pub source: u32,
    /// Audio or video.
    pub kind: MediaKind,
    /// Which simulcast encoding, 0 the lowest.
    pub encoding: u8,
    /// Counts the packets of this encoding from 0, without gap.
    pub counter: u64,
    /// Sending time in nanoseconds of the Unix epoch.
    pub sent_ns: u64,
}

/// Length of a stamp in bytes.
pub const STAMP_BYTES: usize = 26;

const MAGIC: [u8; 4] = *b"sprk";

impl Stamp {
    /// The bytes at the end of a payload.
    pub fn to_bytes(self) -> [u8; STAMP_BYTES] {
        let mut bytes = [0; STAMP_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&self.source.to_be_bytes());
        bytes[8] = match self.kind {
            MediaKind::Audio => 0,
            MediaKind::Video => 1,
        };
        bytes[9] = self.encoding;
        bytes[10..18].copy_from_slice(&self.counter.to_be_bytes());
        bytes[18..].copy_from_slice(&self.sent_ns.to_be_bytes());
        bytes
    }

    /// Reads the stamp at the end of a payload; `None` when there is none.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let bytes: &[u8; STAMP_BYTES] = payload.last_chunk()?;
        if bytes[..4] != MAGIC {
            return None;
        }
        let kind = match bytes[8] {
            0 => MediaKind::Audio,
            1 => MediaKind::Video,
            _ => return None,
        };
        Some(Self {
            source: u32::from_be_bytes(bytes[4..8].try_into().ok()?),
            kind,
            encoding: bytes[9],
            counter: u64::from_be_bytes(bytes[10..18].try_into().ok()?),
            sent_ns: u64::from_be_bytes(bytes[18..].try_into().ok()?),
        })
    }
}

/// Place of a VP8 packet in its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FramePart {
    /// First packet of a frame all others depend on.
    KeyframeStart,
    /// First packet of another frame.
    InterframeStart,
    /// Any further packet.
    Continuation,
}

/// Writes a VP8 payload of `size` bytes (RFC 7741): payload descriptor with picture ID, `TL0PICIDX`
/// and temporal layer 0, the VP8 frame header where a frame starts, filling, stamp.
pub fn write_vp8(
    into: &mut Vec<u8>,
    size: usize,
    picture_id: u16,
    part: FramePart,
    resolution: (u16, u16),
    stamp: Stamp,
) {
    into.clear();
    let start = part != FramePart::Continuation;
    // RFC 7741 §4.2: X=0x80, S=0x10 (start of VP8 partition), PID=0.
    into.push(if start { 0x90 } else { 0x80 });
    // I, L, T present.
    into.push(0xe0);
    // M=1: a 15-bit picture ID.
    into.extend_from_slice(&(picture_id | 0x8000).to_be_bytes());
    let [_, tl0_pic_idx] = picture_id.to_be_bytes();
    into.push(tl0_pic_idx);
    // TID=0, Y=1: every frame is in the base temporal layer.
    into.push(0x20);
    match part {
        // RFC 6386 §9.1: P=0 (keyframe), show_frame=1, start code, width, height.
        FramePart::KeyframeStart => {
            into.extend_from_slice(&[0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a]);
            into.extend_from_slice(&resolution.0.to_le_bytes());
            into.extend_from_slice(&resolution.1.to_le_bytes());
        }
        FramePart::InterframeStart => into.extend_from_slice(&[0x11, 0x02, 0x00]),
        FramePart::Continuation => {}
    }
    finish(into, size, stamp);
}

/// Writes an Opus-like payload of `size` bytes: a TOC byte (20 ms, SILK+CELT hybrid, mono),
/// filling, stamp.
pub fn write_opus(into: &mut Vec<u8>, size: usize, stamp: Stamp) {
    into.clear();
    // RFC 6716 §3.1: configuration 15 (hybrid, fullband, 20 ms), mono, one frame.
    into.push(0x78);
    finish(into, size, stamp);
}

fn finish(into: &mut Vec<u8>, size: usize, stamp: Stamp) {
    let filled = size.saturating_sub(STAMP_BYTES);
    if into.len() < filled {
        into.resize(filled, 0x55);
    }
    into.extend_from_slice(&stamp.to_bytes());
}

#[cfg(test)]
mod tests {
    use str0m::rtp::Vp8Descriptor;

    use super::*;

    const STAMP: Stamp = Stamp {
        source: u32::MAX,
        kind: MediaKind::Video,
        encoding: 2,
        counter: u64::MAX - 1,
        sent_ns: 1_795_000_000_000_000_000,
    };

    #[test]
    fn stamps_survive_the_way_there_and_back() {
        for kind in [MediaKind::Audio, MediaKind::Video] {
            let stamp = Stamp { kind, ..STAMP };
            let mut payload = vec![1, 2, 3];
            payload.extend_from_slice(&stamp.to_bytes());
            assert_eq!(Stamp::read(&payload), Some(stamp));
        }
        assert_eq!(Stamp::read(&[]), None);
        assert_eq!(Stamp::read(&[0; 200]), None);
        assert_eq!(Stamp::read(&STAMP.to_bytes()[1..]), None);
        let mut unknown_kind = STAMP.to_bytes();
        unknown_kind[8] = 9;
        assert_eq!(Stamp::read(&unknown_kind), None);
    }

    #[test]
    fn vp8_payloads_are_read_as_vp8() {
        let rows = [
            (FramePart::KeyframeStart, true, true),
            (FramePart::InterframeStart, true, false),
            (FramePart::Continuation, false, false),
        ];
        for (part, start, keyframe) in rows {
            for picture_id in [0, 255, 0x7fff] {
                let mut payload = Vec::new();
                write_vp8(&mut payload, 1_200, picture_id, part, (640, 360), STAMP);
                assert_eq!(payload.len(), 1_200);
                let descriptor = Vp8Descriptor::parse(&payload).unwrap();
                assert_eq!(descriptor.picture_id(), Some(picture_id));
                assert_eq!(payload[0] & 0x10 != 0, start);
                assert_eq!(descriptor.starts_keyframe(&payload), keyframe);
                assert_eq!(Stamp::read(&payload), Some(STAMP));
            }
        }
    }

    #[test]
    fn too_small_a_size_still_carries_the_stamp() {
        let mut payload = Vec::new();
        write_opus(&mut payload, 0, STAMP);
        assert_eq!((payload.len(), Stamp::read(&payload)), (1 + STAMP_BYTES, Some(STAMP)));
    }
}
