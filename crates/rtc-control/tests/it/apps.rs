use std::sync::{Arc, Mutex};

use rtc_api::{
    cluster::{RoomAnswer, RoomCall},
    code::ErrorCode,
    rest::apps::{AppCreate, AppListQuery, AppUpdate, AuthenticationUpdate, KeyRotate},
    token::VideoGrants,
};
use rtc_control::{Caller, apps};
use rtc_model::{AppId, AppKind, AppStatus};

use crate::world::{World, code};

const OPERATOR: Caller = Caller::Operator;

fn named(name: &str) -> AppCreate {
    AppCreate { name: name.into(), kind: AppKind::Other }
}

#[tokio::test]
async fn a_new_app_has_an_id_a_key_and_a_domain_in_the_published_shapes() {
    let world = World::start().await;
    let app = world.app("class").await;
    let key = app.app_key.clone().unwrap();
    let id = app.app_id.as_str();
    assert!(id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{id}");
    assert!(key.len() == 32 && key.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F')));
    assert_eq!(app.domain, format!("{id}.localhost"));
    assert_eq!((app.status, app.kind), (AppStatus::Enabled, AppKind::Other));
    assert_eq!(app.created_at, "2023-11-14T22:13:20.000Z");
    assert!(app.authentication.enabled && app.authentication.tolerance_s == 300);
    assert!(!format!("{app:?}").contains(&key));

    let other = world.app("other").await;
    assert!(other.app_id != app.app_id && other.app_key != app.app_key);
    assert_eq!(apps::show(&world.cx, &OPERATOR, &app.app_id).await.unwrap(), app);
    world.stop().await;
}

#[tokio::test]
async fn names_follow_the_guide() {
    let world = World::start().await;
    for good in ["a", "A-b_9", "-", &"x".repeat(64)] {
        apps::create(&world.cx, &OPERATOR, &named(good)).await.unwrap();
    }
    for bad in ["", "a b", "a.b", "ä", "a/b", "a\n", &"x".repeat(65)] {
        let refused = code(apps::create(&world.cx, &OPERATOR, &named(bad)).await);
        assert_eq!(refused, ErrorCode::InvalidArgument, "{bad:?}");
    }
    assert_eq!(code(apps::create(&world.cx, &OPERATOR, &named("a")).await), ErrorCode::Conflict);
    world.stop().await;
}

#[tokio::test]
async fn lists_are_filtered_and_paged_and_hold_no_keys() {
    let world = World::start().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        world.at(number);
        ids.push(world.app(&format!("app-{number}")).await.app_id);
    }
    ids.reverse();
    apps::set_status(&world.cx, &OPERATOR, &ids[2], AppStatus::Disabled).await.unwrap();

    let list = |query: AppListQuery| {
        let cx = world.cx.clone();
        async move { apps::list(&cx, &OPERATOR, &query).await }
    };
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let query = AppListQuery { limit: Some(2), after, ..AppListQuery::default() };
        let part = list(query).await.unwrap();
        assert!(part.items.iter().all(|app| app.app_key.is_none()));
        seen.extend(part.items.into_iter().map(|app| app.app_id));
        after = part.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ids);
    let disabled = AppListQuery { status: Some(AppStatus::Disabled), ..AppListQuery::default() };
    let disabled = list(disabled).await.unwrap().items;
    assert_eq!(disabled.iter().map(|app| &app.app_id).collect::<Vec<_>>(), [&ids[2]]);

    for (limit, after) in [(0, None), (101, None), (1, Some("")), (1, Some("x-y")), (1, Some("5"))]
    {
        let after = after.map(str::to_owned);
        let query = AppListQuery { limit: Some(limit), after, ..AppListQuery::default() };
        assert_eq!(code(list(query).await), ErrorCode::InvalidArgument);
    }
    world.stop().await;
}

#[tokio::test]
async fn changes_count_at_once_and_are_announced() {
    let world = World::start().await;
    let app = world.app("class").await;
    let mut announced = world.announcements();
    world.at(1);
    let update = AppUpdate {
        name: Some("lesson".into()),
        kind: Some(AppKind::Education),
        authentication: Some(AuthenticationUpdate { enabled: Some(false), tolerance_s: Some(60) }),
        ..AppUpdate::default()
    };
    let changed = apps::update(&world.cx, &OPERATOR, &app.app_id, &update).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.kind), ("lesson", AppKind::Education));
    assert!(!changed.authentication.enabled && changed.authentication.tolerance_s == 60);
    assert_eq!(changed.updated_at, "2023-11-14T22:13:21.000Z");
    assert_eq!((&changed.created_at, &changed.app_key), (&app.created_at, &app.app_key));
    assert_eq!(announced.next().await, app.app_id);

    for status in [AppStatus::Disabled, AppStatus::Disabled, AppStatus::Enabled] {
        let set = apps::set_status(&world.cx, &OPERATOR, &app.app_id, status).await.unwrap();
        assert_eq!(set.status, status);
        assert_eq!(announced.next().await, app.app_id);
    }
    for tolerance_s in [0, 59, 2_592_001] {
        let authentication = AuthenticationUpdate { enabled: None, tolerance_s: Some(tolerance_s) };
        let update = AppUpdate { authentication: Some(authentication), ..AppUpdate::default() };
        let refused = code(apps::update(&world.cx, &OPERATOR, &app.app_id, &update).await);
        assert_eq!(refused, ErrorCode::InvalidArgument);
    }
    let other = world.app("other").await;
    let update = AppUpdate { name: Some("lesson".into()), ..AppUpdate::default() };
    let refused = code(apps::update(&world.cx, &OPERATOR, &other.app_id, &update).await);
    assert_eq!(refused, ErrorCode::Conflict);
    world.stop().await;
}

