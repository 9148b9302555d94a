//! Rooms, participants and tracks as clients, the server API and webhooks see them.

use std::time::{SystemTime, UNIX_EPOCH};

use rtc_media::info::{ParticipantInfo, ParticipantState, RoomInfo, TrackCodec, TrackInfo};
use rtc_model::{
    Bitrate, Codec, Dtx, LeaveReason, ParticipantKind, Permissions, Quality, RedUse, Stereo,
    TrackKind, TrackSource, VideoLayer,
};

use crate::proto;

/// A room for its participants and the server API.
pub(crate) fn room(info: &RoomInfo) -> proto::Room {
    proto::Room {
        sid: info.id.to_string(),
        name: info.name.to_string(),
        empty_timeout: info.empty_timeout_s,
        departure_timeout: info.departure_timeout_s,
        max_participants: info.participants_max,
        creation_time: unix_seconds(info.created_at),
        creation_time_ms: unix_milliseconds(info.created_at),
        metadata: info.metadata.clone(),
        num_participants: info.participant_count,
        num_publishers: info.publisher_count,
        enabled_codecs: enabled_codecs(),
        ..proto::Room::default()
    }
}

/// A participant with its rights and tracks.
pub(crate) fn participant(info: &ParticipantInfo) -> proto::ParticipantInfo {
    let (state, reason) = match info.state {
        ParticipantState::Joined => (proto::participant_info::State::Joined, None),
        ParticipantState::Active => (proto::participant_info::State::Active, None),
        ParticipantState::Disconnected(reason) => {
            (proto::participant_info::State::Disconnected, Some(reason))
        }
    };
    let reason = reason.map_or(proto::DisconnectReason::UnknownReason, disconnect_reason);
    proto::ParticipantInfo {
        sid: info.id.to_string(),
        identity: info.identity.to_string(),
        state: state.into(),
        tracks: info.tracks.iter().map(track).collect(),
        metadata: info.metadata.clone(),
        joined_at: unix_seconds(info.joined_at),
        joined_at_ms: unix_milliseconds(info.joined_at),
        name: info.name.clone(),
        version: info.version,
        permission: Some(permissions(&info.permissions)),
        is_publisher: info.is_publisher,
        kind: kind(info.kind).into(),
        attributes: info.attributes.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        disconnect_reason: reason.into(),
        ..proto::ParticipantInfo::default()
    }
}

/// A published track.
#[expect(deprecated, reason = "older clients read only the fields that newer ones have replaced")]
pub(crate) fn track(info: &TrackInfo) -> proto::TrackInfo {
    let first = info.codecs.first();
    let layers = first.map(layers).unwrap_or_default();
    let by_rid = first.is_some_and(|codec| rids(codec).is_some());
    proto::TrackInfo {
        sid: info.id.to_string(),
        r#type: track_type(info.kind).into(),
        name: info.name.clone(),
        muted: info.muted,
        width: info.width,
        height: info.height,
        simulcast: by_rid,
        disable_dtx: info.features.dtx == Dtx::Off,
        source: source(info.source).into(),
        layers,
        mime_type: first.map(|codec| mime(codec.codec).to_owned()).unwrap_or_default(),
        codecs: info.codecs.iter().map(codec).collect(),
        stereo: info.features.stereo == Stereo::Stereo,
        disable_red: info.features.red == RedUse::Off,
        encryption: info.encryption,
        stream: info.stream.clone(),
        version: Some(timed_version(info.version_us)),
        audio_features: info.audio_features.clone(),
        backup_codec_policy: info.backup_codec_policy,
        ..proto::TrackInfo::default()
    }
}

/// The codecs a client may publish, preferred first: VP8 leads, because clients take the first they can.
pub(crate) fn enabled_codecs() -> Vec<proto::Codec> {
    [Codec::Vp8, Codec::H264, Codec::Vp9, Codec::Av1, Codec::H265, Codec::Opus, Codec::Red]
        .map(|codec| proto::Codec { mime: mime(codec).to_owned(), fmtp_line: String::new() })
        .into()
}

