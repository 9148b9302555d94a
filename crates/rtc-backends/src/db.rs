//! The control plane's store: SQLite inside the process, or PostgreSQL for a cluster.
//!
//! One portable SQL text per statement runs on both; columns are therefore limited to `TEXT`,
//! `BIGINT`, `REAL` and `BLOB`, times are milliseconds since 1970, and a `match` on [`Engine`]
//! stands only where the dialects differ. Each resource has its own file and handle
//! ([`Db::apps`]). Rows come and go as plain values; what they mean is decided by the caller.
//!
//! A call that has returned `Ok` survives the death of the process: SQLite writes ahead with
//! `synchronous = FULL`, PostgreSQL commits synchronously. Every call ends within
//! [`CALL_DEADLINE`].

use std::{future::Future, path::PathBuf, time::Duration};

use sqlx::{
    AnyConnection, AnyPool, ConnectOptions as _, Connection as _, Executor as _,
    any::{AnyConnectOptions, AnyPoolOptions},
    migrate::{MigrateError, Migrator},
};

use crate::{BackendError, BackendErrorKind};

mod apps;
mod sqlite;
mod webhooks;

pub use apps::{AppChange, AppPage, AppPosition, AppQuery, AppRow, Apps, NewApp, PreviousKey};
pub use webhooks::{WebhookRow, Webhooks};

/// The control plane's store. Cheap to clone; all clones share the connections.
#[derive(Clone, Debug)]
pub struct Db {
    engine: Engine,
    /// SQLite takes one writer at a time: queueing here is fair and never "database is locked".
    writer: AnyPool,
    reader: AnyPool,
}

/// Which database it is, for the few places where the dialects differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A file of this process.
    Sqlite,
    /// A server, possibly shared.
    Postgres,
}

/// Where the store is.
#[derive(Clone)]
pub enum DbConfig {
    /// A file, created with access for its owner only when missing.
    Sqlite {
        /// Path of the file; its directory must exist.
        path: PathBuf,
    },
    /// A PostgreSQL database, which must exist.
    Postgres {
        /// `postgres://user:password@host:port/database`; may hold a password, so never log it.
        url: String,
    },
}

impl std::fmt::Debug for DbConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite { path } => f.debug_struct("Sqlite").field("path", path).finish(),
            Self::Postgres { .. } => f.write_str("Postgres { .. }"),
        }
    }
}

impl Db {
    /// Opens the store and brings its schema up to date.
    ///
    /// # Errors
    /// `Misconfigured` for an unusable path or URL, `Unavailable` or `Timeout` when the database
    /// cannot be reached, `TooNew` when a later version of this program has migrated it, `Corrupt`
    /// when it is no database of ours. The data is then as before.
    pub async fn open(config: &DbConfig) -> Result<Self, BackendError> {
        sqlx::any::install_default_drivers();
        match config {
            DbConfig::Sqlite { path } => {
                let options = quiet(&sqlite::url(path)?)?;
                migrate(&options, sqlite::PRAGMAS, &SQLITE_MIGRATIONS).await?;
                Ok(Self {
                    engine: Engine::Sqlite,
                    writer: sqlite_pool(1).connect_with(options.clone()).await.map_err(failure)?,
                    reader: sqlite_pool(SQLITE_READERS).connect_lazy_with(options),
                })
            }
            DbConfig::Postgres { url } => {
                let options = quiet(url)?;
                migrate(&options, POSTGRES_MIGRATION_SETTINGS, &POSTGRES_MIGRATIONS).await?;
                let pool = postgres_pool().connect_with(options).await.map_err(failure)?;
                Ok(Self { engine: Engine::Postgres, writer: pool.clone(), reader: pool })
            }
        }
    }

    /// Which database it is.
    pub const fn engine(&self) -> Engine {
        self.engine
    }

    /// Apps and their keys.
    pub const fn apps(&self) -> Apps<'_> {
        Apps::new(self)
    }

    /// Receivers of apps' room events.
    pub const fn webhooks(&self) -> Webhooks<'_> {
        Webhooks::new(self)
    }

    /// Whether the store answers; for readiness checks.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout` when it does not.
    pub async fn ping(&self) -> Result<(), BackendError> {
        let probe = sqlx::query_scalar::<_, i64>("SELECT CAST(1 AS BIGINT)");
        bounded(probe.fetch_one(&self.reader)).await.map(drop)
    }

    /// Closes every connection after its current statement. Later calls fail with `Unavailable`.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }
}