#[tokio::test]
async fn a_rotation_gives_a_new_key_and_says_how_long_the_old_one_counts() {
    let world = World::start().await;
    let app = world.app("class").await;
    let mut announced = world.announcements();
    let hour = KeyRotate { grace_s: Some(3_600) };
    let rotated = apps::rotate_key(&world.cx, &OPERATOR, &app.app_id, &hour).await.unwrap();
    assert_ne!(rotated.app_key, app.app_key);
    assert_eq!(rotated.previous_key_until.as_deref(), Some("2023-11-14T23:13:20.000Z"));
    assert_eq!(announced.next().await, app.app_id);
    world.at(3_600);
    let later = apps::show(&world.cx, &OPERATOR, &app.app_id).await.unwrap();
    assert_eq!((later.app_key, later.previous_key_until), (rotated.app_key, None));
    let too_long = KeyRotate { grace_s: Some(2_592_001) };
    let refused = code(apps::rotate_key(&world.cx, &OPERATOR, &app.app_id, &too_long).await);
    assert_eq!(refused, ErrorCode::InvalidArgument);
    world.stop().await;
}

#[tokio::test]
async fn deleting_ends_the_rooms_before_and_after() {
    let world = World::start().await;
    let app = world.app("class").await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let node = world.play_node(move |request| {
        assert!(matches!(request.call, RoomCall::CloseAll));
        log.lock().unwrap().push(request.app);
        Ok(RoomAnswer::Done)
    });
    let mut announced = world.announcements();
    apps::delete(&world.cx, &OPERATOR, &app.app_id).await.unwrap();
    assert_eq!(*asked.lock().unwrap(), [app.app_id.clone(), app.app_id.clone()]);
    assert_eq!(announced.next().await, app.app_id);
    assert_eq!(announced.next().await, app.app_id);
    let gone = code(apps::show(&world.cx, &OPERATOR, &app.app_id).await);
    assert_eq!(gone, ErrorCode::AppNotFound);
    let gone = code(apps::delete(&world.cx, &OPERATOR, &app.app_id).await);
    assert_eq!(gone, ErrorCode::AppNotFound);
    // The name is free again.
    world.app("class").await;
    node.abort();
    world.stop().await;
}

#[tokio::test]
async fn an_app_whose_rooms_cannot_be_ended_is_kept_disabled() {
    let world = World::start().await;
    let app = world.app("class").await;
    let node = world.play_node(|_| Err(ErrorCode::Overloaded));
    let refused = code(apps::delete(&world.cx, &OPERATOR, &app.app_id).await);
    assert_eq!(refused, ErrorCode::Overloaded);
    let kept = apps::show(&world.cx, &OPERATOR, &app.app_id).await.unwrap();
    assert_eq!(kept.status, AppStatus::Disabled);
    node.abort();
    world.stop().await;
}

#[tokio::test]
async fn without_a_node_there_are_no_rooms_to_end() {
    let world = World::start().await;
    let app = world.app("class").await;
    apps::delete(&world.cx, &OPERATOR, &app.app_id).await.unwrap();
    world.stop().await;
}

#[tokio::test]
async fn the_development_app_can_be_seen_but_not_changed() {
    let world = World::start().await;
    let id = AppId::new("devkey").unwrap();
    let app = apps::show(&world.cx, &OPERATOR, &id).await.unwrap();
    assert_eq!(app.app_key.as_deref(), Some("secret"));
    let disable = apps::set_status(&world.cx, &OPERATOR, &id, AppStatus::Disabled).await;
    assert_eq!(code(disable), ErrorCode::Forbidden);
    let rotate = apps::rotate_key(&world.cx, &OPERATOR, &id, &KeyRotate::default()).await;
    assert_eq!(code(rotate), ErrorCode::Forbidden);
    assert_eq!(code(apps::delete(&world.cx, &OPERATOR, &id).await), ErrorCode::Forbidden);
    world.stop().await;
}

#[tokio::test]
async fn only_the_operator_manages_apps() {
    let world = World::start().await;
    let id = world.app("class").await.app_id;
    let grants = VideoGrants {
        room_create: true,
        room_list: true,
        room_admin: true,
        room: "r".into(),
        ..VideoGrants::default()
    };
    let callers = [
        (Caller::Anonymous, ErrorCode::Unauthenticated),
        (Caller::AppServer { app: id.clone(), grants }, ErrorCode::Forbidden),
    ];
    for (caller, expected) in callers {
        let cx = &world.cx;
        let update = AppUpdate::default();
        let codes = [
            code(apps::create(cx, &caller, &named("x")).await),
            code(apps::list(cx, &caller, &AppListQuery::default()).await),
            code(apps::show(cx, &caller, &id).await),
            code(apps::update(cx, &caller, &id, &update).await),
            code(apps::set_status(cx, &caller, &id, AppStatus::Disabled).await),
            code(apps::rotate_key(cx, &caller, &id, &KeyRotate::default()).await),
            code(apps::delete(cx, &caller, &id).await),
        ];
        assert_eq!(codes, [expected; 7]);
    }
    assert_eq!(apps::show(&world.cx, &OPERATOR, &id).await.unwrap().status, AppStatus::Enabled);
    world.stop().await;
}
