//! Small loads against the real server.
//!
//! The binary is built first when it is not there or stale, so that this test means the same
//! alone and in the whole run.

use std::{path::PathBuf, process::Command, time::Duration};

use rtc_load::{
    client::{Encodings, PublishPlan, VideoPlan},
    report::Report,
    run::{self, Load, Shape},
    server::Server,
    token::TokenSource,
};

async fn play(shape: Shape, encodings: Encodings, estimation: bool) -> Report {
    let binary = built_server();
    let setting = ("SPARKRTC_MEDIA__ESTIMATE_BANDWIDTH", estimation.to_string());
    let server = Server::start(&binary, &[setting]).unwrap();
    let load = Load {
        url: server.url(),
        room: "smoke".into(),
        tokens: TokenSource::Key { api_key: "devkey".into(), api_secret: "secret".into() },
        shape,
        media: PublishPlan {
            audio: true,
            video: Some(VideoPlan {
                bitrate_bps: 300_000,
                fps: 30,
                packet_bytes: 1_200,
                keyframe_interval: Duration::from_secs(3),
                encodings,
            }),
        },
        warm_up: Duration::from_millis(500),
        duration: Duration::from_secs(2),
        server_pid: Some(server.pid()),
        server_ports: server.media_ports(),
        threads: 1,
        joins_per_second: 20,
    };
    let report = run::play(&load).await;
    report.unwrap_or_else(|error| panic!("{error:#}\nthe server's log:\n{}", server.log()))
}

/// `sparkrtc` beside this test's own target directory, brought up to date.
fn built_server() -> PathBuf {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "-p", "rtc-server"])
        .status()
        .unwrap();
    assert!(status.success(), "the server does not build");
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().find(|path| path.ends_with("debug")).unwrap();
    profile.join("sparkrtc")
}

/// Everything arrives, from a keyframe on, and nothing is invented.
fn check(report: &Report) {
    let packets = &report.packets;
    assert!(packets.expected > 0 && packets.delivered_percent >= 99.9, "{report}");
    assert_eq!((packets.repeated, packets.undecodable_starts), (0, 0), "{report}");
    assert_eq!(report.generator.failed_clients, 0, "{report}");
    let server = report.server.as_ref().unwrap();
    assert!(server.us_per_packet > 0.0 && server.loaded_kib_per_client > 0.0, "{report}");
}

#[tokio::test]
async fn one_publisher_reaches_one_and_ten_subscribers() {
    for subscribers in [1, 10] {
        let shape = Shape::Broadcast { publishers: 1, subscribers };
        check(&play(shape, Encodings::One, true).await);
    }
}

#[tokio::test]
async fn a_meeting_of_three_hears_and_sees_each_other() {
    for estimation in [true, false] {
        let shape = Shape::Meeting { participants: 3 };
        check(&play(shape, Encodings::One, estimation).await);
    }
}

#[tokio::test]
async fn a_meeting_larger_than_the_first_offer_gets_more_sections() {
    let report = play(Shape::Meeting { participants: 6 }, Encodings::One, true).await;
    check(&report);
    assert!(report.packets.offers_per_client >= 2.0, "{report}");
}

#[tokio::test]
async fn of_three_encodings_every_subscriber_gets_one_whole() {
    let shape = Shape::Broadcast { publishers: 1, subscribers: 2 };
    check(&play(shape, Encodings::Simulcast, true).await);
}