/// A codec's media type, in the letter case clients print.
pub(crate) const fn mime(codec: Codec) -> &'static str {
    match codec {
        Codec::Opus => "audio/opus",
        Codec::Red => "audio/red",
        Codec::Vp8 => "video/VP8",
        Codec::H264 => "video/H264",
        Codec::Vp9 => "video/VP9",
        Codec::Av1 => "video/AV1",
        Codec::H265 => "video/H265",
    }
}

/// Rights, towards clients.
#[expect(deprecated, reason = "the struct has fields of older versions, left at their defaults")]
pub(crate) fn permissions(rights: &Permissions) -> proto::ParticipantPermission {
    proto::ParticipantPermission {
        can_subscribe: rights.can_subscribe,
        can_publish: rights.can_publish,
        can_publish_data: rights.can_publish_data,
        can_publish_sources: rights.can_publish_sources.iter().map(|s| source(*s).into()).collect(),
        hidden: rights.hidden,
        recorder: false,
        can_update_metadata: rights.can_update_metadata,
        agent: false,
        can_subscribe_metrics: rights.can_subscribe_metrics,
        can_manage_agent_session: false,
    }
}

/// Rights, from the server API.
pub(crate) fn permissions_from(rights: &proto::ParticipantPermission) -> Permissions {
    let sources = rights.can_publish_sources();
    Permissions {
        can_subscribe: rights.can_subscribe,
        can_publish: rights.can_publish,
        can_publish_data: rights.can_publish_data,
        can_publish_sources: sources.map(source_from).collect(),
        hidden: rights.hidden,
        can_update_metadata: rights.can_update_metadata,
        can_subscribe_metrics: rights.can_subscribe_metrics,
    }
}

/// Why a stay ended, in LiveKit's words.
pub(crate) const fn disconnect_reason(reason: LeaveReason) -> proto::DisconnectReason {
    match reason {
        LeaveReason::ClientInitiated => proto::DisconnectReason::ClientInitiated,
        LeaveReason::DuplicateIdentity => proto::DisconnectReason::DuplicateIdentity,
        LeaveReason::ServerShutdown => proto::DisconnectReason::ServerShutdown,
        LeaveReason::ParticipantRemoved => proto::DisconnectReason::ParticipantRemoved,
        LeaveReason::RoomDeleted => proto::DisconnectReason::RoomDeleted,
        LeaveReason::RoomClosed => proto::DisconnectReason::RoomClosed,
        LeaveReason::StateMismatch => proto::DisconnectReason::StateMismatch,
        LeaveReason::JoinFailure => proto::DisconnectReason::JoinFailure,
        LeaveReason::SignalClose => proto::DisconnectReason::SignalClose,
        LeaveReason::ConnectionTimeout => proto::DisconnectReason::ConnectionTimeout,
        LeaveReason::Internal | LeaveReason::Overloaded => proto::DisconnectReason::UnknownReason,
    }
}

/// A track's origin, towards clients.
pub(crate) const fn source(source: TrackSource) -> proto::TrackSource {
    match source {
        TrackSource::Unknown => proto::TrackSource::Unknown,
        TrackSource::Camera => proto::TrackSource::Camera,
        TrackSource::Microphone => proto::TrackSource::Microphone,
        TrackSource::ScreenShare => proto::TrackSource::ScreenShare,
        TrackSource::ScreenShareAudio => proto::TrackSource::ScreenShareAudio,
    }
}

/// A track's origin, from clients.
pub(crate) const fn source_from(source: proto::TrackSource) -> TrackSource {
    match source {
        proto::TrackSource::Unknown => TrackSource::Unknown,
        proto::TrackSource::Camera => TrackSource::Camera,
        proto::TrackSource::Microphone => TrackSource::Microphone,
        proto::TrackSource::ScreenShare => TrackSource::ScreenShare,
        proto::TrackSource::ScreenShareAudio => TrackSource::ScreenShareAudio,
    }
}

