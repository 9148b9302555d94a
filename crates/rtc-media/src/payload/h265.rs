//! H.265 payload (RFC 7798).

use super::{FramePart, PacketInfo, SwitchUp, bits::Bytes};

const NAL_VPS: u8 = 32;
const AGGREGATION: u8 = 48;
const FRAGMENTATION: u8 = 49;

pub(super) fn inspect(payload: &[u8]) -> Option<PacketInfo> {
    let mut bytes = Bytes::new(payload);
    let header = bytes.short()?;
    let kind = unit_type(header);
    let mut info = PacketInfo { temporal: temporal(header), ..PacketInfo::default() };
    match kind {
        AGGREGATION => {
            // RFC 7798 §4.4.2, without DONL: WebRTC does not negotiate interleaving.
            while let Some(unit) = bytes.short().and_then(|size| bytes.take(usize::from(size))) {
                if let Some(&[high, low]) = unit.first_chunk::<2>() {
                    note_unit(&mut info, unit_type(u16::from_be_bytes([high, low])));
                }
            }
        }
        FRAGMENTATION => {
            // RFC 7798 §4.4.3: S, E and the type of the fragmented unit.
            let octet = bytes.byte()?;
            if octet & 0x80 != 0 {
                note_unit(&mut info, octet & 0x3f);
            } else if octet & 0x40 == 0 {
                info.part = FramePart::Middle;
            }
        }
        _ => note_unit(&mut info, kind),
    }
    Some(info)
}

const fn unit_type(header: u16) -> u8 {
    let [high, _] = header.to_be_bytes();
    high >> 1 & 0x3f
}

/// RFC 7798 §1.1.4: the field is the temporal id plus 1; 0 is forbidden.
const fn temporal(header: u16) -> Option<u8> {
    let [_, low] = header.to_be_bytes();
    (low & 0x07).checked_sub(1)
}

/// A keyframe starts with its video parameter set: without it a decoder cannot begin.
fn note_unit(info: &mut PacketInfo, kind: u8) {
    match kind {
        NAL_VPS => {
            info.keyframe_start = true;
            info.part = FramePart::Start;
        }
        // TSA_N, TSA_R, STSA_N, STSA_R (ITU-T H.265, 7.4.2.2): the layer can be taken from here.
        2..=5 => info.switch_up = SwitchUp::Here,
        _ => {}
    }
}
