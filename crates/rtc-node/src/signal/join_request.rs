//! The `join_request` parameter of `/rtc/v1`: base64url of a protobuf that holds a protobuf, maybe gzipped. Pure.

use std::io::Read as _;

use base64::{
    Engine as _,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use flate2::read::GzDecoder;
use prost::Message as _;

use crate::proto::{self, wrapped_join_request::Compression};

/// Why a `join_request` cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum JoinRequestError {
    /// Not base64url.
    #[error("join_request is not base64url")]
    Encoding,
    /// Not the protobuf it should be.
    #[error("join_request is not a WrappedJoinRequest that holds a JoinRequest")]
    Message,
    /// Not gzip.
    #[error("join_request is not the gzip it says it is")]
    Compression,
    /// Too large once unpacked.
    #[error("join_request is larger than {UNPACKED_BYTES_MAX} bytes once unpacked")]
    TooLarge,
}

/// Unpacks the parameter.
pub(super) fn parse(text: &str) -> Result<proto::JoinRequest, JoinRequestError> {
    let wrapped = BASE64.decode(url_safe(text)).map_err(|_| JoinRequestError::Encoding)?;
    let wrapped = proto::WrappedJoinRequest::decode(wrapped.as_slice())
        .map_err(|_| JoinRequestError::Message)?;
    let message = match Compression::try_from(wrapped.compression) {
        Ok(Compression::None) => wrapped.join_request,
        Ok(Compression::Gzip) => unzip(&wrapped.join_request)?,
        Err(_) => return Err(JoinRequestError::Message),
    };
    if message.len() > UNPACKED_BYTES_MAX {
        return Err(JoinRequestError::TooLarge);
    }
    proto::JoinRequest::decode(message.as_slice()).map_err(|_| JoinRequestError::Message)
}

/// Base64 as any client writes it: either alphabet, padded or not, with `+` turned into a space on the way.
pub(super) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(url_safe(text)).ok()
}

fn url_safe(text: &str) -> String {
    let symbol = |symbol: char| match symbol {
        '+' | ' ' => '-',
        '/' => '_',
        other => other,
    };
    text.chars().map(symbol).collect()
}

fn unzip(bytes: &[u8]) -> Result<Vec<u8>, JoinRequestError> {
    // One byte more than allowed tells "too large" from "just fits", whatever the archive claims.
    let limit = u64::try_from(UNPACKED_BYTES_MAX).unwrap_or(u64::MAX) + 1;
    // RFC 1952 §2.3.1: the last four bytes say the size. What admits to be a bomb is not unpacked at all, and
    // what does not lie is unpacked into one allocation; growing buffers on many threads never shrink back.
    let claimed = bytes.last_chunk().copied().map_or(0, u32::from_le_bytes);
    let claimed = usize::try_from(claimed).unwrap_or(usize::MAX);
    if claimed > UNPACKED_BYTES_MAX {
        return Err(JoinRequestError::TooLarge);
    }
    let mut unpacked = Vec::with_capacity(claimed + 1);
    GzDecoder::new(bytes)
        .take(limit)
        .read_to_end(&mut unpacked)
        .map_err(|_| JoinRequestError::Compression)?;
    Ok(unpacked)
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// A browser's offer for twenty tracks is about 60 KB.
const UNPACKED_BYTES_MAX: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use base64::engine::general_purpose::{STANDARD, URL_SAFE as PADDED, URL_SAFE_NO_PAD};
    use flate2::{Compression as Level, write::GzEncoder};

    use super::*;

    fn request() -> proto::JoinRequest {
        proto::JoinRequest {
            metadata: "ÿ>?".repeat(30),
            participant_sid: "PA_x".to_owned(),
            ..proto::JoinRequest::default()
        }
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Level::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn wrap(compression: Compression, join_request: Vec<u8>) -> Vec<u8> {
        proto::WrappedJoinRequest { compression: compression.into(), join_request }.encode_to_vec()
    }

    #[test]
    fn every_way_to_write_it_is_read() {
        let plain = wrap(Compression::None, request().encode_to_vec());
        let zipped = wrap(Compression::Gzip, gzip(&request().encode_to_vec()));
        for wrapped in [plain, zipped] {
            let texts = [
                PADDED.encode(&wrapped),
                URL_SAFE_NO_PAD.encode(&wrapped),
                STANDARD.encode(&wrapped),
                STANDARD.encode(&wrapped).replace('+', " "),
            ];
            for text in texts {
                assert_eq!(parse(&text), Ok(request()), "{text}");
            }
        }
    }

    #[test]
    fn a_gzip_bomb_is_refused_and_the_largest_request_is_not() {
        let check = |unpacked: usize| {
            let wrapped = wrap(Compression::Gzip, gzip(&vec![0; unpacked]));
            parse(&PADDED.encode(wrapped))
        };
        assert_eq!(check(64 * 1024 * 1024), Err(JoinRequestError::TooLarge));
        assert_eq!(check(UNPACKED_BYTES_MAX + 1), Err(JoinRequestError::TooLarge));
        assert_eq!(check(UNPACKED_BYTES_MAX), Err(JoinRequestError::Message));
    }

    #[test]
    fn what_is_no_join_request_says_why() {
        let cases = [
            ("%".to_owned(), JoinRequestError::Encoding),
            (PADDED.encode([0xFF; 9]), JoinRequestError::Message),
            (PADDED.encode(wrap(Compression::Gzip, vec![1, 2, 3])), JoinRequestError::Compression),
            (PADDED.encode(wrap(Compression::None, vec![0xFF; 9])), JoinRequestError::Message),
            (PADDED.encode([8, 7]), JoinRequestError::Message),
        ];
        for (text, error) in cases {
            assert_eq!(parse(&text), Err(error), "{text}");
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic() {
        let seed: u64 = rand::random();
        println!("seed {seed}");
        let mut state = seed | 1;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let whole = wrap(Compression::Gzip, gzip(&request().encode_to_vec()));
        for round in 0..5_000_usize {
            let mut bytes = if round % 2 == 0 {
                whole.clone()
            } else {
                (0..random() % 200).map(|_| random().to_le_bytes()[0]).collect()
            };
            for _ in 0..random() % 8 {
                let position = usize::try_from(random()).unwrap() % bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(position) {
                    *byte = random().to_le_bytes()[0];
                }
            }
            bytes.truncate(usize::try_from(random()).unwrap() % (bytes.len() + 1));
            drop(parse(&PADDED.encode(&bytes)));
            drop(parse(&String::from_utf8_lossy(&bytes)));
        }
    }
}
