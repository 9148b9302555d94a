use rtc_api::{
    cluster::{ControlRequest, JoinGrant, MintedToken, RoomSettings, SUBJECT_CONTROL},
    code::{ErrorCode, Refusal},
    proto,
    rest::apps::{AppUpdate, AppView, AuthenticationUpdate, KeyRotate},
    token::{Claims, VideoGrants, mint},
};
use rtc_control::{Caller, apps, auth};
use rtc_model::{AppStatus, ParticipantKind, Role, RoomName};

use crate::world::{NOW_S, SOON, World};

const OPERATOR: Caller = Caller::Operator;

fn claims(app: &AppView) -> Claims {
    Claims {
        iss: app.app_id.to_string(),
        sub: "alice".into(),
        exp: Some(NOW_S + 3_600),
        video: Some(VideoGrants::for_role(&RoomName::new("daily").unwrap(), Role::Joiner)),
        ..Claims::default()
    }
}

fn key(app: &AppView) -> &[u8] {
    app.app_key.as_deref().unwrap().as_bytes()
}

async fn join(world: &World, token: String) -> Result<JoinGrant, Refusal> {
    world.ask(&ControlRequest::AuthorizeJoin { token }).await
}

async fn refresh(world: &World, grant: JoinGrant) -> Result<MintedToken, Refusal> {
    world.ask(&ControlRequest::RefreshToken { grant: Box::new(grant) }).await
}

#[tokio::test]
async fn a_good_token_becomes_a_grant_with_everything_it_says() {
    let world = World::start().await;
    let app = world.app("class").await;
    let mut claims = claims(&app);
    claims.name = "Alice".into();
    claims.metadata = "m".into();
    claims.attributes.insert("k".into(), "v".into());
    claims.kind = "agent".into();
    claims.room_config = Some(proto::RoomConfiguration {
        max_participants: 4,
        metadata: "about the room".into(),
        ..Default::default()
    });
    let video = claims.video.as_mut().unwrap();
    video.hidden = true;
    video.can_publish_sources = vec!["microphone".into()];
    let grant = join(&world, mint(&claims, key(&app)).unwrap()).await.unwrap();
    let expected = JoinGrant {
        app: app.app_id.clone(),
        room: RoomName::new("daily").unwrap(),
        identity: "alice".parse().unwrap(),
        name: "Alice".into(),
        metadata: "m".into(),
        attributes: claims.attributes.clone(),
        kind: ParticipantKind::Agent,
        permissions: claims.video.as_ref().unwrap().permissions(),
        app_disabled: false,
        expires_at_s: NOW_S + 3_600,
        room_settings: RoomSettings {
            participants_max: Some(4),
            metadata: Some("about the room".into()),
            ..RoomSettings::default()
        },
    };
    assert_eq!(grant, expected);
    assert!(grant.permissions.hidden);
    world.stop().await;
}

#[tokio::test]
async fn tokens_that_do_not_count_are_refused_with_their_code() {
    let world = World::start().await;
    let app = world.app("class").await;
    let other = world.app("other").await;
    let good = claims(&app);
    let with = |change: fn(&mut Claims)| {
        let mut claims = good.clone();
        change(&mut claims);
        mint(&claims, key(&app)).unwrap()
    };
    let video = |change: fn(&mut VideoGrants)| {
        let mut claims = good.clone();
        change(claims.video.as_mut().unwrap());
        mint(&claims, key(&app)).unwrap()
    };
    let long = "x".repeat(257);
    let with_name = |name: &str, room: &str| {
        let mut claims = good.clone();
        name.clone_into(&mut claims.sub);
        room.clone_into(&mut claims.video.as_mut().unwrap().room);
        mint(&claims, key(&app)).unwrap()
    };
    let cases = [
        ("empty", String::new(), ErrorCode::TokenInvalid),
        ("garbage", "not.a.token".into(), ErrorCode::TokenInvalid),
        ("wrong key", mint(&good, b"wrong").unwrap(), ErrorCode::TokenInvalid),
        ("another app's key", mint(&good, key(&other)).unwrap(), ErrorCode::TokenInvalid),
        ("expired", with(|claims| claims.exp = Some(NOW_S - 61)), ErrorCode::TokenExpired),
        ("not yet", with(|claims| claims.nbf = Some(NOW_S + 61)), ErrorCode::TokenExpired),
        ("no issuer", with(|claims| claims.iss.clear()), ErrorCode::TokenInvalid),
        ("issuer out of shape", with(|claims| claims.iss = "a/b".into()), ErrorCode::TokenInvalid),
        ("unknown app", with(|claims| claims.iss = "nobody".into()), ErrorCode::AppNotFound),
        ("no grants", with(|claims| claims.video = None), ErrorCode::Forbidden),
        ("no roomJoin", video(|video| video.room_join = false), ErrorCode::Forbidden),
        ("no room", video(|video| video.room.clear()), ErrorCode::InvalidArgument),
        ("long room", with_name("alice", &long), ErrorCode::InvalidArgument),
        ("no identity", with(|claims| claims.sub.clear()), ErrorCode::InvalidArgument),
        ("long identity", with_name(&long, "daily"), ErrorCode::InvalidArgument),
        ("large", with(|claims| claims.metadata = "x".repeat(65_537)), ErrorCode::TooLarge),
    ];
    for (name, token, expected) in cases {
        let refusal = join(&world, token).await.unwrap_err();
        assert_eq!(refusal.code, expected, "{name}");
        assert!(refusal.detail.len() > 20, "{name}: {}", refusal.detail);
    }
    world.stop().await;
}

