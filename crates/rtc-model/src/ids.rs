//! Names of things. Each is its own type, so that two of them can never be swapped.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text has no or another prefix than the id's own (`RM_`, `PA_`, `TR_`).
    #[error("id has the wrong prefix")]
    WrongPrefix,
    /// The text is empty, too long, or has characters the id does not allow.
    #[error("id is empty, too long or has characters that are not allowed")]
    Malformed,
}

/// A source of random bits; the caller chooses a seeded or an operating-system one.
pub trait RandomBits {
    /// The next 64 random bits.
    fn next_bits(&mut self) -> u64;
}

/// 32 symbols without look-alikes; five bits each.
const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
/// 12 symbols hold 60 bits: a million ids collide with a chance of about 4e-7.
const SYMBOLS: usize = 12;

macro_rules! short_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// Makes an id from 60 of the next random bits.
            pub fn random(bits: &mut impl RandomBits) -> Self {
                Self(bits.next_bits() >> 4)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($prefix)?;
                for i in (0..SYMBOLS).rev() {
                    let symbol = usize::try_from((self.0 >> (5 * i)) & 31).unwrap_or(0);
                    fmt::Write::write_char(f, char::from(ALPHABET[symbol]))?;
                }
                Ok(())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let symbols = text.strip_prefix($prefix).ok_or(IdError::WrongPrefix)?;
                if symbols.len() != SYMBOLS {
                    return Err(IdError::Malformed);
                }
                symbols
                    .bytes()
                    .try_fold(0_u64, |value, byte| {
                        let symbol = ALPHABET.iter().position(|&known| known == byte)?;
                        Some((value << 5) | u64::try_from(symbol).ok()?)
                    })
                    .map(Self)
                    .ok_or(IdError::Malformed)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    };
}

short_id!(
    /// One lifetime of a room; a room of the same name opened later has another id.
    RoomId, "RM_"
);
short_id!(
    /// One participant's stay in a room; survives resumes, not full reconnects.
    ParticipantId, "PA_"
);
short_id!(
    /// One publication of a track.
    TrackId, "TR_"
);
short_id!(
    /// One running server process.
    NodeId, "ND_"
);

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $max:expr, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Longest text in bytes.
            pub const MAX_BYTES: usize = $max;

            /// Takes a text as an id.
            ///
            /// # Errors
            /// [`IdError::Malformed`] when empty, longer than [`Self::MAX_BYTES`], or with
            /// characters that are not allowed.
            pub fn new(text: &str) -> Result<Self, IdError> {
                let allowed: fn(char) -> bool = $allowed;
                if text.is_empty() || text.len() > Self::MAX_BYTES || !text.chars().all(allowed) {
                    return Err(IdError::Malformed);
                }
                Ok(Self(text.into()))
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(&String::deserialize(deserializer)?).map_err(D::Error::custom)
            }
        }
    };
}

text_id!(
    /// An app: owner of a key pair, rooms and statistics. Ours are 32 lower-case hex characters;
    /// the customary development pair uses `devkey`.
    AppId, 64, |c| c.is_ascii_alphanumeric() || c == '-' || c == '_'
);
text_id!(
    /// A room's name, unique among the open rooms of its app.
    RoomName, 256, |c| !c.is_control()
);
text_id!(
    /// Who a participant is; unique in a room at any time.
    Identity, 256, |c| !c.is_control()
);

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u64);

    impl RandomBits for Fixed {
        fn next_bits(&mut self) -> u64 {
            self.0
        }
    }

    #[test]
    fn short_ids_round_trip_at_both_ends_of_their_range() {
        for bits in [0, 1, u64::MAX, 0x0123_4567_89AB_CDEF] {
            let id = TrackId::random(&mut Fixed(bits));
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(id.to_string().len(), 15);
        }
    }

    #[test]
    fn foreign_prefixes_and_shapes_are_refused() {
        let cases = ["", "TR_", "PA_222222222222", "TR_22222222222I", "TR_2222222222222"];
        for text in cases {
            assert!(text.parse::<TrackId>().is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_bounded_and_have_no_control_characters() {
        assert!(RoomName::new(&"x".repeat(256)).is_ok());
        assert!(RoomName::new(&"x".repeat(257)).is_err());
        assert!(RoomName::new("课堂 7").is_ok());
        assert!(Identity::new("a\nb").is_err());
        assert!(AppId::new("a/b").is_err());
    }
}