/// An encoding's name, towards clients.
pub(crate) const fn quality(quality: Quality) -> proto::VideoQuality {
    match quality {
        Quality::Low => proto::VideoQuality::Low,
        Quality::Medium => proto::VideoQuality::Medium,
        Quality::High => proto::VideoQuality::High,
    }
}

/// An encoding's name, from clients; `None` is off.
pub(crate) const fn quality_from(quality: proto::VideoQuality) -> Option<Quality> {
    match quality {
        proto::VideoQuality::Low => Some(Quality::Low),
        proto::VideoQuality::Medium => Some(Quality::Medium),
        proto::VideoQuality::High => Some(Quality::High),
        proto::VideoQuality::Off => None,
    }
}

/// Announced encodings, from clients.
pub(crate) fn layers_from(layers: &[proto::VideoLayer]) -> Vec<VideoLayer> {
    layers
        .iter()
        .filter_map(|layer| {
            Some(VideoLayer {
                quality: quality_from(layer.quality())?,
                width: layer.width,
                height: layer.height,
                bitrate: Bitrate::from_bps(layer.bitrate.into()),
            })
        })
        .collect()
}

/// Seconds since 1970.
pub(crate) fn unix_seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Milliseconds since 1970.
pub(crate) fn unix_milliseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

const fn kind(kind: ParticipantKind) -> proto::participant_info::Kind {
    match kind {
        ParticipantKind::Standard => proto::participant_info::Kind::Standard,
        ParticipantKind::Ingress => proto::participant_info::Kind::Ingress,
        ParticipantKind::Egress => proto::participant_info::Kind::Egress,
        ParticipantKind::Sip => proto::participant_info::Kind::Sip,
        ParticipantKind::Agent => proto::participant_info::Kind::Agent,
        ParticipantKind::Connector => proto::participant_info::Kind::Connector,
        ParticipantKind::Bridge => proto::participant_info::Kind::Bridge,
    }
}

const fn track_type(kind: TrackKind) -> proto::TrackType {
    match kind {
        TrackKind::Audio => proto::TrackType::Audio,
        TrackKind::Video => proto::TrackType::Video,
    }
}

fn codec(codec: &TrackCodec) -> proto::SimulcastCodecInfo {
    proto::SimulcastCodecInfo {
        mime_type: mime(codec.codec).to_owned(),
        cid: codec.cid.clone(),
        layers: layers(codec),
        video_layer_mode: codec.layer_mode,
        ..proto::SimulcastCodecInfo::default()
    }
}

fn layers(codec: &TrackCodec) -> Vec<proto::VideoLayer> {
    let rids = rids(codec);
    let spatial = 0_i32..;
    let each = codec.layers.iter().zip(spatial).enumerate();
    each.map(|(index, (layer, spatial_layer))| proto::VideoLayer {
        quality: quality(layer.quality).into(),
        width: layer.width,
        height: layer.height,
        bitrate: u32::try_from(layer.bitrate.bps()).unwrap_or(u32::MAX),
        spatial_layer,
        rid: rids.and_then(|rids| rids.get(index)).copied().unwrap_or_default().to_owned(),
        ..proto::VideoLayer::default()
    })
    .collect()
}

/// RIDs of a codec's encodings, lowest first; `None` when there is one RTP stream only.
fn rids(codec: &TrackCodec) -> Option<&'static [&'static str]> {
    let one_stream = proto::video_layer::Mode::MultipleSpatialLayersPerStream;
    if codec.layers.len() < 2 || codec.layer_mode == i32::from(one_stream) {
        return None;
    }
    Some(&["q", "h", "f"])
}

fn timed_version(version_us: u64) -> proto::TimedVersion {
    proto::TimedVersion { unix_micro: i64::try_from(version_us).unwrap_or(i64::MAX), ticks: 0 }
}

#[cfg(test)]
mod tests;
