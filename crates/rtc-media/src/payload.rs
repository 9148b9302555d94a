//! What a forwarder must know of an RTP payload: where decoding can start, which layer it is, how big.
//!
//! Reads only descriptors and headers, never pictures. Bytes come straight from the network: anything
//! malformed gives a [`PacketInfo`] that claims nothing.

mod av1;
mod bits;
mod h264;
mod h265;
mod vp8;
mod vp9;

use rtc_model::{Codec, TrackKind};

pub(crate) use vp8::{PictureId, PictureIdWidth, Vp8Descriptor, Vp8Header, Vp8Numbers};

/// What one packet says of itself. The default claims nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PacketInfo {
    /// A decoder that has seen nothing can start with this packet. True for all audio.
    pub(crate) keyframe_start: bool,
    /// Where in its frame the packet lies, as far as the payload says.
    pub(crate) part: FramePart,
    /// Spatial layer inside the stream (SVC), 0 is the lowest.
    pub(crate) spatial: Option<u8>,
    /// Temporal layer, 0 is the lowest.
    pub(crate) temporal: Option<u8>,
    /// Whether more temporal layers can be taken from here.
    pub(crate) switch_up: SwitchUp,
    /// The VP8 descriptor, for rewriting.
    pub(crate) vp8: Option<Vp8Descriptor>,
    /// Width and height in pixels, on packets that start a keyframe and carry it.
    pub(crate) resolution: Option<(u32, u32)>,
}

/// Where in its frame a packet lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FramePart {
    /// The payload does not say; the RTP marker ends a frame.
    #[default]
    Unknown,
    /// The first packet of several, or of an unknown number.
    Start,
    /// Neither the first nor known to be the last.
    Middle,
    /// The last packet of several.
    End,
    /// The only packet.
    Whole,
}

impl FramePart {
    /// Whether a frame is known to begin with this packet.
    pub(crate) const fn is_start(self) -> bool {
        matches!(self, Self::Start | Self::Whole)
    }

    #[expect(clippy::fn_params_excessive_bools, reason = "the two flags of the payload header")]
    const fn of(starts: bool, ends: bool) -> Self {
        match (starts, ends) {
            (true, true) => Self::Whole,
            (true, false) => Self::Start,
            (false, true) => Self::End,
            (false, false) => Self::Middle,
        }
    }
}

/// Whether a receiver of fewer temporal layers can take more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SwitchUp {
    /// Not here.
    #[default]
    No,
    /// This frame, although of a higher layer, needs only lower ones (VP8 Y bit, H.265 TSA and STSA).
    Here,
    /// Frames of higher layers after this frame need nothing before it (VP9 U bit).
    After,
}

/// Reads what `payload` says of itself, for a stream of `codec`.
///
/// `payload` is the RTP payload without padding. Empty or malformed payloads of video claim nothing.
pub(crate) fn inspect(codec: Codec, payload: &[u8]) -> PacketInfo {
    if codec.kind() == TrackKind::Audio {
        return PacketInfo {
            keyframe_start: true,
            part: FramePart::Whole,
            ..PacketInfo::default()
        };
    }
    let info = match codec {
        Codec::Opus | Codec::Red => None,
        Codec::Vp8 => vp8::inspect(payload),
        Codec::Vp9 => vp9::inspect(payload),
        Codec::H264 => h264::inspect(payload),
        Codec::H265 => h265::inspect(payload),
        Codec::Av1 => av1::inspect(payload),
    };
    info.unwrap_or_default()
}

#[cfg(test)]
mod tests;
