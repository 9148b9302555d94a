use rtc_model::{Quality, RandomBits, TrackSource};

use super::*;

struct Fixed(u64);

impl RandomBits for Fixed {
    fn next_bits(&mut self) -> u64 {
        self.0
    }
}

fn track(number: u64) -> TrackId {
    TrackId::random(&mut Fixed(number << 4))
}

fn sid(number: u64) -> String {
    track(number).to_string()
}

#[test]
fn only_a_candidate_is_a_candidate() {
    let read = |json: &str, target: i32| {
        let trickle =
            proto::TrickleRequest { candidate_init: json.to_owned(), target, r#final: false };
        match candidate(&trickle) {
            Some(Request::Candidate { role, candidate }) => Some((role, candidate)),
            _ => None,
        }
    };
    let whole =
        r#"{"candidate":"candidate:1 1 udp 1 10.0.0.1 9 typ host","sdpMid":"0","sdpMLineIndex":0}"#;
    let text = "candidate:1 1 udp 1 10.0.0.1 9 typ host".to_owned();
    assert_eq!(read(whole, 0), Some((PeerRole::Publisher, text.clone())));
    assert_eq!(read(whole, 1), Some((PeerRole::Subscriber, text)));
    for nothing in ["", "{", "null", "[]", "{}", r#"{"candidate":7}"#, r#"{"candidate":""}"#] {
        assert_eq!(read(nothing, 0), None, "{nothing}");
    }
}

#[test]
#[expect(deprecated, reason = "older clients announce it there")]
fn an_announcement_is_read_from_old_and_new_clients() {
    let newer = proto::AddTrackRequest {
        cid: "c".to_owned(),
        source: proto::TrackSource::Microphone.into(),
        audio_features: vec![
            proto::AudioTrackFeature::TfStereo.into(),
            proto::AudioTrackFeature::TfNoDtx.into(),
            3,
        ],
        disable_red: true,
        ..Default::default()
    };
    let older = proto::AddTrackRequest {
        stereo: true,
        disable_dtx: true,
        audio_features: vec![3],
        ..newer.clone()
    };
    for request in [newer, older] {
        let read = publish(&request).unwrap();
        assert_eq!((read.kind, read.source), (TrackKind::Audio, TrackSource::Microphone));
        assert_eq!(
            read.features,
            TrackFeatures { stereo: Stereo::Stereo, dtx: Dtx::Off, red: RedUse::Off }
        );
        let mut features = read.audio_features;
        features.sort_unstable();
        assert_eq!(features, [0, 1, 3]);
    }
    let data =
        proto::AddTrackRequest { r#type: proto::TrackType::Data.into(), ..Default::default() };
    assert!(publish(&data).is_none());
}

#[test]
fn codecs_are_read_by_any_of_their_names_and_unknown_ones_left_out() {
    let codec = |name: &str| proto::SimulcastCodec { codec: name.to_owned(), ..Default::default() };
    let request = proto::AddTrackRequest {
        r#type: proto::TrackType::Video.into(),
        sid: sid(4),
        simulcast_codecs: ["av1", "video/VP8", "H264", "theora", ""].map(codec).into(),
        ..Default::default()
    };
    let read = publish(&request).unwrap();
    let codecs: Vec<Codec> = read.codecs.iter().map(|codec| codec.codec).collect();
    assert_eq!(codecs, [Codec::Av1, Codec::Vp8, Codec::H264]);
    assert_eq!(read.existing, Some(track(4)));
}

#[test]
fn a_wish_is_a_size_or_else_a_quality() {
    let wish = |settings: proto::UpdateTrackSettings| match track_settings(&settings) {
        Request::TrackSettings { wish, .. } => wish,
        other => panic!("{other:?}"),
    };
    let settings = |quality: proto::VideoQuality, width, height| proto::UpdateTrackSettings {
        quality: quality.into(),
        width,
        height,
        ..Default::default()
    };
    let by_size = wish(settings(proto::VideoQuality::Low, 640, 360));
    assert_eq!((by_size.size, by_size.quality), (Some((640, 360)), None));
    let by_quality = wish(settings(proto::VideoQuality::Medium, 0, 360));
    assert_eq!((by_quality.size, by_quality.quality), (None, Some(Quality::Medium)));
    assert!(!by_quality.disabled);
    assert!(wish(settings(proto::VideoQuality::Off, 0, 0)).disabled);
    let disabled = proto::UpdateTrackSettings { disabled: true, fps: 15, ..Default::default() };
    assert!(wish(disabled.clone()).disabled);
    assert_eq!(wish(disabled).fps, Some(15));
}

#[test]
fn one_is_the_highest_priority_and_zero_is_none() {
    let ranks: Vec<u32> = [1, 2, u32::MAX - 1, 0].map(priority).into();
    assert!(ranks.is_sorted_by(|a, b| a > b), "{ranks:?}");
    assert_eq!(priority(0), 0);
}

#[test]
fn subscriptions_are_named_directly_and_by_participant_once() {
    let request = proto::UpdateSubscription {
        track_sids: vec![sid(1), "nonsense".to_owned(), sid(2)],
        subscribe: true,
        participant_tracks: vec![proto::ParticipantTracks {
            participant_sid: String::new(),
            track_sids: vec![sid(2), sid(3)],
        }],
    };
    let Request::Subscribe { tracks, subscribe } = subscription(&request) else { panic!() };
    assert_eq!((tracks, subscribe), (vec![track(1), track(2), track(3)], true));
}

#[test]
fn permissions_name_participants_either_way() {
    let alice = ParticipantId::random(&mut Fixed(0));
    let known = |id| (id == alice).then(|| Identity::new("alice").unwrap());
    let permission = |sid: &str, identity: &str, all_tracks| proto::TrackPermission {
        participant_sid: sid.to_owned(),
        participant_identity: identity.to_owned(),
        all_tracks,
        track_sids: vec![sid_text()],
    };
    fn sid_text() -> String {
        sid(1)
    }
    let request = proto::SubscriptionPermission {
        all_participants: false,
        track_permissions: vec![
            permission(&alice.to_string(), "", true),
            permission("", "bob", false),
            permission("PA_333333333333", "", true),
            permission("", "", true),
        ],
    };
    let Request::SubscriptionPermission(SubscriptionPermission::Only(read)) =
        subscription_permission(&request, known)
    else {
        panic!()
    };
    let expected = [
        TrackPermission { identity: Identity::new("alice").unwrap(), tracks: None },
        TrackPermission { identity: Identity::new("bob").unwrap(), tracks: Some(vec![track(1)]) },
    ];
    assert_eq!(read, expected, "the unknown and the unnamed are left out");
    let everybody = proto::SubscriptionPermission { all_participants: true, ..request };
    assert!(matches!(
        subscription_permission(&everybody, known),
        Request::SubscriptionPermission(SubscriptionPermission::Everybody)
    ));
}

#[test]
fn an_empty_text_leaves_a_value_and_an_empty_attribute_deletes_one() {
    let attributes = [("gone".to_owned(), String::new())].into();
    let request = proto::UpdateParticipantMetadata {
        metadata: String::new(),
        name: "New".to_owned(),
        attributes,
        request_id: 3,
    };
    let Request::UpdateMetadata { request_id, change } = update_metadata(&request) else {
        panic!()
    };
    assert_eq!((request_id, change.name.as_deref(), change.metadata), (3, Some("New"), None));
    assert_eq!(change.attributes.get("gone").map(String::as_str), Some(""));
}

#[test]
fn what_a_client_believes_after_a_resume_is_read_whole() {
    let published = |number| proto::TrackPublishedResponse {
        cid: String::new(),
        track: Some(proto::TrackInfo { sid: sid(number), ..Default::default() }),
    };
    let description = |kind: &str| proto::SessionDescription {
        r#type: kind.to_owned(),
        sdp: kind.to_owned(),
        id: 4,
        ..Default::default()
    };
    let state = sync_state(&proto::SyncState {
        offer: Some(description("offer")),
        answer: Some(description("answer")),
        publish_tracks: vec![published(1), proto::TrackPublishedResponse::default()],
        subscription: Some(proto::UpdateSubscription {
            track_sids: vec![sid(2)],
            subscribe: false,
            ..Default::default()
        }),
        track_sids_disabled: vec![sid(3), "nonsense".to_owned()],
        ..Default::default()
    });
    assert_eq!(state.offer.map(|offer| (offer.id, offer.sdp)), Some((4, "offer".to_owned())));
    assert_eq!(state.answer.map(|answer| answer.sdp), Some("answer".to_owned()));
    assert_eq!(state.published, [track(1)]);
    assert_eq!(state.subscriptions, [(track(2), false)]);
    assert_eq!(state.disabled, [track(3)]);
}
