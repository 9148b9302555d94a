//! AV1 aggregation header and OBU headers (RTP Payload Format for AV1, `AOMedia`, v1.0, §4.4).
//!
//! Claims no layers: only the packet an OBU starts in tells them, so by them a frame would be left out in
//! part. Whoever wants to leave out AV1 layers needs the dependency descriptor.

use super::{FramePart, PacketInfo, bits::Bytes};

const OBU_SEQUENCE_HEADER: u8 = 1;
const OBU_TEMPORAL_DELIMITER: u8 = 2;
/// More elements than this in one packet are not looked at.
const ELEMENTS_MAX: u8 = 8;

pub(super) fn inspect(payload: &[u8]) -> Option<PacketInfo> {
    let mut bytes = Bytes::new(payload);
    let header = bytes.byte()?;
    let continues = header & 0x80 != 0;
    let count = header >> 4 & 0x03;
    let new_sequence = header & 0x08 != 0;
    let mut info = PacketInfo::default();
    if continues {
        // The first element is the rest of an OBU whose header was in an earlier packet.
        info.part = FramePart::Middle;
        return Some(info);
    }
    let mut index = 1;
    while index <= ELEMENTS_MAX && !bytes.is_empty() {
        let element = next_element(&mut bytes, index, count)?;
        index += 1;
        // OBU header (AV1, 5.3.2): the type is in bits 3 to 6.
        match element.first().map(|header| header >> 3 & 0x0f) {
            Some(OBU_TEMPORAL_DELIMITER) => info.part = FramePart::Start,
            // N says that a coded video sequence starts; without its header no decoder can.
            Some(OBU_SEQUENCE_HEADER) if new_sequence => {
                info.keyframe_start = true;
                info.part = FramePart::Start;
                break;
            }
            Some(_) | None => break,
        }
    }
    Some(info)
}

/// `count` 0: every element has its length in front; otherwise the last of `count` has none.
fn next_element<'a>(bytes: &mut Bytes<'a>, index: u8, count: u8) -> Option<&'a [u8]> {
    if count != 0 && index >= count {
        let rest = bytes.rest();
        return bytes.take(rest.len());
    }
    let len = bytes.leb128()?;
    // The last element may go on in the next packet, but its length here is of this part.
    bytes.take(usize::try_from(len).ok()?)
}
