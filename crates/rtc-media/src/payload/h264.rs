//! H.264 payload (RFC 6184) and the size in a sequence parameter set (ITU-T H.264, 7.3.2.1.1).

use super::{
    FramePart, PacketInfo,
    bits::{Bits, Bytes},
};

const NAL_IDR: u8 = 5;
const NAL_SPS: u8 = 7;
const NAL_AUD: u8 = 9;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

pub(super) fn inspect(payload: &[u8]) -> Option<PacketInfo> {
    let &first = payload.first()?;
    let mut info = PacketInfo::default();
    match first & 0x1f {
        STAP_A => {
            // RFC 6184 §5.7.1: 16 bits of size before each unit.
            let mut bytes = Bytes::new(payload.get(1..)?);
            while let Some(unit) = bytes.short().and_then(|size| bytes.take(usize::from(size))) {
                note_unit(&mut info, unit);
            }
        }
        FU_A => {
            // RFC 6184 §5.8: S, E, R and the type of the fragmented unit.
            let &header = payload.get(1)?;
            let (starts, ends) = (header & 0x80 != 0, header & 0x40 != 0);
            // A slice may follow another one of the same frame, so only the middle is sure.
            info.part = if starts || ends { FramePart::Unknown } else { FramePart::Middle };
            if starts && header & 0x1f == NAL_SPS {
                note_unit(&mut info, &[NAL_SPS]);
            }
        }
        1..=23 => note_unit(&mut info, payload),
        // MTAP, STAP-B and FU-B need interleaved mode, which WebRTC never negotiates.
        _ => {}
    }
    Some(info)
}

/// A decoder needs the parameter sets before the IDR picture, so a keyframe starts with them.
fn note_unit(info: &mut PacketInfo, unit: &[u8]) {
    let Some(&header) = unit.first() else { return };
    match header & 0x1f {
        NAL_SPS => {
            info.keyframe_start = true;
            info.part = FramePart::Start;
            info.resolution =
                info.resolution.or_else(|| unit.get(1..).and_then(parameter_set_resolution));
        }
        NAL_AUD => info.part = FramePart::Start,
        NAL_IDR if info.keyframe_start => info.part = FramePart::Start,
        _ => {}
    }
}

/// Longest part of a parameter set that is looked at; the size stands near its front.
const PARAMETER_SET_BYTES_MAX: usize = 128;
/// Larger pictures than this are a broken parameter set.
const DIMENSION_MAX: u32 = 16_384;

fn parameter_set_resolution(unit: &[u8]) -> Option<(u32, u32)> {
    let mut buffer = [0; PARAMETER_SET_BYTES_MAX];
    let mut bits = Bits::new(without_emulation_prevention(unit, &mut buffer));
    let profile = bits.number(8)?;
    bits.number(16)?;
    bits.exp_golomb()?;
    let chroma = if has_chroma_format(profile) { chroma_format(&mut bits)? } else { 1 };
    bits.exp_golomb()?;
    skip_picture_order_count(&mut bits)?;
    bits.exp_golomb()?;
    bits.bit()?;
    let width_blocks = bits.exp_golomb()?;
    let height_blocks = bits.exp_golomb()?;
    let frames_only = bits.bit()?;
    if !frames_only {
        bits.bit()?;
    }
    bits.bit()?;
    let fields = if frames_only { 1 } else { 2 };
    let (mut cut_x, mut cut_y) = (0, 0);
    if bits.bit()? {
        let (left, right) = (bits.exp_golomb()?, bits.exp_golomb()?);
        let (top, bottom) = (bits.exp_golomb()?, bits.exp_golomb()?);
        // ITU-T H.264, 7.4.2.1.1: crop units follow the chroma sub-sampling.
        let (unit_x, unit_y) = match chroma {
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1),
        };
        cut_x = left.checked_add(right)?.checked_mul(unit_x)?;
        cut_y = top.checked_add(bottom)?.checked_mul(unit_y * fields)?;
    }
    let size = |blocks: u32, times: u32, cut: u32| {
        let whole = blocks.checked_add(1)?.checked_mul(16)?.checked_mul(times)?;
        whole.checked_sub(cut).filter(|&size| size > 0 && size <= DIMENSION_MAX)
    };
    Some((size(width_blocks, 1, cut_x)?, size(height_blocks, fields, cut_y)?))
}

const fn has_chroma_format(profile: u32) -> bool {
    matches!(profile, 44 | 83 | 86 | 100 | 110 | 118 | 122 | 128 | 134 | 135 | 138 | 139 | 244)
}

fn chroma_format(bits: &mut Bits<'_>) -> Option<u32> {
    let chroma = bits.exp_golomb()?;
    if chroma == 3 {
        bits.bit()?;
    }
    bits.exp_golomb()?;
    bits.exp_golomb()?;
    bits.bit()?;
    if bits.bit()? {
        let lists = if chroma == 3 { 12 } else { 8 };
        for list in 0..lists {
            if bits.bit()? {
                skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Some(chroma)
}

fn skip_scaling_list(bits: &mut Bits<'_>, entries: u32) -> Option<()> {
    let (mut last, mut next) = (8_i64, 8_i64);
    for _ in 0..entries {
        if next != 0 {
            next = (last + bits.signed_exp_golomb()?).rem_euclid(256);
        }
        if next != 0 {
            last = next;
        }
    }
    Some(())
}

fn skip_picture_order_count(bits: &mut Bits<'_>) -> Option<()> {
    match bits.exp_golomb()? {
        0 => {
            bits.exp_golomb()?;
        }
        1 => {
            bits.bit()?;
            bits.exp_golomb()?;
            bits.exp_golomb()?;
            let count = bits.exp_golomb()?;
            if count > 255 {
                return None;
            }
            for _ in 0..count {
                bits.exp_golomb()?;
            }
        }
        _ => {}
    }
    Some(())
}

/// Takes out the octet 3 after two zero octets (ITU-T H.264, 7.4.1).
fn without_emulation_prevention<'a>(
    unit: &[u8],
    buffer: &'a mut [u8; PARAMETER_SET_BYTES_MAX],
) -> &'a [u8] {
    let mut zeros = 0;
    let mut len = 0;
    for &octet in unit {
        if zeros >= 2 && octet == 3 {
            zeros = 0;
            continue;
        }
        zeros = if octet == 0 { zeros + 1 } else { 0 };
        let Some(slot) = buffer.get_mut(len) else { break };
        *slot = octet;
        len += 1;
    }
    buffer.get(..len).unwrap_or_default()
}
