//! Redundant audio (RFC 2198): taking the newest frame out, for receivers that did not negotiate it.

/// The primary block of a RED payload; `None` when the payload is cut or inconsistent.
///
/// RFC 2198 §3: redundant blocks have headers of four bytes with the first bit set, the primary block's header
/// is one byte; then come the blocks in the order of their headers.
pub(crate) fn primary(payload: &[u8]) -> Option<&[u8]> {
    let mut redundant_bytes = 0;
    let mut rest = payload;
    loop {
        let first = *rest.first()?;
        if first & 0x80 == 0 {
            return rest.get(1..)?.get(redundant_bytes..);
        }
        let header = rest.get(..4)?;
        // Bits: F(1) payload type(7) timestamp offset(14) block length(10).
        let length = u16::from_be_bytes([header.get(2)? & 0x03, *header.get(3)?]);
        redundant_bytes += usize::from(length);
        rest = rest.get(4..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_frame_is_the_rest_after_the_redundant_ones() {
        let cases: [(&[u8], Option<&[u8]>); 7] = [
            (&[111, 1, 2, 3], Some(&[1, 2, 3])),
            (&[0xEF, 0, 0, 2, 111, 9, 9, 1, 2], Some(&[1, 2])),
            (&[0xEF, 0, 4, 1, 0xEF, 0, 0, 2, 111, 8, 9, 9, 7], Some(&[7])),
            (&[0xEF, 0, 0, 2, 111, 9], None),
            (&[0xEF, 0, 0], None),
            (&[111], Some(&[])),
            (&[], None),
        ];
        for (payload, expected) in cases {
            assert_eq!(primary(payload), expected, "{payload:?}");
        }
    }
}
