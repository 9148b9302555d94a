//! The client half alone, against an answerer in memory.

use std::{collections::BTreeMap, time::Duration};

use rtc_api::proto::{self, signal_request, signal_response};
use rtc_load::{
    client::{ClientEvent, ClientPlan, Encodings, PublishPlan, Sections, Subscribe, VideoPlan},
    payload::{self, FramePart, MediaKind, Stamp},
};
use str0m::{
    format::Codec,
    media::{KeyframeRequestKind, Mid, Pt},
    rtp::{RtpPacket, RtpWrite, Vp8Descriptor},
};

use crate::answerer::Pair;

fn plan(encodings: Encodings) -> ClientPlan {
    ClientPlan {
        identity: "load-7".into(),
        source: 7,
        publish: Some(PublishPlan {
            audio: true,
            video: Some(VideoPlan {
                bitrate_bps: 2_000_000,
                fps: 30,
                packet_bytes: 1_200,
                keyframe_interval: Duration::from_secs(60),
                encodings,
            }),
        }),
        subscribe: Subscribe::All,
        sections: Sections { audio: 1, video: 1 },
    }
}

fn stamps(packets: &[RtpPacket]) -> BTreeMap<(MediaKind, u8), Vec<u64>> {
    let mut streams: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for stamp in packets.iter().filter_map(|packet| Stamp::read(&packet.payload)) {
        assert_eq!(stamp.source, 7);
        streams.entry((stamp.kind, stamp.encoding)).or_default().push(stamp.counter);
    }
    streams
}

fn is_keyframe(packet: &RtpPacket) -> bool {
    let video = Stamp::read(&packet.payload).is_some_and(|s| s.kind == MediaKind::Video);
    let parsed = Vp8Descriptor::parse(&packet.payload);
    video && parsed.is_ok_and(|vp8| vp8.starts_keyframe(&packet.payload))
}

#[test]
fn published_packets_arrive_in_order_at_their_rate() {
    let mut pair = Pair::new(plan(Encodings::One));
    pair.connect(|sdp| sdp);
    pair.publish();
    pair.run(Duration::from_secs(3));

    let announced: Vec<_> = pair
        .messages
        .iter()
        .map(|message| match message {
            signal_request::Message::AddTrack(track) => track.cid.as_str(),
            other => panic!("unexpected {other:?}"),
        })
        .collect();
    assert_eq!(announced, ["load-7-microphone", "load-7-camera"]);

    let streams = stamps(&pair.received);
    assert_eq!(streams.len(), 2);
    for ((kind, _), counters) in &streams {
        let expected: Vec<u64> = (0..counters.len() as u64).collect();
        assert_eq!(*counters, expected, "{kind:?}");
    }
    // Three seconds at 50 packets/s and at 2 Mbit/s of 1200 bytes; the last frame may still be due.
    assert!((149..=151).contains(&streams[&(MediaKind::Audio, 0)].len()));
    assert!((618..=632).contains(&streams[&(MediaKind::Video, 0)].len()));
    let sent: u64 = pair.client.sent().map(|stream| stream.in_window).sum();
    assert_eq!(sent, pair.received.len() as u64);
}

#[test]
fn video_begins_with_a_keyframe_and_gives_one_when_asked() {
    let mut pair = Pair::new(plan(Encodings::One));
    pair.connect(|sdp| sdp);
    pair.publish();
    pair.run(Duration::from_secs(1));
    let keyframes = |pair: &Pair| pair.received.iter().filter(|p| is_keyframe(p)).count();
    assert_eq!(keyframes(&pair), 1);
    let first = pair.received.iter().find(|p| p.payload.len() == 1_200).unwrap();
    assert!(is_keyframe(first));

    let ssrc = first.header.ssrc;
    let mut direct = pair.server.direct_api();
    direct.stream_rx(&ssrc).unwrap().request_keyframe(KeyframeRequestKind::Pli);
    pair.run(Duration::from_millis(100));
    assert_eq!(keyframes(&pair), 2);
    assert_eq!(pair.client.counts().keyframe_requests, 1);
}

#[test]
fn a_lost_video_packet_is_sent_again_when_asked_for() {
    let mut pair = Pair::new(plan(Encodings::One));
    pair.connect(|sdp| sdp);
    pair.publish();
    // One in seventeen datagrams of the first while is lost, feedback included.
    pair.lose = |number| number % 17 == 16 && number < 400;
    pair.run(Duration::from_secs(3));
    let mut video = stamps(&pair.received).remove(&(MediaKind::Video, 0)).unwrap();
    let in_order = video.is_sorted();
    video.sort_unstable();
    video.dedup();
    let all: Vec<u64> = (0..video.len() as u64).collect();
    assert_eq!(video, all);
    assert!(!in_order, "nothing was repaired");
}

#[test]
fn simulcast_sends_three_encodings_that_are_told_apart() {
    let mut pair = Pair::new(plan(Encodings::Simulcast));
    pair.connect(|sdp| sdp);
    pair.publish();
    pair.run(Duration::from_secs(2));
    let streams = stamps(&pair.received);
    let video: Vec<usize> = (0..3).map(|n| streams[&(MediaKind::Video, n)].len()).collect();
    assert!(video[0] * 3 < video[1] && video[1] * 3 < video[2], "{video:?}");
    let offered = pair.messages.iter().find_map(|message| match message {
        signal_request::Message::AddTrack(track) if track.width > 0 => Some(track.layers.clone()),
        _ => None,
    });
    let rids: Vec<_> = offered.unwrap().into_iter().map(|layer| layer.rid).collect();
    assert_eq!(rids, ["q", "h", "f"]);
}

