//! VP8 payload descriptor (RFC 7741 §4.2) and frame header (§4.3).

use super::{FramePart, PacketInfo, SwitchUp, bits::Bytes};

/// Longest descriptor: X octet, extension octet, two of picture id, `TL0PICIDX`, `TID`/`KEYIDX`.
const HEADER_BYTES_MAX: usize = 6;

/// A parsed VP8 payload descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vp8Descriptor {
    /// Counts frames.
    pub(crate) picture_id: Option<PictureId>,
    /// Counts frames of the lowest temporal layer, modulo 256.
    pub(crate) tl0_pic_idx: Option<u8>,
    /// Temporal layer, 0 to 3.
    pub(crate) temporal: Option<u8>,
    /// Counts keyframes, modulo 32.
    pub(crate) key_idx: Option<u8>,
    header: Vp8Header,
}

/// A VP8 picture id with the width it is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PictureId {
    /// The number.
    pub(crate) value: u16,
    /// How many bits it has on the wire.
    pub(crate) width: PictureIdWidth,
}

/// On how many bits a picture id is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PictureIdWidth {
    /// 7 bits.
    Short,
    /// 15 bits.
    Long,
}

impl PictureIdWidth {
    /// The largest number of this width.
    pub(crate) const fn mask(self) -> u16 {
        match self {
            Self::Short => 0x7f,
            Self::Long => 0x7fff,
        }
    }
}

/// The bytes of a VP8 payload descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vp8Header {
    bytes: [u8; HEADER_BYTES_MAX],
    len: u8,
}

impl Vp8Header {
    fn new(header: &[u8]) -> Option<Self> {
        let mut bytes = [0; HEADER_BYTES_MAX];
        bytes.get_mut(..header.len())?.copy_from_slice(header);
        Some(Self { bytes, len: u8::try_from(header.len()).ok()? })
    }

    /// 1 to 6 bytes, to take the place of as many at the front of the payload they were made for.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    fn set(&mut self, index: usize, byte: u8) {
        if index < usize::from(self.len)
            && let Some(slot) = self.bytes.get_mut(index)
        {
            *slot = byte;
        }
    }
}

impl Vp8Descriptor {
    /// The descriptor's bytes with other numbers; `None`: they are the same as now.
    ///
    /// Fields that are absent stay absent, and every number is cut to its width, so the length never
    /// changes.
    pub(crate) fn rewritten(&self, numbers: Vp8Numbers) -> Option<Vp8Header> {
        let mut header = self.header;
        // Octet 0 has X, octet 1 says which fields follow, in this order.
        let mut at = 2;
        if let Some(id) = self.picture_id {
            let [high, low] = (numbers.picture_id & id.width.mask()).to_be_bytes();
            match id.width {
                PictureIdWidth::Short => {
                    header.set(at, low);
                    at += 1;
                }
                PictureIdWidth::Long => {
                    header.set(at, 0x80 | high);
                    header.set(at + 1, low);
                    at += 2;
                }
            }
        }
        if self.tl0_pic_idx.is_some() {
            header.set(at, numbers.tl0_pic_idx);
            at += 1;
        }
        if self.key_idx.is_some() {
            let kept = header.bytes.get(at).copied().unwrap_or(0) & 0xe0;
            header.set(at, kept | numbers.key_idx & 0x1f);
        }
        (header != self.header).then_some(header)
    }
}

/// The numbers of a VP8 descriptor that have to count on across sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vp8Numbers {
    pub(crate) picture_id: u16,
    pub(crate) tl0_pic_idx: u8,
    pub(crate) key_idx: u8,
}

pub(super) fn inspect(payload: &[u8]) -> Option<PacketInfo> {
    let mut bytes = Bytes::new(payload);
    let first = bytes.byte()?;
    let starts_frame = first & 0x10 != 0 && first & 0x07 == 0;
    let mut picture_id = None;
    let mut tl0_pic_idx = None;
    let mut temporal = None;
    let mut key_idx = None;
    let mut layer_sync = false;
    if first & 0x80 != 0 {
        let present = bytes.byte()?;
        if present & 0x80 != 0 {
            picture_id = Some(parse_picture_id(&mut bytes)?);
        }
        if present & 0x40 != 0 {
            tl0_pic_idx = Some(bytes.byte()?);
        }
        if present & 0x30 != 0 {
            let octet = bytes.byte()?;
            if present & 0x20 != 0 {
                temporal = Some(octet >> 6);
                layer_sync = octet & 0x20 != 0;
            }
            if present & 0x10 != 0 {
                key_idx = Some(octet & 0x1f);
            }
        }
    }
    let frame = bytes.rest();
    let header = Vp8Header::new(payload.get(..payload.len() - frame.len())?)?;
    // RFC 7741 §4.3: the P bit of the first octet of the frame is 0 for a keyframe.
    let keyframe_start = starts_frame && frame.first().is_some_and(|octet| octet & 1 == 0);
    Some(PacketInfo {
        keyframe_start,
        part: if starts_frame { FramePart::Start } else { FramePart::Middle },
        spatial: None,
        temporal,
        switch_up: if layer_sync { SwitchUp::Here } else { SwitchUp::No },
        vp8: Some(Vp8Descriptor { picture_id, tl0_pic_idx, temporal, key_idx, header }),
        resolution: if keyframe_start { resolution(frame) } else { None },
    })
}

fn parse_picture_id(bytes: &mut Bytes<'_>) -> Option<PictureId> {
    let high = bytes.byte()?;
    Some(if high & 0x80 == 0 {
        PictureId { value: u16::from(high), width: PictureIdWidth::Short }
    } else {
        let value = u16::from_be_bytes([high & 0x7f, bytes.byte()?]);
        PictureId { value, width: PictureIdWidth::Long }
    })
}

/// RFC 6386 §9.1: frame tag of 3 octets, start code, then 14 bits each of width and height.
fn resolution(frame: &[u8]) -> Option<(u32, u32)> {
    let mut bytes = Bytes::new(frame);
    bytes.take(3)?;
    if bytes.take(3)? != [0x9d, 0x01, 0x2a] {
        return None;
    }
    let width = u32::from(bytes.short()?.swap_bytes() & 0x3fff);
    let height = u32::from(bytes.short()?.swap_bytes() & 0x3fff);
    (width > 0 && height > 0).then_some((width, height))
}
