use rtc_api::{
    cluster::{ControlRequest, JoinGrant},
    code::ErrorCode,
    rest::{
        apps::{AppUpdate, AppView, AuthenticationUpdate, KeyRotate},
        tokens::{AccessTokenRequest, TokenCreate},
    },
    token::{AccessSignature, UnverifiedToken, access_signature},
};
use rtc_control::{Caller, apps, tokens};
use rtc_model::{AppId, AppStatus, Identity, Role, RoomName};

use crate::world::{NOW_S, World, code};

const OPERATOR: Caller = Caller::Operator;
const HOUR_S: u64 = 3_600;

fn wanted() -> TokenCreate {
    TokenCreate {
        room_id: "room 1/ü".into(),
        user_id: "alice".into(),
        name: Some("Alice".into()),
        role: Role::Joiner,
        lifetime_s: None,
    }
}

/// What a client of the guide's product sends.
fn signed(app: &AppView, ctime: u64) -> AccessTokenRequest {
    signed_with(app, app.app_key.as_deref().unwrap(), &ctime.to_string())
}

fn signed_with(app: &AppView, key: &str, ctime: &str) -> AccessTokenRequest {
    let covered = AccessSignature {
        app: &app.app_id,
        room: &RoomName::new("room001").unwrap(),
        user: &Identity::new("user001").unwrap(),
        ctime,
    };
    AccessTokenRequest {
        room_id: "room001".into(),
        user_id: "user001".into(),
        ctime: ctime.into(),
        signature: access_signature(&covered, key.as_bytes()),
        role: Role::Joiner,
    }
}

async fn join(world: &World, token: &str) -> JoinGrant {
    world.ask(&ControlRequest::AuthorizeJoin { token: token.to_owned() }).await.unwrap()
}

#[tokio::test]
async fn a_temporary_token_joins_in_both_forms() {
    let world = World::start().await;
    let app = world.app("class").await;
    let made = tokens::temporary(&world.cx, &OPERATOR, &app.app_id, &wanted()).await.unwrap();
    assert_eq!(made.url, "ws://127.0.0.1:7880");
    assert_eq!(made.join_url, format!("http://127.0.0.1:7880/play#token={}", made.token));
    assert_eq!(made.expires_at, "2023-11-15T00:13:20.000Z");
    assert_eq!(made.ctime, (NOW_S + 2 * HOUR_S).to_string());
    let shown = format!("{made:?}");
    assert!(!shown.contains(&made.token) && !shown.contains(&made.signature));

    let key = app.app_key.as_deref().unwrap().as_bytes();
    let token = UnverifiedToken::parse(&made.token).unwrap();
    let claims = token.verify(key, NOW_S).unwrap();
    assert_eq!(claims.iss, app.app_id.as_str());
    let grant = join(&world, &made.token).await;
    assert_eq!((grant.room.as_str(), grant.identity.as_str()), ("room 1/ü", "alice"));
    assert_eq!((grant.name.as_str(), grant.expires_at_s), ("Alice", NOW_S + 2 * HOUR_S));

    let request = AccessTokenRequest {
        room_id: "room 1/ü".into(),
        user_id: "alice".into(),
        ctime: made.ctime,
        signature: made.signature,
        role: Role::Player,
    };
    let exchanged = tokens::exchange(&world.cx, &app.app_id, &request).await.unwrap();
    assert_eq!(exchanged.url, "ws://127.0.0.1:7880");
    assert!(!format!("{exchanged:?}").contains(&exchanged.token));
    let grant = join(&world, &exchanged.token).await;
    assert!(grant.permissions.can_subscribe && !grant.permissions.can_publish);
    world.stop().await;
}

#[tokio::test]
async fn roles_become_rights() {
    let world = World::start().await;
    let app = world.app("class").await;
    let cases =
        [(Role::Joiner, true, true), (Role::Player, false, true), (Role::Publisher, true, false)];
    for (role, publish, subscribe) in cases {
        let wanted = TokenCreate { role, ..wanted() };
        let made = tokens::temporary(&world.cx, &OPERATOR, &app.app_id, &wanted).await.unwrap();
        let rights = join(&world, &made.token).await.permissions;
        assert_eq!((rights.can_publish, rights.can_subscribe), (publish, subscribe), "{role:?}");
        assert!(!rights.hidden && !rights.can_update_metadata);
    }
    world.stop().await;
}