#[tokio::test]
async fn a_disabled_app_is_told_in_the_grant_and_refreshes_go_on() {
    let world = World::start().await;
    let app = world.app("class").await;
    let token = mint(&claims(&app), key(&app)).unwrap();
    let inside = join(&world, token.clone()).await.unwrap();
    apps::set_status(&world.cx, &OPERATOR, &app.app_id, AppStatus::Disabled).await.unwrap();
    assert!(join(&world, token.clone()).await.unwrap().app_disabled);
    let fresh = refresh(&world, inside.clone()).await.unwrap();
    let resumed = join(&world, fresh.token).await.unwrap();
    assert_eq!(resumed, JoinGrant { app_disabled: true, ..inside.clone() });

    apps::delete(&world.cx, &OPERATOR, &app.app_id).await.unwrap();
    assert_eq!(join(&world, token).await.unwrap_err().code, ErrorCode::AppNotFound);
    assert_eq!(refresh(&world, inside).await.err().unwrap().code, ErrorCode::AppNotFound);
    world.stop().await;
}

#[tokio::test]
async fn a_refreshed_token_carries_the_rights_of_now_and_time_to_resume() {
    let world = World::start().await;
    let app = world.app("class").await;
    let mut grant = join(&world, mint(&claims(&app), key(&app)).unwrap()).await.unwrap();
    grant.permissions.can_publish = false;
    grant.permissions.hidden = true;
    grant.name = "renamed".into();
    grant.kind = ParticipantKind::Sip;
    grant.room_settings.empty_timeout_s = Some(7);
    // Near its end, the token gets ten minutes; before, it keeps its end.
    for (at_s, ends_s) in [(0, NOW_S + 3_600), (3_590, NOW_S + 3_590 + 600)] {
        world.at(at_s);
        let fresh = refresh(&world, grant.clone()).await.unwrap();
        let resumed = join(&world, fresh.token).await.unwrap();
        assert_eq!(resumed, JoinGrant { expires_at_s: ends_s, ..grant.clone() });
    }
    world.stop().await;
}

#[tokio::test]
async fn the_old_keys_tokens_count_during_the_grace_period() {
    let world = World::start().await;
    let app = world.app("class").await;
    let old = mint(&claims(&app), key(&app)).unwrap();
    let grace = KeyRotate { grace_s: Some(600) };
    let rotated = apps::rotate_key(&world.cx, &OPERATOR, &app.app_id, &grace).await.unwrap();
    let new = mint(&claims(&app), key(&rotated)).unwrap();
    world.at(599);
    assert!(join(&world, old.clone()).await.is_ok() && join(&world, new.clone()).await.is_ok());
    let mut expired = claims(&app);
    expired.exp = Some(NOW_S);
    let expired = mint(&expired, key(&app)).unwrap();
    assert_eq!(join(&world, expired).await.unwrap_err().code, ErrorCode::TokenExpired);
    world.at(600);
    assert_eq!(join(&world, old).await.unwrap_err().code, ErrorCode::TokenInvalid);
    assert!(join(&world, new).await.is_ok());
    let none = KeyRotate { grace_s: Some(0) };
    apps::rotate_key(&world.cx, &OPERATOR, &app.app_id, &none).await.unwrap();
    let replaced = mint(&claims(&app), key(&rotated)).unwrap();
    assert_eq!(join(&world, replaced).await.unwrap_err().code, ErrorCode::TokenInvalid);
    world.stop().await;
}

