//! What a track is: kind, source, codec, encodings and layers.

use serde::{Deserialize, Serialize};

/// Audio or video (W3C `MediaStreamTrack.kind`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrackKind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
}

/// Where a track comes from.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum TrackSource {
    /// The publisher did not say.
    #[default]
    Unknown,
    /// A camera.
    Camera,
    /// A microphone.
    Microphone,
    /// A shared screen (the guide's *presentation*).
    ScreenShare,
    /// The sound of a shared screen.
    ScreenShareAudio,
}

/// A codec we can forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Codec {
    /// RFC 7587.
    Opus,
    /// Redundant audio (RFC 2198) around Opus.
    Red,
    /// RFC 7741.
    Vp8,
    /// RFC 6184.
    H264,
    /// RFC 9628.
    Vp9,
    /// AV1 RTP payload format of the Alliance for Open Media, version 1.0.
    Av1,
    /// RFC 7798.
    H265,
}

impl Codec {
    /// Audio or video.
    pub const fn kind(self) -> TrackKind {
        match self {
            Self::Opus | Self::Red => TrackKind::Audio,
            Self::Vp8 | Self::H264 | Self::Vp9 | Self::Av1 | Self::H265 => TrackKind::Video,
        }
    }

    /// The media subtype as registered with IANA, lower case (`vp8`, `opus`).
    pub const fn subtype(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::Red => "red",
            Self::Vp8 => "vp8",
            Self::H264 => "h264",
            Self::Vp9 => "vp9",
            Self::Av1 => "av1",
            Self::H265 => "h265",
        }
    }

    /// Finds a codec by media type or bare subtype, in any case (`video/VP8`, `vp8`).
    pub fn from_mime(mime: &str) -> Option<Self> {
        let subtype = mime.rsplit('/').next().unwrap_or(mime).to_ascii_lowercase();
        [Self::Opus, Self::Red, Self::Vp8, Self::H264, Self::Vp9, Self::Av1, Self::H265]
            .into_iter()
            .find(|codec| codec.subtype() == subtype)
    }
}

/// A publisher's name for the size of an encoding, and a subscriber's wish for one.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// The smallest encoding (RID `q`).
    Low,
    /// The middle one (RID `h`).
    Medium,
    /// The largest one (RID `f`, or the only one).
    #[default]
    High,
}

/// One encoding as the publisher announces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoLayer {
    /// Which of the publisher's encodings.
    pub quality: Quality,
    /// Width in pixels; 0 when not announced.
    pub width: u32,
    /// Height in pixels; 0 when not announced.
    pub height: u32,
    /// Target rate; zero when not announced.
    pub bitrate: crate::Bitrate,
}

/// What a subscriber is given: spatial and temporal index, 0 is the lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Layer {
    /// Index of the encoding, lowest first.
    pub spatial: u8,
    /// Index of the temporal layer, lowest first.
    pub temporal: u8,
}

/// Whether a subscribed stream flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamState {
    /// Media is forwarded.
    Active,
    /// The server holds it back, for lack of bandwidth.
    Paused,
}

/// Properties of an audio track that change how it is negotiated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackFeatures {
    /// Two channels.
    pub stereo: Stereo,
    /// Discontinuous transmission.
    pub dtx: Dtx,
    /// Redundant encoding.
    pub red: RedUse,
}

/// One or two channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stereo {
    /// One channel.
    #[default]
    Mono,
    /// Two channels.
    Stereo,
}

/// Whether silence is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dtx {
    /// Silence is left out (`usedtx=1`).
    #[default]
    On,
    /// Silence is sent like sound.
    Off,
}

/// Whether each packet repeats the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RedUse {
    /// RED is preferred.
    #[default]
    On,
    /// RED is not used.
    Off,
}