#[tokio::test]
async fn temporary_tokens_are_bounded() {
    let world = World::start().await;
    let app = world.app("class").await.app_id;
    let month = 30 * 24 * HOUR_S;
    for lifetime_s in [1, month] {
        let wanted = TokenCreate { lifetime_s: Some(lifetime_s), ..wanted() };
        let made = tokens::temporary(&world.cx, &OPERATOR, &app, &wanted).await.unwrap();
        let ctime = NOW_S + lifetime_s.min(12 * HOUR_S);
        assert_eq!(made.ctime, ctime.to_string(), "the signature ends after twelve hours at most");
        assert_eq!(join(&world, &made.token).await.expires_at_s, NOW_S + lifetime_s);
    }
    let long = "x".repeat(257);
    let cases = [
        TokenCreate { lifetime_s: Some(0), ..wanted() },
        TokenCreate { lifetime_s: Some(month + 1), ..wanted() },
        TokenCreate { lifetime_s: Some(u64::MAX), ..wanted() },
        TokenCreate { room_id: String::new(), ..wanted() },
        TokenCreate { room_id: long.clone(), ..wanted() },
        TokenCreate { room_id: "a\0b".into(), ..wanted() },
        TokenCreate { user_id: String::new(), ..wanted() },
        TokenCreate { user_id: long.clone(), ..wanted() },
        TokenCreate { name: Some(long), ..wanted() },
        TokenCreate { name: Some("a\u{7}".into()), ..wanted() },
    ];
    for case in cases {
        let refused = code(tokens::temporary(&world.cx, &OPERATOR, &app, &case).await);
        assert_eq!(refused, ErrorCode::InvalidArgument, "{case:?}");
    }
    world.stop().await;
}

#[tokio::test]
async fn tokens_are_made_for_existing_enabled_apps_by_the_operator() {
    let world = World::start().await;
    let app = world.app("class").await.app_id;
    let unknown = AppId::new("0123456789abcdef0123456789abcdef").unwrap();
    let made = tokens::temporary(&world.cx, &OPERATOR, &unknown, &wanted()).await;
    assert_eq!(code(made), ErrorCode::AppNotFound);
    let made = tokens::temporary(&world.cx, &Caller::Anonymous, &app, &wanted()).await;
    assert_eq!(code(made), ErrorCode::Unauthenticated);
    let dev = AppId::new("devkey").unwrap();
    tokens::temporary(&world.cx, &OPERATOR, &dev, &wanted()).await.unwrap();
    apps::set_status(&world.cx, &OPERATOR, &app, AppStatus::Disabled).await.unwrap();
    let made = tokens::temporary(&world.cx, &OPERATOR, &app, &wanted()).await;
    assert_eq!(code(made), ErrorCode::AppDisabled);
    world.stop().await;
}

#[tokio::test]
async fn signatures_count_from_twelve_hours_before_to_the_tolerance_after_their_end() {
    let world = World::start().await;
    let app = world.app("class").await;
    let cases = [
        (NOW_S + 2 * HOUR_S, Ok(NOW_S + 2 * HOUR_S)),
        (NOW_S + 12 * HOUR_S, Ok(NOW_S + 12 * HOUR_S)),
        (NOW_S + 12 * HOUR_S + 1, Err(ErrorCode::InvalidArgument)),
        (u64::MAX, Err(ErrorCode::InvalidArgument)),
        // Whoever comes at the last moment has a minute to connect.
        (NOW_S, Ok(NOW_S + 60)),
        (NOW_S - 300, Ok(NOW_S + 60)),
        (NOW_S - 301, Err(ErrorCode::TokenExpired)),
        (0, Err(ErrorCode::TokenExpired)),
    ];
    for (ctime, expected) in cases {
        let made = tokens::exchange(&world.cx, &app.app_id, &signed(&app, ctime)).await;
        let ends = match made {
            Ok(made) => Ok(join(&world, &made.token).await.expires_at_s),
            Err(error) => Err(error.code()),
        };
        assert_eq!(ends, expected, "{ctime}");
    }
    let tolerance = AuthenticationUpdate { enabled: None, tolerance_s: Some(60) };
    let update = AppUpdate { authentication: Some(tolerance), ..AppUpdate::default() };
    apps::update(&world.cx, &OPERATOR, &app.app_id, &update).await.unwrap();
    let late = tokens::exchange(&world.cx, &app.app_id, &signed(&app, NOW_S - 61)).await;
    assert_eq!(code(late), ErrorCode::TokenExpired);
    world.stop().await;
}

