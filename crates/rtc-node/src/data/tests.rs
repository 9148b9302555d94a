use std::{collections::BTreeMap, time::SystemTime};

use rtc_media::info::ParticipantState;
use rtc_model::{Permissions, RandomBits};

use super::*;

struct Fixed(u64);

impl RandomBits for Fixed {
    fn next_bits(&mut self) -> u64 {
        self.0
    }
}

fn id(number: u64) -> ParticipantId {
    ParticipantId::random(&mut Fixed(number << 4))
}

fn participant(
    number: u64,
    identity: &str,
    change: impl Fn(&mut ParticipantInfo),
) -> Arc<ParticipantInfo> {
    let mut info = ParticipantInfo {
        id: id(number),
        identity: Identity::new(identity).unwrap(),
        name: String::new(),
        metadata: String::new(),
        attributes: BTreeMap::new(),
        kind: ParticipantKind::Standard,
        permissions: Permissions::default(),
        state: ParticipantState::Active,
        joined_at: SystemTime::UNIX_EPOCH,
        version: 1,
        is_publisher: false,
        tracks: Vec::new(),
    };
    change(&mut info);
    Arc::new(info)
}

fn user(payload: &[u8]) -> Value {
    Value::User(proto::UserPacket { payload: payload.to_vec(), ..Default::default() })
}

fn packet(value: Value) -> proto::DataPacket {
    proto::DataPacket { value: Some(value), ..Default::default() }
}

const BYTES_MAX: usize = 1_000;

fn judge(packet: &proto::DataPacket, sender: &ParticipantInfo) -> Result<Accepted, DataDrop> {
    accept(&packet.encode_to_vec(), MessageChannel::Reliable, sender, 0, BYTES_MAX)
}

#[test]
#[expect(deprecated, reason = "older clients read these fields")]
fn a_sender_cannot_pretend_to_be_another() {
    let alice = participant(1, "alice", |_| {});
    let mut forged = packet(user(b"hi"));
    forged.participant_identity = "bob".to_owned();
    forged.participant_sid = "PA_bob".to_owned();
    forged.kind = proto::data_packet::Kind::Reliable.into();
    forged.sequence = 7;
    if let Some(Value::User(user)) = &mut forged.value {
        user.participant_identity = "bob".to_owned();
        user.participant_sid = "PA_bob".to_owned();
    }
    let accepted =
        accept(&forged.encode_to_vec(), MessageChannel::Lossy, &alice, 0, BYTES_MAX).unwrap();
    let stamped = accepted.packet;
    assert_eq!(stamped.participant_identity, "alice");
    assert_eq!(stamped.participant_sid, alice.id.to_string());
    assert_eq!(stamped.kind(), proto::data_packet::Kind::Lossy);
    assert_eq!(stamped.sequence, 7, "receivers drop duplicates by it");
    let Some(Value::User(user)) = stamped.value else { panic!("not a user packet") };
    assert_eq!(
        (user.participant_identity.as_str(), user.payload.as_slice()),
        ("alice", b"hi".as_slice())
    );
    assert_eq!(user.participant_sid, alice.id.to_string());
}

#[test]
fn a_hidden_sender_is_not_named() {
    let hidden = participant(1, "eve", |info| info.permissions.hidden = true);
    let stamped = judge(&packet(user(b"hi")), &hidden).unwrap().packet;
    assert_eq!(
        (stamped.participant_identity, stamped.participant_sid),
        (String::new(), String::new())
    );
}

#[test]
fn what_participants_exchange_is_forwarded_and_the_rest_is_not() {
    let anyone = participant(1, "a", |_| {});
    let agent = participant(2, "b", |info| info.kind = ParticipantKind::Agent);
    let forwarded = [
        user(b""),
        Value::ChatMessage(proto::ChatMessage::default()),
        Value::RpcRequest(proto::RpcRequest::default()),
        Value::RpcAck(proto::RpcAck::default()),
        Value::RpcResponse(proto::RpcResponse::default()),
        Value::StreamHeader(proto::data_stream::Header::default()),
        Value::StreamChunk(proto::data_stream::Chunk::default()),
        Value::StreamTrailer(proto::data_stream::Trailer::default()),
        Value::SipDtmf(proto::SipDtmf::default()),
        Value::EncryptedPacket(proto::EncryptedPacket::default()),
    ];
    for value in forwarded {
        assert!(judge(&packet(value.clone()), &anyone).is_ok(), "{value:?}");
    }
    let transcription = packet(Value::Transcription(proto::Transcription::default()));
    assert_eq!(judge(&transcription, &anyone), Err(DataDrop::NotForwarded));
    assert!(judge(&transcription, &agent).is_ok());
    let metrics = packet(Value::Metrics(proto::MetricsBatch::default()));
    assert_eq!(judge(&metrics, &agent), Err(DataDrop::NotForwarded));
}

#[test]
fn what_is_not_let_through_says_why() {
    let alice = participant(1, "alice", |_| {});
    let mute = participant(2, "mute", |info| info.permissions.can_publish_data = false);
    let small = packet(user(b"x"));
    assert_eq!(judge(&small, &mute), Err(DataDrop::NotPermitted));
    assert_eq!(judge(&packet(user(&[0; BYTES_MAX])), &alice), Err(DataDrop::TooLarge));
    assert_eq!(judge(&proto::DataPacket::default(), &alice), Err(DataDrop::Malformed));
    let garbage = accept(&[0xFF; 9], MessageChannel::Lossy, &alice, 0, BYTES_MAX);
    assert_eq!(garbage, Err(DataDrop::Malformed));
}

