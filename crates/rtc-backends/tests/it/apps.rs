use rtc_backends::{
    BackendErrorKind,
    db::{AppChange, AppPosition, AppQuery, AppRow, NewApp, PreviousKey},
};
use rtc_model::{AppId, AppKey, AppKind, AppStatus};

use crate::store::{Store, on_every_engine};

fn new_app(id: &str, name: &str, created_at_ms: i64) -> NewApp {
    NewApp {
        id: AppId::new(id).unwrap(),
        name: name.to_owned(),
        kind: AppKind::Education,
        key: AppKey::new(&format!("KEY-{id}")),
        signature_tolerance_s: 300,
        created_at_ms,
    }
}

async fn insert(store: &Store, id: &str, created_at_ms: i64) -> AppRow {
    store.db.apps().insert(&new_app(id, &format!("name-{id}"), created_at_ms)).await.unwrap()
}

async fn ids(store: &Store, query: AppQuery) -> (Vec<String>, Option<AppPosition>) {
    let page = store.db.apps().page(&query).await.unwrap();
    (page.rows.iter().map(|row| row.id.to_string()).collect(), page.next)
}

fn all() -> AppQuery {
    AppQuery { status: None, after: None, limit: 100 }
}

#[tokio::test]
async fn an_app_is_found_as_it_was_stored() {
    on_every_engine(async |store| {
        let apps = store.db.apps();
        let inserted = apps.insert(&new_app("a1", "class", 1_700_000_000_123)).await.unwrap();
        let expected = AppRow {
            id: AppId::new("a1").unwrap(),
            name: "class".into(),
            kind: AppKind::Education,
            status: AppStatus::Enabled,
            key: AppKey::new("KEY-a1"),
            previous_key: None,
            join_authentication: true,
            signature_tolerance_s: 300,
            created_at_ms: 1_700_000_000_123,
            updated_at_ms: 1_700_000_000_123,
        };
        assert_eq!(inserted, expected);
        assert_eq!(apps.find(&inserted.id).await.unwrap().as_ref(), Some(&expected));
        assert_eq!(apps.find(&AppId::new("a2").unwrap()).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn names_and_ids_are_unique_until_the_app_is_deleted() {
    on_every_engine(async |store| {
        let apps = store.db.apps();
        apps.insert(&new_app("a1", "class", 1)).await.unwrap();
        for taken in [new_app("a2", "class", 2), new_app("a1", "other", 2)] {
            let error = apps.insert(&taken).await.unwrap_err();
            assert_eq!(error.kind, BackendErrorKind::Conflict);
            assert!(!error.is_retryable());
        }
        apps.insert(&new_app("a3", "third", 3)).await.unwrap();
        let rename = AppChange { name: Some("class".into()), ..AppChange::default() };
        let third = AppId::new("a3").unwrap();
        let error = apps.update(&third, &rename, 4).await.unwrap_err();
        assert_eq!(error.kind, BackendErrorKind::Conflict);

        apps.delete(&AppId::new("a1").unwrap(), 5).await.unwrap();
        assert_eq!(apps.update(&third, &rename, 6).await.unwrap().name, "class");
    })
    .await;
}

#[tokio::test]
async fn texts_are_stored_as_they_are() {
    on_every_engine(async |store| {
        let apps = store.db.apps();
        for (number, name) in
            ["'; DROP TABLE apps; --", "名字 ☃ \u{10FFFF}", "a\"b\\c%_$1"].into_iter().enumerate()
        {
            let id = format!("a{number}");
            apps.insert(&new_app(&id, name, 1)).await.unwrap();
            assert_eq!(apps.find(&AppId::new(&id).unwrap()).await.unwrap().unwrap().name, name);
        }
    })
    .await;
}

#[tokio::test]
async fn a_change_touches_only_what_it_names() {
    on_every_engine(async |store| {
        let apps = store.db.apps();
        let before = insert(store, "a1", 10).await;
        let untouched = apps.update(&before.id, &AppChange::default(), 20).await.unwrap();
        assert_eq!(untouched, AppRow { updated_at_ms: 20, ..before.clone() });
        let change = AppChange {
            name: Some("renamed".into()),
            kind: Some(AppKind::ExclusiveB),
            status: Some(AppStatus::Disabled),
            join_authentication: Some(false),
            signature_tolerance_s: Some(60),
        };
        let changed = apps.update(&before.id, &change, 30).await.unwrap();
        assert_eq!(
            changed,
            AppRow {
                name: "renamed".into(),
                kind: AppKind::ExclusiveB,
                status: AppStatus::Disabled,
                join_authentication: false,
                signature_tolerance_s: 60,
                updated_at_ms: 30,
                ..before.clone()
            }
        );
        assert_eq!(apps.find(&before.id).await.unwrap(), Some(changed));
        let nobody = AppId::new("nobody").unwrap();
        let error = apps.update(&nobody, &change, 40).await.unwrap_err();
        assert_eq!(error.kind, BackendErrorKind::NotFound);
    })
    .await;
}

#[tokio::test]
async fn a_rotation_keeps_the_key_before_and_only_that() {
    on_every_engine(async |store| {
        let apps = store.db.apps();
        let before = insert(store, "a1", 1).await;
        let second = apps.rotate_key(&before.id, &AppKey::new("K2"), 100, 2).await.unwrap();
        assert_eq!(second.key, AppKey::new("K2"));
        let previous = PreviousKey { key: before.key, until_ms: 100 };
        assert_eq!(second.previous_key, Some(previous));
        let third = apps.rotate_key(&before.id, &AppKey::new("K3"), 200, 3).await.unwrap();
        let previous = PreviousKey { key: AppKey::new("K2"), until_ms: 200 };
        assert_eq!(third.previous_key, Some(previous));
        let nobody = AppId::new("nobody").unwrap();
        let error = apps.rotate_key(&nobody, &AppKey::new("K"), 1, 1).await.unwrap_err();
        assert_eq!(error.kind, BackendErrorKind::NotFound);
    })
    .await;
}

#[tokio::test]
async fn a_deleted_app_is_gone_for_every_reader() {
    on_every_engine(async |store| {
        let apps = store.db.apps();
        let app = insert(store, "a1", 1).await;
        apps.delete(&app.id, 2).await.unwrap();
        assert_eq!(apps.find(&app.id).await.unwrap(), None);
        assert_eq!(ids(store, all()).await, (vec![], None));
        assert_eq!(apps.delete(&app.id, 3).await.unwrap_err().kind, BackendErrorKind::NotFound);
        let change = AppChange { status: Some(AppStatus::Enabled), ..AppChange::default() };
        let error = apps.update(&app.id, &change, 4).await.unwrap_err();
        assert_eq!(error.kind, BackendErrorKind::NotFound);
    })
    .await;
}

#[tokio::test]
async fn pages_run_from_the_newest_to_the_oldest_without_gap_or_overlap() {
    on_every_engine(async |store| {
        // Two apps of the same millisecond stand at a page's end.
        for (id, created_at_ms) in [("a", 1), ("b", 2), ("c", 2), ("d", 2), ("e", 3)] {
            insert(store, id, created_at_ms).await;
        }
        assert_eq!(
            ids(store, all()).await,
            (["e", "d", "c", "b", "a"].map(str::to_owned).into(), None)
        );
        for limit in 1..=5 {
            let mut seen = Vec::new();
            let mut after = None;
            loop {
                let query = AppQuery { status: None, after, limit };
                let (part, next) = ids(store, query).await;
                seen.extend(part);
                // A newcomer does not move the rest of the list.
                if seen.len() < 5 {
                    let newest = format!("z{limit}{}", seen.len());
                    insert(store, &newest, 9).await;
                }
                after = next;
                if after.is_none() {
                    break;
                }
            }
            seen.retain(|id| !id.starts_with('z'));
            assert_eq!(seen, ["e", "d", "c", "b", "a"], "limit {limit}");
            for row in store.db.apps().page(&all()).await.unwrap().rows {
                if row.id.as_str().starts_with('z') {
                    store.db.apps().delete(&row.id, 10).await.unwrap();
                }
            }
        }
        assert_eq!(ids(store, AppQuery { limit: 0, ..all() }).await.0, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn pages_can_be_filtered_by_status() {
    on_every_engine(async |store| {
        for id in ["a", "b", "c"] {
            insert(store, id, 1).await;
        }
        let disable = AppChange { status: Some(AppStatus::Disabled), ..AppChange::default() };
        store.db.apps().update(&AppId::new("b").unwrap(), &disable, 2).await.unwrap();
        let of = |status| AppQuery { status: Some(status), ..all() };
        assert_eq!(ids(store, of(AppStatus::Disabled)).await.0, ["b"]);
        assert_eq!(ids(store, of(AppStatus::Enabled)).await.0, ["c", "a"]);
    })
    .await;
}

#[tokio::test]
async fn writers_at_the_same_time_all_succeed() {
    on_every_engine(async |store| {
        let writes = (0..50).map(|number| {
            let db = store.db.clone();
            tokio::spawn(async move {
                let app = new_app(&format!("a{number}"), &format!("n{number}"), number);
                db.apps().insert(&app).await.map(drop)
            })
        });
        for write in writes.collect::<Vec<_>>() {
            write.await.unwrap().unwrap();
        }
        assert_eq!(ids(store, all()).await.0.len(), 50);
    })
    .await;
}

#[test]
fn neither_rows_nor_configuration_show_secrets() {
    let app = new_app("a1", "class", 1);
    assert!(!format!("{app:?}").contains("KEY-a1"));
    let config = rtc_backends::DbConfig::Postgres { url: "postgres://u:hunter2@h/d".into() };
    assert!(!format!("{config:?}").contains("hunter2"));
}