#[tokio::test]
async fn wrong_signatures_are_refused() {
    let world = World::start().await;
    let app = world.app("class").await;
    let other = world.app("other").await;
    let good = signed(&app, NOW_S + HOUR_S);
    let foreign_key = other.app_key.as_deref().unwrap();
    let cases = [
        ("room", AccessTokenRequest { room_id: "room002".into(), ..good.clone() }),
        ("user", AccessTokenRequest { user_id: "user002".into(), ..good.clone() }),
        ("ctime", AccessTokenRequest { ctime: (NOW_S + 2 * HOUR_S).to_string(), ..good.clone() }),
        ("empty", AccessTokenRequest { signature: String::new(), ..good.clone() }),
        ("no hex", AccessTokenRequest { signature: "x".repeat(64), ..good.clone() }),
        ("foreign key", signed_with(&app, foreign_key, &good.ctime)),
        ("empty key", signed_with(&app, "", &good.ctime)),
    ];
    for (name, request) in cases {
        let refused = code(tokens::exchange(&world.cx, &app.app_id, &request).await);
        assert_eq!(refused, ErrorCode::TokenInvalid, "{name}");
    }
    let refused = code(tokens::exchange(&world.cx, &other.app_id, &good).await);
    assert_eq!(refused, ErrorCode::TokenInvalid, "another app");
    let unknown = AppId::new("0123456789abcdef0123456789abcdef").unwrap();
    let refused = code(tokens::exchange(&world.cx, &unknown, &good).await);
    assert_eq!(refused, ErrorCode::AppNotFound);
    let odd = signed_with(&app, app.app_key.as_deref().unwrap(), "soon");
    let refused = code(tokens::exchange(&world.cx, &app.app_id, &odd).await);
    assert_eq!(refused, ErrorCode::InvalidArgument);

    apps::set_status(&world.cx, &OPERATOR, &app.app_id, AppStatus::Disabled).await.unwrap();
    let refused = code(tokens::exchange(&world.cx, &app.app_id, &good).await);
    assert_eq!(refused, ErrorCode::AppDisabled);
    let wrong = AccessTokenRequest { user_id: "user002".into(), ..good };
    let refused = code(tokens::exchange(&world.cx, &app.app_id, &wrong).await);
    assert_eq!(refused, ErrorCode::TokenInvalid, "status is not told to strangers");
    world.stop().await;
}

#[tokio::test]
async fn the_old_keys_signatures_count_during_the_grace_period() {
    let world = World::start().await;
    let app = world.app("class").await;
    let old = signed(&app, NOW_S + HOUR_S);
    let grace = KeyRotate { grace_s: Some(600) };
    apps::rotate_key(&world.cx, &OPERATOR, &app.app_id, &grace).await.unwrap();
    let made = tokens::exchange(&world.cx, &app.app_id, &old).await.unwrap();
    world.at(599);
    join(&world, &made.token).await;
    tokens::exchange(&world.cx, &app.app_id, &old).await.unwrap();
    world.at(600);
    // The token was made with the new key.
    join(&world, &made.token).await;
    let refused = code(tokens::exchange(&world.cx, &app.app_id, &old).await);
    assert_eq!(refused, ErrorCode::TokenInvalid);
    world.stop().await;
}

#[tokio::test]
async fn without_authentication_any_signature_joins() {
    let world = World::start().await;
    let app = world.app("class").await;
    let off = AuthenticationUpdate { enabled: Some(false), tolerance_s: None };
    let update = AppUpdate { authentication: Some(off), ..AppUpdate::default() };
    apps::update(&world.cx, &OPERATOR, &app.app_id, &update).await.unwrap();
    let mut request = signed(&app, NOW_S + HOUR_S);
    request.signature = "whatever".into();
    request.ctime = "0".into();
    let made = tokens::exchange(&world.cx, &app.app_id, &request).await.unwrap();
    let grant = join(&world, &made.token).await;
    assert_eq!(grant.expires_at_s, NOW_S + 2 * HOUR_S);
    apps::set_status(&world.cx, &OPERATOR, &app.app_id, AppStatus::Disabled).await.unwrap();
    let refused = code(tokens::exchange(&world.cx, &app.app_id, &request).await);
    assert_eq!(refused, ErrorCode::AppDisabled);
    world.stop().await;
}
