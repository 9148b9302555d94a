use std::{collections::BTreeMap, time::SystemTime};

use rtc_model::{Identity, ParticipantKind, Permissions, RandomBits};

use super::*;

struct Fixed(u64);

impl RandomBits for Fixed {
    fn next_bits(&mut self) -> u64 {
        self.0
    }
}

fn track() -> TrackId {
    TrackId::random(&mut Fixed(0))
}

fn participant() -> ParticipantId {
    ParticipantId::random(&mut Fixed(0))
}

const TRACK: &str = "TR_222222222222";
const PARTICIPANT: &str = "PA_222222222222";

#[test]
fn descriptions_keep_their_number_and_their_map() {
    let mid_to_track = BTreeMap::from([("0".to_owned(), track())]);
    let sdp = "v=0".to_owned();
    let answer = Signal::Answer { id: 7, sdp: sdp.clone(), mid_to_track: mid_to_track.clone() };
    let offer = Signal::Offer { id: 8, sdp, mid_to_track };
    let Some(Message::Answer(answer)) = message(&answer) else { panic!() };
    assert_eq!((answer.id, answer.r#type.as_str(), answer.sdp.as_str()), (7, "answer", "v=0"));
    assert_eq!(answer.mid_to_track_id["0"], TRACK);
    let Some(Message::Offer(offer)) = message(&offer) else { panic!() };
    assert_eq!((offer.id, offer.r#type.as_str()), (8, "offer"));
}

#[test]
fn a_leave_tells_old_and_new_clients_what_to_do() {
    use proto::leave_request::Action;
    let cases = [
        (RejoinAdvice::Disconnect, Action::Disconnect, false),
        (RejoinAdvice::Resume, Action::Resume, true),
        (RejoinAdvice::Reconnect, Action::Reconnect, true),
    ];
    for (advice, action, can_reconnect) in cases {
        let told = leave(LeaveReason::RoomDeleted, advice);
        assert_eq!((told.action(), told.can_reconnect), (action, can_reconnect), "{advice:?}");
        assert_eq!(told.reason(), proto::DisconnectReason::RoomDeleted);
    }
}

#[test]
#[expect(deprecated, reason = "older clients read the list of the first codec")]
fn watched_encodings_are_told_per_codec_in_lower_case() {
    let low = vec![(Quality::Low, true), (Quality::High, false)];
    let codecs = vec![(Codec::Av1, low), (Codec::Vp8, vec![(Quality::High, true)])];
    let signal = Signal::SubscribedQuality { track: track(), codecs };
    let Some(Message::SubscribedQualityUpdate(update)) = message(&signal) else { panic!() };
    assert_eq!(update.track_sid, TRACK);
    let names: Vec<&str> =
        update.subscribed_codecs.iter().map(|each| each.codec.as_str()).collect();
    assert_eq!(names, ["av1", "vp8"]);
    let first: Vec<_> = update.subscribed_codecs[0]
        .qualities
        .iter()
        .map(|each| (each.quality(), each.enabled))
        .collect();
    let expected = [(proto::VideoQuality::Low, true), (proto::VideoQuality::High, false)];
    assert_eq!(first, expected);
    assert_eq!(update.subscribed_qualities, update.subscribed_codecs[0].qualities);
}

#[test]
fn states_of_participants_and_tracks_are_told_by_id() {
    let quality = Signal::Quality(vec![ConnectionQuality {
        participant: participant(),
        grade: ConnectionGrade::Poor,
        score: 1.5,
    }]);
    let Some(Message::ConnectionQuality(update)) = message(&quality) else { panic!() };
    let told = &update.updates[0];
    assert_eq!(told.participant_sid, PARTICIPANT);
    assert_eq!((told.quality(), told.score), (proto::ConnectionQuality::Poor, 1.5));

    let states = Signal::StreamStates(vec![(participant(), track(), StreamState::Paused)]);
    let Some(Message::StreamStateUpdate(update)) = message(&states) else { panic!() };
    assert_eq!(update.stream_states[0].state(), proto::StreamState::Paused);
    assert_eq!(update.stream_states[0].track_sid, TRACK);

    let speaker = Speaker { participant: participant(), level: 0.5, active: true };
    let Some(Message::SpeakersChanged(update)) = message(&Signal::Speakers(vec![speaker])) else {
        panic!()
    };
    assert_eq!((update.speakers[0].level, update.speakers[0].active), (0.5, true));
}

#[test]
fn failures_and_outcomes_have_livekits_words() {
    let cases = [
        (SubscriptionError::TrackNotFound, proto::SubscriptionError::SeTrackNotfound),
        (SubscriptionError::CodecUnsupported, proto::SubscriptionError::SeCodecUnsupported),
    ];
    for (error, word) in cases {
        let signal = Signal::SubscriptionFailed { track: track(), error };
        let Some(Message::SubscriptionResponse(response)) = message(&signal) else { panic!() };
        assert_eq!(response.err(), word);
    }
    use proto::request_response::Reason;
    let cases = [
        (RequestOutcome::Ok, Reason::Ok),
        (RequestOutcome::NotFound, Reason::NotFound),
        (RequestOutcome::NotAllowed, Reason::NotAllowed),
        (RequestOutcome::LimitExceeded, Reason::LimitExceeded),
    ];
    for (outcome, reason) in cases {
        let response = request_response(9, outcome);
        assert_eq!((response.request_id, response.reason()), (9, reason));
    }
    assert_eq!(message(&Signal::TokenStale), None, "the session itself acts on it");
}

#[test]
fn the_departure_of_an_earlier_stay_is_told_before_the_arrival_of_the_next() {
    let stay = |number: u64, state| {
        Arc::new(ParticipantInfo {
            id: ParticipantId::random(&mut Fixed(number << 4)),
            identity: Identity::new("alice").unwrap(),
            name: String::new(),
            metadata: String::new(),
            attributes: BTreeMap::new(),
            kind: ParticipantKind::Standard,
            permissions: Permissions::default(),
            state,
            joined_at: SystemTime::UNIX_EPOCH,
            version: 1,
            is_publisher: false,
            tracks: Vec::new(),
        })
    };
    let gone = ParticipantState::Disconnected(LeaveReason::DuplicateIdentity);
    let news = vec![stay(1, ParticipantState::Joined), stay(2, gone)];
    let Some(Message::Update(update)) = message(&Signal::Participants(news)) else { panic!() };
    let states: Vec<_> = update.participants.iter().map(proto::ParticipantInfo::state).collect();
    let state = proto::participant_info::State::Joined;
    assert_eq!(states, [proto::participant_info::State::Disconnected, state]);
}