#[test]
fn reliable_messages_that_came_already_are_dropped() {
    let alice = participant(1, "alice", |_| {});
    // (channel, sequence, last sequence, dropped)
    let cases = [
        (MessageChannel::Reliable, 1, 0, false),
        (MessageChannel::Reliable, 5, 5, true),
        (MessageChannel::Reliable, 4, 5, true),
        (MessageChannel::Reliable, 6, 5, false),
        (MessageChannel::Reliable, 9, 5, false),
        (MessageChannel::Reliable, 0, 5, false),
        (MessageChannel::Reliable, u32::MAX, u32::MAX - 1, false),
        (MessageChannel::Lossy, 4, 5, false),
    ];
    for (channel, sequence, last, dropped) in cases {
        let mut packet = packet(user(b"x"));
        packet.sequence = sequence;
        let judged = accept(&packet.encode_to_vec(), channel, &alice, last, BYTES_MAX);
        assert_eq!(judged.is_err(), dropped, "{channel:?} {sequence} after {last}");
    }
}

#[test]
#[expect(deprecated, reason = "older clients name receivers there")]
fn receivers_are_named_in_any_of_three_places() {
    let everybody = [
        participant(1, "alice", |_| {}),
        participant(2, "bob", |_| {}),
        participant(3, "carol", |_| {}),
    ];
    let to = |change: &dyn Fn(&mut proto::DataPacket, &mut proto::UserPacket)| {
        let mut user = proto::UserPacket::default();
        let mut packet = proto::DataPacket::default();
        change(&mut packet, &mut user);
        packet.value = Some(Value::User(user));
        let accepted = judge(&packet, &everybody[0]).unwrap();
        receivers(&accepted.to, Some(id(1)), everybody.iter())
    };
    assert_eq!(to(&|_, _| {}), [id(2), id(3)]);
    assert_eq!(to(&|packet, _| packet.destination_identities.push("bob".to_owned())), [id(2)]);
    assert_eq!(to(&|_, user| user.destination_identities.push("carol".to_owned())), [id(3)]);
    assert_eq!(to(&|_, user| user.destination_sids.push(id(2).to_string())), [id(2)]);
    assert_eq!(to(&|packet, _| packet.destination_identities.push("nobody".to_owned())), []);
    assert_eq!(to(&|packet, _| packet.destination_identities.push("alice".to_owned())), []);
}

#[test]
fn arbitrary_bytes_never_panic() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut state = seed | 1;
    let alice = participant(1, "alice", |_| {});
    for _ in 0..10_000 {
        let mut bytes = packet(user(b"some payload")).encode_to_vec();
        for _ in 0..4 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let position = usize::try_from(state >> 32).unwrap() % bytes.len();
            bytes[position] = state.to_le_bytes()[0];
        }
        drop(accept(&bytes, MessageChannel::Reliable, &alice, 0, BYTES_MAX));
    }
}

#[test]
fn a_call_hears_its_own_answers() {
    let answer = |value| {
        packet(Value::RpcResponse(proto::RpcResponse { request_id: "1".to_owned(), value }))
    };
    let ack = packet(Value::RpcAck(proto::RpcAck { request_id: "1".to_owned() }));
    assert_eq!(rpc_progress(&ack), Some(("1", RpcProgress::Acknowledged)));
    let payload = answer(Some(proto::rpc_response::Value::Payload("p".to_owned())));
    assert_eq!(rpc_progress(&payload), Some(("1", RpcProgress::Answered(Ok("p".to_owned())))));
    let error = proto::RpcError { code: 1_500, message: "no".to_owned(), data: String::new() };
    let failed = answer(Some(proto::rpc_response::Value::Error(error.clone())));
    assert_eq!(rpc_progress(&failed), Some(("1", RpcProgress::Answered(Err(error)))));
    assert_eq!(rpc_progress(&packet(user(b"x"))), None);
}

#[test]
fn a_client_that_comes_back_gets_what_it_missed() {
    let start = Instant::now();
    let mut recent = RecentMessages::default();
    let payload = |n: u8| -> Arc<[u8]> { Arc::from([n]) };
    recent.push(start, id(1), 1, &[id(2), id(3)], &payload(1));
    recent.push(start, id(1), 2, &[id(3)], &payload(2));
    recent.push(start, id(1), 3, &[id(2)], &payload(3));
    recent.push(start, id(4), 9, &[id(2)], &payload(4));
    recent.push(start, id(4), 0, &[id(2)], &payload(5));
    let seen = |sender| if sender == id(1) { 1 } else { 0 };
    let missed: Vec<u8> = recent.missed(id(2), seen).iter().map(|payload| payload[0]).collect();
    assert_eq!(missed, [3, 4]);
    recent.expire(start + Duration::from_secs(3));
    assert!(recent.missed(id(2), |_| 0).is_empty());
    assert_eq!(recent.bytes, 0);
}

#[test]
fn kept_messages_are_bounded_in_bytes() {
    let now = Instant::now();
    let mut recent = RecentMessages::default();
    let large: Arc<[u8]> = vec![0; 300_000].into();
    for sequence in 1..=10 {
        recent.push(now, id(1), sequence, &[id(2)], &large);
    }
    assert!(recent.bytes <= RecentMessages::BYTES_MAX);
    assert_eq!(recent.missed(id(2), |_| 0).len(), 3, "the newest are kept");

    let everybody: Vec<ParticipantId> = (0..500).map(id).collect();
    let small: Arc<[u8]> = vec![0].into();
    for sequence in 1..=10_000 {
        recent.push(now, id(1), sequence, &everybody, &small);
    }
    assert!(recent.bytes <= RecentMessages::BYTES_MAX);
    assert!(recent.messages.len() < 300, "receivers weigh too");
}
