//! How the WebRTC engine is set up: codecs, header extensions, buffers. One place, so that every peer of every
//! room negotiates alike.

use std::time::{Duration, Instant};

use rtc_model::Bitrate;
use str0m::{
    Candidate, IceCreds, Rtc, RtcConfig,
    channel::{ChannelConfig, Reliability},
    config::DtlsCert,
    media::Frequency,
    rtp::{Extension, ExtensionMap, ExtensionSerializer, ExtensionValues},
};

use crate::command::MessageChannel;

/// Where a subscriber's estimate starts. Too low delays the first sharp picture by seconds, too high floods a
/// mobile link before the first feedback; libwebrtc starts at 300 kbit/s and probes at three and six times that.
const ESTIMATE_START: Bitrate = Bitrate::from_kbps(1_000);
/// What a subscriber is taken to want at least. The first probes go out with the first packets and are aimed at this;
/// aimed at the few bits measured by then, their results would pull the estimate to the floor.
pub(crate) const DESIRED_MIN: Bitrate = Bitrate::from_kbps(3_000);
/// The engine reports its counters this often; connection quality is judged at the same pace.
pub(crate) const STATS_INTERVAL: Duration = Duration::from_secs(5);
/// Bytes a data channel may hold back before messages are dropped; one second at the permitted rate.
const CHANNEL_BUFFER_BYTES: usize = 2 * 1024 * 1024;

/// Packets kept per outbound video stream for retransmission: a second at 6 Mbit/s. A packet that is asked for later
/// comes too late to be shown; each slot costs memory for every subscriber.
const SEND_BUFFER_VIDEO: usize = 600;
/// The same for audio, 1.3 s.
const SEND_BUFFER_AUDIO: usize = 64;

/// What differs between peers.
pub(crate) struct EngineConfig<'a> {
    pub(crate) credentials: IceCreds,
    pub(crate) certificate: Option<&'a DtlsCert>,
    pub(crate) candidates: &'a [std::net::SocketAddr],
    pub(crate) message_bytes_max: usize,
    pub(crate) estimate_bandwidth: bool,
}

/// Where an estimate starts, in the engine's type.
pub(crate) fn estimate_start() -> str0m::bwe::Bitrate {
    str0m::bwe::Bitrate::bps(ESTIMATE_START.bps())
}

/// A certificate for all peers of a room: making one takes a millisecond, a join should not.
pub(crate) fn certificate() -> Option<DtlsCert> {
    str0m::crypto::from_feature_flags().dtls_provider.generate_certificate()
}

/// Builds an engine that only answers connectivity checks (ICE-lite) and hands RTP through (RTP mode).
pub(crate) fn build(now: Instant, config: EngineConfig<'_>) -> Rtc {
    let mut rtc_config = RtcConfig::new()
        .set_rtp_mode(true)
        .set_ice_lite(true)
        .set_local_ice_credentials(config.credentials)
        .set_stats_interval(Some(STATS_INTERVAL))
        .set_extension_map(extensions())
        .enable_opus(true, true)
        .enable_vp8(true)
        .enable_h264(true)
        .enable_vp9(true)
        .enable_av1(true)
        .enable_h265(true)
        .set_send_buffer_video(SEND_BUFFER_VIDEO)
        .set_send_buffer_audio(SEND_BUFFER_AUDIO)
        .set_sctp_max_buffered_amount(CHANNEL_BUFFER_BYTES)
        .set_sctp_max_message_size(u32::try_from(config.message_bytes_max).unwrap_or(u32::MAX));
    if let Some(certificate) = config.certificate {
        rtc_config = rtc_config.set_dtls_cert(certificate.clone());
    }
    if config.estimate_bandwidth {
        rtc_config = rtc_config.enable_bwe(Some(estimate_start()));
    }
    let mut rtc = rtc_config.build(now);
    for address in config.candidates {
        if let Ok(candidate) = Candidate::host(*address, "udp") {
            rtc.add_local_candidate(candidate);
        }
    }
    rtc
}

/// The ids are those of libwebrtc's own offers, so that most answers need no renumbering.
fn extensions() -> ExtensionMap {
    let mut map = ExtensionMap::empty();
    map.set(1, Extension::AudioLevel);
    map.set(2, Extension::AbsoluteSendTime);
    map.set(3, Extension::TransportSequenceNumber);
    map.set(4, Extension::RtpMid);
    map.set(5, Extension::PlayoutDelay);
    map.set(6, Extension::VideoContentType);
    map.set(8, Extension::AbsoluteCaptureTime);
    map.set(10, Extension::RtpStreamId);
    map.set(11, Extension::RepairedRtpStreamId);
    map.set(12, Extension::with_serializer(DependencyDescriptor::URI, DependencyDescriptorCodec));
    map.set(13, Extension::VideoOrientation);
    map
}

/// The channel as the server opens it.
pub(crate) fn channel_config(channel: MessageChannel) -> ChannelConfig {
    match channel {
        MessageChannel::Reliable => {
            ChannelConfig { label: label(channel).to_owned(), ..ChannelConfig::default() }
        }
        MessageChannel::Lossy => ChannelConfig {
            label: label(channel).to_owned(),
            ordered: false,
            reliability: Reliability::MaxRetransmits { retransmits: 0 },
            ..ChannelConfig::default()
        },
    }
}

/// The label clients open and expect.
pub(crate) fn label(channel: MessageChannel) -> &'static str {
    match channel {
        MessageChannel::Reliable => "_reliable",
        MessageChannel::Lossy => "_lossy",
    }
}

/// RTP ticks per second of a codec's clock.
pub(crate) fn ticks_per_second(clock: Frequency) -> u32 {
    clock.get()
}

/// The AV1 dependency descriptor (`AOMedia` RTP payload specification, appendix A), passed through unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DependencyDescriptor(Box<[u8]>);

impl DependencyDescriptor {
    const URI: &str =
        "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";
}

#[derive(Debug)]
struct DependencyDescriptorCodec;

/// RFC 8285 §4.2: the one-byte form carries at most 16 bytes.
const ONE_BYTE_FORM_MAX: usize = 16;
/// RFC 8285 §4.3: the two-byte form's length is one byte.
const TWO_BYTE_FORM_MAX: usize = 255;

impl ExtensionSerializer for DependencyDescriptorCodec {
    fn write_to(&self, buf: &mut [u8], values: &ExtensionValues) -> usize {
        let Some(descriptor) = values.user_values.get::<DependencyDescriptor>() else {
            return 0;
        };
        let bytes = &descriptor.0;
        buf.get_mut(..bytes.len()).map_or(0, |target| {
            target.copy_from_slice(bytes);
            bytes.len()
        })
    }

    fn parse_value(&self, buf: &[u8], values: &mut ExtensionValues) -> bool {
        if buf.is_empty() || buf.len() > TWO_BYTE_FORM_MAX {
            return false;
        }
        values.user_values.set(DependencyDescriptor(buf.into()));
        true
    }

    fn is_video(&self) -> bool {
        true
    }

    fn is_audio(&self) -> bool {
        false
    }

    fn requires_two_byte_form(&self, values: &ExtensionValues) -> bool {
        values
            .user_values
            .get::<DependencyDescriptor>()
            .is_some_and(|descriptor| descriptor.0.len() > ONE_BYTE_FORM_MAX)
    }
}
