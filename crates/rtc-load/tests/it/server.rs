//! Small loads against the real server.

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

/// `sparkrtc` beside this test. A run of the whole workspace has built it; alone, this test builds
/// it when it is not there.
fn built_server() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().find(|path| path.ends_with("debug")).unwrap();
    let binary = profile.join("sparkrtc");
    if !binary.exists() {
        let mut build = Command::new(env!("CARGO"));
        let status = build.args(["build", "--quiet", "-p", "rtc-server"]).status().unwrap();
        assert!(status.success(), "the server does not build");
    }
    binary
}

/// Everything arrives, from a keyframe on, and nothing is invented.
fn check(report: &Report) {
    let packets = &report.packets;
    assert!(packets.expected > 0 && packets.delivered_percent >= 99.9, "{report}");
    assert_eq!(packets.repeated, 0, "{report}");
    assert_eq!(report.generator.failed_clients, 0, "{report}");
    let server = report.server.as_ref().unwrap();
    assert!(server.us_per_packet > 0.0 && server.loaded_kib_per_client > 0.0, "{report}");
}

#[tokio::test]
async fn one_publisher_reaches_one_and_ten_subscribers() {
    for subscribers in [1, 10] {
        let shape = Shape::Broadcast { publishers: 1, subscribers };
        check(&play(shape, Encodings::One, false).await);
    }
}

#[tokio::test]
async fn a_meeting_larger_than_the_first_offer_gets_more_sections() {
    let report = play(Shape::Meeting { participants: 6 }, Encodings::One, false).await;
    check(&report);
    assert!(report.packets.offers_per_client >= 2.0, "{report}");
}

#[tokio::test]
async fn of_three_encodings_every_subscriber_gets_one_whole() {
    let shape = Shape::Broadcast { publishers: 1, subscribers: 2 };
    check(&play(shape, Encodings::Simulcast, false).await);
}

/// A machine busy with other tests delays packets, which may rightly look like a narrow network: only
/// sound must be whole then.
#[tokio::test]
async fn with_estimation_a_meeting_of_three_sees_and_always_hears_each_other() {
    let report = play(Shape::Meeting { participants: 3 }, Encodings::One, true).await;
    let packets = &report.packets;
    assert_eq!(packets.audio_delivered, packets.audio_expected, "{report}");
    assert!(packets.delivered > packets.audio_delivered, "{report}");
    assert_eq!(report.generator.failed_clients, 0, "{report}");
}
