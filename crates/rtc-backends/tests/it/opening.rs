use std::{fs, os::unix::fs::PermissionsExt as _};

use rtc_backends::{BackendErrorKind, Db, DbConfig};
use sqlx::{AnyConnection, Connection as _, Executor as _};

use crate::store::{Store, on_every_engine};

fn url(config: &DbConfig) -> String {
    match config {
        DbConfig::Sqlite { path } => {
            let path = path.to_str().unwrap();
            format!("sqlite://{}", path.replace('%', "%25").replace('?', "%3F").replace('#', "%23"))
        }
        DbConfig::Postgres { url } => url.clone(),
    }
}

#[tokio::test]
async fn opening_again_finds_what_was_stored() {
    on_every_engine(async |store| {
        let again = Db::open(&store.config).await.unwrap();
        again.ping().await.unwrap();
        again.close().await;
        let error = again.ping().await.unwrap_err();
        assert_eq!(error.kind, BackendErrorKind::Unavailable);
    })
    .await;
}

#[tokio::test]
async fn data_of_a_later_version_is_left_alone() {
    on_every_engine(async |store| {
        let mut connection = AnyConnection::connect(&url(&store.config)).await.unwrap();
        let insert = "INSERT INTO _sqlx_migrations \
                      (version, description, success, checksum, execution_time) \
                      SELECT 9999, 'from the future', success, checksum, 0 \
                      FROM _sqlx_migrations WHERE version = 1";
        connection.execute(insert).await.unwrap();
        connection.close().await.unwrap();
        let error = Db::open(&store.config).await.unwrap_err();
        assert_eq!(error.kind, BackendErrorKind::TooNew);
    })
    .await;
}

#[tokio::test]
async fn a_changed_migration_is_noticed() {
    on_every_engine(async |store| {
        let mut connection = AnyConnection::connect(&url(&store.config)).await.unwrap();
        let update = "UPDATE _sqlx_migrations SET checksum = '' WHERE version = 1";
        connection.execute(update).await.unwrap();
        connection.close().await.unwrap();
        let error = Db::open(&store.config).await.unwrap_err();
        assert_eq!(error.kind, BackendErrorKind::Corrupt);
    })
    .await;
}

#[tokio::test]
async fn unusable_places_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("missing").join("a.db");
    let error = Db::open(&DbConfig::Sqlite { path }).await.unwrap_err();
    assert_eq!(error.kind, BackendErrorKind::Misconfigured);

    let path = dir.path().join("garbage.db");
    fs::write(&path, vec![b'x'; 8192]).unwrap();
    let error = Db::open(&DbConfig::Sqlite { path }).await.unwrap_err();
    assert_eq!(error.kind, BackendErrorKind::Corrupt);

    // Port 1 of loopback: nobody listens.
    for (url, kind) in [
        ("postgres://127.0.0.1:1/x", BackendErrorKind::Unavailable),
        ("nonsense", BackendErrorKind::Misconfigured),
        ("mysql://127.0.0.1/x", BackendErrorKind::Misconfigured),
    ] {
        let error = Db::open(&DbConfig::Postgres { url: url.into() }).await.unwrap_err();
        assert_eq!(error.kind, kind, "{url}");
    }
}

#[tokio::test]
async fn the_file_is_for_its_owner_only() {
    let store = Store::sqlite().await;
    let DbConfig::Sqlite { path } = &store.config else { panic!("SQLite has a path") };
    let files = fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap());
    for file in files {
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", file.file_name());
    }
    store.remove().await;
}

#[tokio::test]
async fn nodes_that_start_at_once_migrate_once() {
    let Some(store) = Store::postgres().await else { return };
    let mut connection = AnyConnection::connect(&url(&store.config)).await.unwrap();
    let empty = sqlx::raw_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    connection.execute(empty).await.unwrap();
    connection.close().await.unwrap();
    let nodes: Vec<_> = (0..4)
        .map(|_| {
            let config = store.config.clone();
            tokio::spawn(async move { Db::open(&config).await })
        })
        .collect();
    for node in nodes {
        node.await.unwrap().unwrap().close().await;
    }
    store.remove().await;
}