#[tokio::test]
async fn without_authentication_any_token_joins_but_as_an_ordinary_participant() {
    let world = World::start().await;
    let app = world.app("class").await;
    let off = AuthenticationUpdate { enabled: Some(false), tolerance_s: None };
    let update = AppUpdate { authentication: Some(off), ..AppUpdate::default() };
    apps::update(&world.cx, &OPERATOR, &app.app_id, &update).await.unwrap();

    let mut forged = claims(&app);
    forged.exp = Some(1);
    forged.kind = "egress".into();
    let video = forged.video.as_mut().unwrap();
    (video.hidden, video.recorder, video.room_admin) = (true, true, true);
    let forged = mint(&forged, b"whatever").unwrap();
    let grant = join(&world, forged.clone()).await.unwrap();
    assert_eq!(grant.kind, ParticipantKind::Standard);
    assert!(!grant.permissions.hidden && grant.permissions.can_publish);

    // The same token, well signed, is believed in full.
    let mut hidden = claims(&app);
    hidden.video.as_mut().unwrap().hidden = true;
    let grant = join(&world, mint(&hidden, key(&app)).unwrap()).await.unwrap();
    assert!(grant.permissions.hidden);

    // It steers nothing.
    let header = format!("Bearer {forged}");
    let refused = auth::app_server(&world.cx, Some(&header)).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::TokenInvalid);
    world.stop().await;
}

#[tokio::test]
async fn the_development_pair_joins_while_it_is_configured() {
    let world = World::start().await;
    let mut claims = claims(&world.app("class").await);
    claims.iss = "devkey".into();
    let grant = join(&world, mint(&claims, b"secret").unwrap()).await.unwrap();
    assert_eq!(grant.app.as_str(), "devkey");
    let wrong = join(&world, mint(&claims, b"Secret").unwrap()).await.unwrap_err();
    assert_eq!(wrong.code, ErrorCode::TokenInvalid);
    assert!(refresh(&world, grant).await.is_ok());
    world.stop().await;
}

#[tokio::test]
async fn a_program_is_known_by_its_token() {
    let world = World::start().await;
    let app = world.app("class").await;
    let mut claims = claims(&app);
    claims.video = Some(VideoGrants { room_list: true, ..VideoGrants::default() });
    let token = mint(&claims, key(&app)).unwrap();
    for header in [format!("Bearer {token}"), format!("bearer {token}")] {
        let caller = auth::app_server(&world.cx, Some(&header)).await.unwrap();
        let Caller::AppServer { app: known, grants } = caller else { panic!("{caller:?}") };
        assert!(known == app.app_id && grants.room_list && !grants.room_create);
    }
    let nobody = auth::app_server(&world.cx, None).await.unwrap();
    assert!(matches!(nobody, Caller::Anonymous));
    for header in [token.clone(), format!("Basic {token}"), "Bearer".into(), "Bearer ".into()] {
        let refused = auth::app_server(&world.cx, Some(&header)).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::TokenInvalid, "{header}");
    }
    world.stop().await;
}

#[tokio::test]
async fn what_is_no_request_gets_an_answer_too() {
    let world = World::start().await;
    for body in ["", "{}", "[]", "{\"ask\":\"nothing\"}"] {
        let answer = world.bus.request(SUBJECT_CONTROL, body.into(), SOON).await.unwrap();
        let answer: Result<(), Refusal> = serde_json::from_slice(&answer).unwrap();
        assert_eq!(answer.unwrap_err().code, ErrorCode::Internal, "{body}");
    }
    world.stop().await;
}

#[tokio::test]
async fn many_joins_at_once_are_all_answered() {
    let world = World::start().await;
    let app = world.app("class").await;
    let token = mint(&claims(&app), key(&app)).unwrap();
    let joins = (0..500).map(|_| join(&world, token.clone()));
    let answers = futures_util::future::join_all(joins).await;
    assert!(answers.iter().all(Result::is_ok));
    world.stop().await;
}

#[tokio::test]
async fn a_stopped_control_plane_frees_its_subject() {
    let world = World::start().await;
    let bus = world.bus.clone();
    assert!(bus.serve(SUBJECT_CONTROL, 1).is_err());
    world.stop().await;
    assert!(bus.serve(SUBJECT_CONTROL, 1).is_ok());
}

#[tokio::test]
async fn answers_are_counted_by_their_outcome() {
    let world = World::start().await;
    let app = world.app("class").await;
    let grant = join(&world, mint(&claims(&app), key(&app)).unwrap()).await.unwrap();
    join(&world, "x".into()).await.unwrap_err();
    refresh(&world, grant).await.unwrap();
    let metrics = world.metrics();
    for line in [
        "control_answers_total{ask=\"authorize_join\",result=\"granted\"} 1",
        "control_answers_total{ask=\"authorize_join\",result=\"token_invalid\"} 1",
        "control_answers_total{ask=\"refresh_token\",result=\"granted\"} 1",
        "control_answer_seconds_count 3",
        "bus_announcements_dropped_total 0",
    ] {
        assert!(metrics.lines().any(|known| known == line), "{line} is not in\n{metrics}");
    }
    world.stop().await;
}