#[test]
fn sections_answered_inactive_are_offered_again_when_the_server_asks() {
    let mut pair = Pair::new(plan(Encodings::One));
    pair.connect(|sdp| sdp.replace("a=sendonly", "a=inactive"));
    assert_eq!(pair.client.receiving_sections().count(), 0);

    pair.signal(sections_needed(0, 0));
    let offers = pair.answer_offers();
    assert_eq!(offers.len(), 1);
    assert_eq!(offers[0].sdp.matches("a=recvonly").count(), 2);
    assert_eq!(pair.client.receiving_sections().count(), 2);

    pair.signal(sections_needed(2, 1));
    let offers = pair.answer_offers();
    assert_eq!(offers[0].sdp.matches("a=recvonly").count(), 5);
    assert_eq!(pair.client.receiving_sections().count(), 5);

    // With every section in use an offer is still made when asked for.
    pair.signal(sections_needed(0, 0));
    assert_eq!(pair.answer_offers().len(), 1);
    assert_eq!(pair.client.receiving_sections().count(), 5);
}

#[test]
fn requests_during_an_exchange_wait_for_its_end() {
    let mut pair = Pair::new(plan(Encodings::One));
    pair.connect(|sdp| sdp);
    pair.signal(sections_needed(1, 0));
    pair.signal(sections_needed(0, 2));
    assert_eq!(pair.messages.len(), 1);
    assert_eq!(pair.answer_offers().len(), 1);
    let second = pair.answer_offers();
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].sdp.matches("a=recvonly").count(), 5);
}

#[test]
fn received_packets_are_counted_exactly() {
    let mut pair = Pair::new(plan(Encodings::One));
    pair.connect(|sdp| sdp);
    let mid = pair
        .client
        .receiving_sections()
        .find(|mid| pair.server.media(*mid).is_some_and(|media| media.kind().is_video()))
        .unwrap();
    let pt = pair.server.codec_config().params().iter().find(|p| p.spec().codec == Codec::Vp8);
    let pt = pt.unwrap().pt();
    // Counter 3 is never sent, counter 5 twice; the sequence numbers have no gap, so nothing is
    // repaired.
    for (seq, counter) in [0, 1, 2, 4, 5, 5, 6].into_iter().enumerate() {
        send_from_server(&mut pair, mid, pt, 100 + seq as u64, counter);
        pair.run(Duration::from_millis(5));
    }
    let (key, stream) = pair.client.ledger().streams().next().unwrap();
    assert_eq!((key.source, key.kind), (42, MediaKind::Video));
    let counted = (stream.distinct(), stream.repeated(), stream.expected_in_runs());
    assert_eq!(counted, (6, 1, 7));
    assert_eq!(pair.client.counts().undecodable_starts, 0);
    let flowing = pair.events.iter().filter(|event| **event == ClientEvent::TrackFlowing);
    assert_eq!(flowing.count(), 1);
}

#[test]
fn a_server_that_breaks_the_protocol_fails_the_client_once() {
    let leave = proto::LeaveRequest {
        reason: proto::DisconnectReason::ServerShutdown.into(),
        ..Default::default()
    };
    let rows = [
        signal_response::Message::Offer(proto::SessionDescription::default()),
        signal_response::Message::Leave(leave),
        signal_response::Message::Trickle(proto::TrickleRequest {
            candidate_init: "not JSON".into(),
            ..Default::default()
        }),
    ];
    for message in rows {
        let mut pair = Pair::new(plan(Encodings::One));
        pair.connect(|sdp| sdp);
        pair.signal(message.clone());
        pair.signal(message.clone());
        let failures = pair.events.iter().filter(|e| matches!(e, ClientEvent::Failed(_)));
        assert_eq!(failures.count(), 1, "{message:?}");
    }
}

fn sections_needed(num_audios: u32, num_videos: u32) -> signal_response::Message {
    let requirement = proto::MediaSectionsRequirement { num_audios, num_videos };
    signal_response::Message::MediaSectionsRequirement(requirement)
}

fn send_from_server(pair: &mut Pair, mid: Mid, pt: Pt, seq: u64, counter: u64) {
    let stamp =
        Stamp { source: 42, kind: MediaKind::Video, encoding: 0, counter, sent_ns: pair.wall_ns() };
    let part = if counter == 0 { FramePart::KeyframeStart } else { FramePart::InterframeStart };
    let mut bytes = Vec::new();
    payload::write_vp8(&mut bytes, 600, 9, part, (320, 180), stamp);
    let packet = RtpWrite::new(pt, seq.into(), 3_000, pair.now, bytes.as_slice());
    let mut direct = pair.server.direct_api();
    direct.stream_tx_by_mid(mid, None).unwrap().write_rtp(packet);
    pair.server.handle_input(str0m::Input::Timeout(pair.now)).unwrap();
    pair.settle();
}
