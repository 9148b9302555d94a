//! Fresh, empty stores to test on.

use std::{env, fmt::Write as _};

use rtc_backends::{Db, DbConfig, db::Engine};
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _};
use tempfile::TempDir;

/// A store of its own, gone when dropped (PostgreSQL: when [`Store::remove`] is called).
pub(crate) struct Store {
    pub(crate) db: Db,
    pub(crate) config: DbConfig,
    engine: Engine,
    dir: TempDir,
    database: Option<(String, String)>,
}

impl Store {
    pub(crate) async fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // A path with everything that a URL would take for syntax.
        let path = dir.path().join("a b%20?c#d.db");
        let config = DbConfig::Sqlite { path };
        let db = Db::open(&config).await.unwrap();
        Self { db, config, engine: Engine::Sqlite, dir, database: None }
    }

    /// `None` when no server is named.
    pub(crate) async fn postgres() -> Option<Self> {
        let server = server_url()?;
        let dir = tempfile::tempdir().unwrap();
        let unique = dir.path().file_name().unwrap().to_str().unwrap();
        let name = unique.bytes().fold(String::from("sparkrtc_test_"), |mut name, byte| {
            write!(name, "{byte:02x}").unwrap();
            name
        });
        run(&server, format!("CREATE DATABASE {name}")).await;
        let url = with_database(&server, &name);
        let config = DbConfig::Postgres { url };
        let db = Db::open(&config).await.unwrap();
        Some(Self { db, config, engine: Engine::Postgres, dir, database: Some((server, name)) })
    }

    pub(crate) async fn remove(self) {
        self.db.close().await;
        if let Some((server, name)) = self.database {
            run(&server, format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
        self.dir.close().unwrap();
    }
}

/// Runs a test on a fresh store of every engine there is.
pub(crate) async fn on_every_engine(test: impl AsyncFn(&Store)) {
    let sqlite = Store::sqlite().await;
    assert_eq!(sqlite.db.engine(), sqlite.engine);
    test(&sqlite).await;
    sqlite.remove().await;
    if let Some(postgres) = Store::postgres().await {
        assert_eq!(postgres.db.engine(), postgres.engine);
        test(&postgres).await;
        postgres.remove().await;
    }
}

#[expect(clippy::disallowed_methods, reason = "the test run names its server by the environment")]
fn server_url() -> Option<String> {
    env::var("SPARKRTC_TEST_POSTGRES_URL").ok().filter(|url| !url.is_empty())
}

/// The URL with another database; parameters stay.
fn with_database(url: &str, name: &str) -> String {
    let (address, parameters) = url.split_once('?').map_or((url, ""), |(url, rest)| (url, rest));
    let (scheme, rest) = address.split_once("://").unwrap();
    let authority = rest.split('/').next().unwrap();
    format!("{scheme}://{authority}/{name}?{parameters}")
}

async fn run(url: &str, statement: String) {
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(url).await.unwrap();
    connection.execute(sqlx::raw_sql(AssertSqlSafe(statement))).await.unwrap();
    connection.close().await.unwrap();
}
