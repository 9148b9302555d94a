use std::{collections::BTreeMap, time::Duration};

use rtc_model::{Identity, ParticipantId, RandomBits, RoomId, TrackFeatures, TrackId};

use super::*;

struct Fixed(u64);

impl RandomBits for Fixed {
    fn next_bits(&mut self) -> u64 {
        self.0
    }
}

fn at(ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(ms)
}

fn layer(quality: Quality, height: u32) -> VideoLayer {
    VideoLayer { quality, width: height * 16 / 9, height, bitrate: Bitrate::from_kbps(100) }
}

fn video(codecs: Vec<TrackCodec>) -> TrackInfo {
    TrackInfo {
        id: TrackId::random(&mut Fixed(0)),
        kind: TrackKind::Video,
        source: TrackSource::Camera,
        name: "cam".to_owned(),
        stream: "camera".to_owned(),
        muted: true,
        width: 1280,
        height: 720,
        codecs,
        features: TrackFeatures::default(),
        audio_features: Vec::new(),
        encryption: 1,
        backup_codec_policy: 2,
        version_us: 5_000_007,
    }
}

fn codec(codec: Codec, layers: Vec<VideoLayer>, mode: proto::video_layer::Mode) -> TrackCodec {
    TrackCodec { codec, cid: "cid".to_owned(), layers, layer_mode: mode.into() }
}

#[test]
fn a_participant_is_told_with_its_rights_and_reasons() {
    let mut info = ParticipantInfo {
        id: ParticipantId::random(&mut Fixed(0)),
        identity: Identity::new("alice").unwrap(),
        name: "Alice".to_owned(),
        metadata: "m".to_owned(),
        attributes: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
        kind: ParticipantKind::Agent,
        permissions: Permissions { hidden: true, ..Permissions::default() },
        state: ParticipantState::Active,
        joined_at: at(1_700_000_000_123),
        version: 9,
        is_publisher: true,
        tracks: vec![video(Vec::new())],
    };
    let told = participant(&info);
    assert_eq!(told.sid, "PA_222222222222");
    assert_eq!((told.joined_at, told.joined_at_ms), (1_700_000_000, 1_700_000_000_123));
    assert_eq!((told.version, told.is_publisher, told.tracks.len()), (9, true, 1));
    assert_eq!(told.kind(), proto::participant_info::Kind::Agent);
    assert_eq!(told.attributes["k"], "v");
    let rights = told.permission.clone().unwrap();
    assert!(rights.hidden && rights.can_publish, "without it clients refuse to publish");
    assert_eq!(told.disconnect_reason(), proto::DisconnectReason::UnknownReason);

    info.state = ParticipantState::Disconnected(LeaveReason::RoomDeleted);
    let told = participant(&info);
    assert_eq!(told.state(), proto::participant_info::State::Disconnected);
    assert_eq!(told.disconnect_reason(), proto::DisconnectReason::RoomDeleted);
}

#[test]
fn a_room_is_told_in_seconds_and_milliseconds() {
    let told = room(&RoomInfo {
        id: RoomId::random(&mut Fixed(0)),
        name: "r".parse().unwrap(),
        metadata: "m".to_owned(),
        created_at: at(2_500),
        empty_timeout_s: 300,
        departure_timeout_s: 20,
        participants_max: 7,
        participant_count: 3,
        publisher_count: 2,
    });
    assert_eq!((told.creation_time, told.creation_time_ms), (2, 2_500));
    assert_eq!((told.empty_timeout, told.departure_timeout, told.max_participants), (300, 20, 7));
    assert_eq!((told.num_participants, told.num_publishers), (3, 2));
}

