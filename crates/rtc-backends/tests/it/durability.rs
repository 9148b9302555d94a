//! What was acknowledged survives `kill -9`.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
};

use rtc_backends::{Db, DbConfig, db::NewApp};
use rtc_model::{AppId, AppKey, AppKind};

const CHILD: &str = "SPARKRTC_TEST_DURABILITY_CHILD";

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the child is told its task by the environment")]
async fn acknowledged_writes_survive_a_killed_process() {
    if let Ok(path) = env::var(CHILD) {
        return write_until_killed(path).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let mut child = Command::new(env::current_exe().unwrap())
        .args([
            "durability::acknowledged_writes_survive_a_killed_process",
            "--exact",
            "--nocapture",
        ])
        .env(CHILD, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let acknowledged = |line: String| line.strip_prefix("stored ").map(str::to_owned);
    let mut ids: Vec<String> = lines.by_ref().filter_map(acknowledged).take(100).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    ids.extend(lines.filter_map(acknowledged));
    assert!(ids.len() >= 100, "the child ended early: {}", ids.len());

    let db = Db::open(&DbConfig::Sqlite { path }).await.unwrap();
    for id in &ids {
        assert!(db.apps().find(&AppId::new(id).unwrap()).await.unwrap().is_some(), "{id} is lost");
    }
}

async fn write_until_killed(path: String) {
    let db = Db::open(&DbConfig::Sqlite { path: path.into() }).await.unwrap();
    for number in 0_i64.. {
        let id = format!("a{number}");
        let app = NewApp {
            id: AppId::new(&id).unwrap(),
            name: id.clone(),
            kind: AppKind::Other,
            key: AppKey::new("K"),
            signature_tolerance_s: 300,
            created_at_ms: number,
        };
        db.apps().insert(&app).await.unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "stored {id}").unwrap();
        out.flush().unwrap();
    }
}
