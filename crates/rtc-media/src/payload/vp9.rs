//! VP9 payload descriptor (RFC 9628 §4.2).

use super::{FramePart, PacketInfo, SwitchUp, bits::Bytes};

pub(super) fn inspect(payload: &[u8]) -> Option<PacketInfo> {
    let mut bytes = Bytes::new(payload);
    let first = bytes.byte()?;
    let has = |bit: u8| first & bit != 0;
    let (has_id, predicted, has_layer, flexible) = (has(0x80), has(0x40), has(0x20), has(0x10));
    let (starts, ends, has_structure) = (has(0x08), has(0x04), has(0x02));
    if has_id && bytes.byte()? & 0x80 != 0 {
        bytes.byte()?;
    }
    let mut info = PacketInfo { part: FramePart::of(starts, ends), ..PacketInfo::default() };
    if has_layer {
        let octet = bytes.byte()?;
        info.temporal = Some(octet >> 5);
        info.spatial = Some(octet >> 1 & 0x07);
        info.switch_up = if octet & 0x10 != 0 { SwitchUp::After } else { SwitchUp::No };
        if !flexible {
            bytes.byte()?;
        }
    }
    if flexible && predicted {
        // Up to three reference indices; the lowest bit says that another follows.
        for _ in 0..3 {
            if bytes.byte()? & 1 == 0 {
                break;
            }
        }
    }
    // A picture that is not predicted, at the start of its lowest spatial layer.
    info.keyframe_start = starts && !predicted && info.spatial.unwrap_or(0) == 0;
    if has_structure {
        let largest = largest_resolution(&mut bytes);
        info.resolution = if info.keyframe_start { largest } else { None };
    }
    Some(info)
}

/// The last, largest, spatial layer's size in the scalability structure (RFC 9628 §4.2.1).
fn largest_resolution(bytes: &mut Bytes<'_>) -> Option<(u32, u32)> {
    let octet = bytes.byte()?;
    let layers = octet >> 5;
    if octet & 0x10 == 0 {
        return None;
    }
    let mut largest = None;
    for _ in 0..=layers {
        largest = Some((u32::from(bytes.short()?), u32::from(bytes.short()?)));
    }
    largest.filter(|&(width, height)| width > 0 && height > 0)
}