#[test]
#[expect(deprecated, reason = "older clients read these fields")]
fn encodings_are_named_by_rid_only_when_each_is_a_stream() {
    use proto::video_layer::Mode;
    let three =
        || vec![layer(Quality::Low, 180), layer(Quality::Medium, 360), layer(Quality::High, 720)];
    let cases = [
        (three(), Mode::Unused, vec!["q", "h", "f"]),
        (three(), Mode::OneSpatialLayerPerStream, vec!["q", "h", "f"]),
        (three(), Mode::MultipleSpatialLayersPerStream, vec!["", "", ""]),
        (vec![layer(Quality::High, 720)], Mode::Unused, vec![""]),
        (Vec::new(), Mode::Unused, Vec::new()),
    ];
    for (layers, mode, rids) in cases {
        let told = track(&video(vec![codec(Codec::Vp8, layers, mode)]));
        let codec = &told.codecs[0];
        let told_rids: Vec<&str> = codec.layers.iter().map(|layer| layer.rid.as_str()).collect();
        assert_eq!(told_rids, rids, "{mode:?}");
        assert!(codec.layers.iter().zip(0..).all(|(layer, index)| layer.spatial_layer == index));
        assert_eq!(told.layers, codec.layers, "of the first codec, for older clients");
        assert_eq!(told.simulcast, rids.contains(&"h"));
    }
}

#[test]
#[expect(deprecated, reason = "older clients read these fields")]
fn a_track_keeps_what_is_only_passed_through() {
    let mut info = video(vec![
        codec(Codec::Av1, vec![layer(Quality::High, 720)], proto::video_layer::Mode::Unused),
        codec(Codec::Vp8, Vec::new(), proto::video_layer::Mode::Unused),
    ]);
    info.features = TrackFeatures { stereo: Stereo::Stereo, dtx: Dtx::Off, red: RedUse::Off };
    info.audio_features = vec![0, 1];
    let told = track(&info);
    assert_eq!((told.encryption, told.backup_codec_policy), (1, 2));
    assert_eq!(told.mime_type, "video/AV1");
    let mimes: Vec<&str> = told.codecs.iter().map(|codec| codec.mime_type.as_str()).collect();
    assert_eq!(mimes, ["video/AV1", "video/VP8"]);
    assert_eq!(told.version.unwrap().unix_micro, 5_000_007);
    assert!(told.muted && told.stereo && told.disable_dtx && told.disable_red);
    assert_eq!(told.audio_features, [0, 1]);
    assert_eq!(track(&video(Vec::new())).mime_type, "", "before negotiation");
}

#[test]
fn words_translate_there_and_back() {
    for known in [
        TrackSource::Unknown,
        TrackSource::Camera,
        TrackSource::Microphone,
        TrackSource::ScreenShare,
        TrackSource::ScreenShareAudio,
    ] {
        assert_eq!(source_from(source(known)), known);
    }
    for known in [Quality::Low, Quality::Medium, Quality::High] {
        assert_eq!(quality_from(quality(known)), Some(known));
    }
    assert_eq!(quality_from(proto::VideoQuality::Off), None);
    let rights = Permissions {
        can_subscribe: false,
        can_publish: true,
        can_publish_data: false,
        can_publish_sources: vec![TrackSource::ScreenShare],
        hidden: true,
        can_update_metadata: true,
        can_subscribe_metrics: true,
    };
    assert_eq!(permissions_from(&permissions(&rights)), rights);
}

#[test]
fn unreadable_layers_are_left_out_and_large_numbers_kept_in_range() {
    let layers = [
        proto::VideoLayer { quality: 1, bitrate: 500_000, ..Default::default() },
        proto::VideoLayer { quality: proto::VideoQuality::Off.into(), ..Default::default() },
    ];
    let read = layers_from(&layers);
    assert_eq!(read.len(), 1);
    assert_eq!((read[0].quality, read[0].bitrate), (Quality::Medium, Bitrate::from_kbps(500)));
    let mut huge = layer(Quality::High, 720);
    huge.bitrate = Bitrate::from_bps(u64::MAX);
    let told = track(&video(vec![codec(Codec::Vp8, vec![huge], proto::video_layer::Mode::Unused)]));
    assert_eq!(told.codecs[0].layers[0].bitrate, u32::MAX);
    assert_eq!(unix_seconds(SystemTime::UNIX_EPOCH - Duration::from_secs(5)), 0);
}
