//! Which peer a connectivity check is for, read from the datagram alone.

/// STUN header: type, length, magic cookie, transaction id (RFC 8489 §5).
const HEADER_BYTES: usize = 20;
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
const ATTRIBUTE_USERNAME: u16 = 0x0006;

/// The user name fragment of the receiver that a STUN binding request carries.
///
/// RFC 8445 §7.2.2: the USERNAME attribute is `receiver:sender`. `None` for anything else. The request is not
/// authenticated by this; the peer's engine does that.
pub fn local_ufrag(datagram: &[u8]) -> Option<&str> {
    let (header, mut rest) = datagram.split_at_checked(HEADER_BYTES)?;
    if header.get(..2)? != BINDING_REQUEST || header.get(4..8)? != MAGIC_COOKIE {
        return None;
    }
    loop {
        let (head, tail) = rest.split_at_checked(4)?;
        let kind = u16::from_be_bytes([*head.first()?, *head.get(1)?]);
        let length = usize::from(u16::from_be_bytes([*head.get(2)?, *head.get(3)?]));
        let value = tail.get(..length)?;
        if kind == ATTRIBUTE_USERNAME {
            return std::str::from_utf8(value).ok()?.split(':').next();
        }
        // RFC 8489 §14: values are padded to a multiple of four bytes.
        rest = tail.get(length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(username: &[u8]) -> Vec<u8> {
        let mut datagram = vec![0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42];
        datagram.extend([7; 12]);
        datagram.extend([0x80, 0x22, 0, 1, b'x', 0, 0, 0]);
        datagram.extend([0, 6, 0, u8::try_from(username.len()).unwrap()]);
        datagram.extend(username);
        datagram
    }

    #[test]
    fn the_receivers_fragment_is_found_behind_other_attributes() {
        assert_eq!(local_ufrag(&request(b"ours:theirs")), Some("ours"));
        assert_eq!(local_ufrag(&request(b"ours")), Some("ours"));
    }

    #[test]
    fn cut_and_foreign_datagrams_name_nobody() {
        let whole = request(b"ours:theirs");
        for length in 0..whole.len() {
            assert_eq!(local_ufrag(&whole[..length]), None, "{length} bytes");
        }
        assert_eq!(local_ufrag(&request(&[0xFF])), None);
        let mut response = whole;
        response[0] = 1;
        assert_eq!(local_ufrag(&response), None);
    }
}