/// Runs a statement with [`CALL_DEADLINE`] and translates its failure.
async fn bounded<T>(call: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, BackendError> {
    let started = tokio::time::Instant::now();
    let result = tokio::time::timeout(CALL_DEADLINE, call).await;
    let took = started.elapsed();
    if took > SLOW_CALL {
        tracing::warn!(took_ms = took.as_millis(), "the database is slow");
    }
    match result {
        Ok(result) => result.map_err(failure),
        Err(elapsed) => Err(BackendError::with_source(BackendErrorKind::Timeout, elapsed)),
    }
}

/// Brings the schema up to date over a connection of its own, whose settings cut no long
/// statements.
async fn migrate(
    options: &AnyConnectOptions,
    settings: &'static str,
    migrator: &Migrator,
) -> Result<(), BackendError> {
    // Once by hand: a pool would try again and again, and then only say that its patience has ended.
    bounded(async {
        let mut connection = options.connect().await?;
        run_script(&mut connection, settings).await?;
        connection.close().await
    })
    .await?;
    let pool = AnyPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(move |connection, _| Box::pin(run_script(connection, settings)))
        .connect_lazy_with(options.clone());
    let migrated = tokio::time::timeout(MIGRATION_DEADLINE, migrator.run(&pool)).await;
    pool.close().await;
    match migrated {
        Ok(migrated) => migrated.map_err(migration_failure),
        Err(elapsed) => Err(BackendError::with_source(BackendErrorKind::Timeout, elapsed)),
    }
}

fn quiet(url: &str) -> Result<AnyConnectOptions, BackendError> {
    let options = url.parse::<AnyConnectOptions>().map_err(failure)?;
    // The driver would log every statement; `bounded` tells of the slow ones instead.
    Ok(options.disable_statement_logging())
}

fn sqlite_pool(connections: u32) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A file does not hang up.
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .after_connect(|connection, _| Box::pin(run_script(connection, sqlite::PRAGMAS)))
}

fn postgres_pool() -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(|connection, _| Box::pin(run_script(connection, POSTGRES_SETTINGS)))
}

async fn run_script(
    connection: &mut AnyConnection,
    script: &'static str,
) -> Result<(), sqlx::Error> {
    connection.execute(sqlx::raw_sql(script)).await.map(drop)
}

fn failure(error: sqlx::Error) -> BackendError {
    use BackendErrorKind::{Conflict, Corrupt, Internal, Misconfigured, NotFound, Unavailable};
    let kind = match &error {
        sqlx::Error::Configuration(_) => Misconfigured,
        sqlx::Error::RowNotFound => NotFound,
        sqlx::Error::Database(refusal) if refusal.is_unique_violation() => Conflict,
        sqlx::Error::Database(refusal) => database_failure(refusal.code().as_deref()),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => Unavailable,
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Corrupt,
        _ => Internal,
    };
    BackendError::with_source(kind, error)
}

/// Sorts the database's own codes: SQLite's result codes (the low byte is the primary one) and
/// PostgreSQL's SQLSTATE classes.
fn database_failure(code: Option<&str>) -> BackendErrorKind {
    use BackendErrorKind::{Corrupt, Internal, Misconfigured, Timeout, Unavailable};
    let Some(code) = code else { return Internal };
    if code.len() == 5 {
        return match &code[..2] {
            // 08 connection, 53 resources, 57 operator intervention (57014: statement timeout).
            _ if code == "57014" => Timeout,
            "08" | "53" | "57" | "40" => Unavailable,
            // 28 authorization, 3D unknown database, 42501 missing privilege.
            "28" | "3D" => Misconfigured,
            _ if code == "42501" => Misconfigured,
            "XX" => Corrupt,
            _ => Internal,
        };
    }
    match code.parse::<u32>().map(|code| code & 0xFF) {
        // BUSY, LOCKED, NOMEM, IOERR, FULL.
        Ok(5 | 6 | 7 | 10 | 13) => Unavailable,
        // PERM, READONLY, CANTOPEN.
        Ok(3 | 8 | 14) => Misconfigured,
        // CORRUPT, NOTADB.
        Ok(11 | 26) => Corrupt,
        _ => Internal,
    }
}

fn migration_failure(error: MigrateError) -> BackendError {
    let kind = match &error {
        MigrateError::VersionMissing(_) => BackendErrorKind::TooNew,
        MigrateError::VersionMismatch(_) | MigrateError::Dirty(_) => BackendErrorKind::Corrupt,
        _ => BackendErrorKind::Internal,
    };
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => failure(error),
        error => BackendError::with_source(kind, error),
    }
}

static SQLITE_MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES_MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// The longest a call may take. Statements here take milliseconds; a disk or network that is slower
/// than this is away, and the asker behind us has given up by then.
pub const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// Migrations may rewrite tables of a large installation.
const MIGRATION_DEADLINE: Duration = Duration::from_secs(600);
/// Under [`CALL_DEADLINE`], so that a full pool is told apart from a slow statement.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// A healthy call takes milliseconds; this long, a person should look at the disk or network.
const SLOW_CALL: Duration = Duration::from_secs(1);
/// Readers of the file beside the writer. Each is a thread with its page cache (2 MB at most).
const SQLITE_READERS: u32 = 4;
/// Several nodes may start at once: the later ones wait for the first one's migrations.
const POSTGRES_MIGRATION_SETTINGS: &str = "SET lock_timeout = '600s'";
/// PostgreSQL takes 100 by default; this leaves room for several nodes.
const POSTGRES_CONNECTIONS: u32 = 16;
/// A statement ends by itself before the caller's deadline, so that no lock outlives its asker.
const POSTGRES_SETTINGS: &str =
    "SET statement_timeout = '9s'; SET idle_in_transaction_session_timeout = '30s'";
