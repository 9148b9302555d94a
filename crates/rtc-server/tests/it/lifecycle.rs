//! First start, restart, death and orderly end.

use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Directory, Server, error_code, get, json, sparkrtc, until};

#[tokio::test]
async fn a_first_start_makes_its_directory_and_says_where_to_go() {
    let server = Server::start().await;
    assert_eq!(get(&server.url("/healthz")).await.0, 200);
    assert_eq!(get(&server.url("/readyz")).await, (200, "ready\n".to_owned()));
    assert!(server.http.ip().is_loopback() && server.http.port() != 0);
    assert!(!server.media.is_empty());
    assert!(server.media.iter().all(|media| media.ip().is_loopback() && media.port() != 0));

    let mode = |name: &str| {
        let path = server.directory.data().join(name);
        path.metadata().unwrap().permissions().mode() & 0o777
    };
    assert_eq!(mode(""), 0o700);
    for file in ["admin.token", "control.sock", "sparkrtc.db", "ports.json"] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
    let said = server.directory.read("stdout");
    assert!(
        said.contains(&format!("http://localhost:{}/play#demo=", server.http.port())),
        "{said}"
    );
    assert!(said.contains("SQLite"), "{said}");
    server.stop().await;
}

#[tokio::test]
async fn the_printed_link_gives_each_window_a_token_of_its_own() {
    let server = Server::start().await;
    let said = server.directory.read("stdout");
    let invite = said.split("#demo=").nth(1).unwrap().split('&').next().unwrap();
    let client = reqwest::Client::new();
    let ask = async |invite: &str| {
        let wish = json!({ "invite": invite, "room": "demo", "name": "Ann" });
        let url = server.url("/api/v1/demo/token");
        let answer = client.post(url).json(&wish).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Json>().await.unwrap())
    };
    let (status, first) = ask(invite).await;
    assert_eq!(status, 200, "{first}");
    let (_, second) = ask(invite).await;
    assert_ne!(first["token"], second["token"]);
    assert!(first["token"].as_str().unwrap().starts_with("ey"));

    let (status, refusal) = ask("0123456789abcdef0123456789abcdef").await;
    assert_eq!((status, &refusal["code"]), (403, &json!("forbidden")));
    let answer = client.post(server.url("/api/v1/demo/token")).body("{").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 400);
    server.stop().await;
}

#[tokio::test]
async fn without_the_demo_app_no_link_is_printed() {
    let server = Server::start().await;
    json(&sparkrtc(&server.directory, &["app", "disable", "demo", "--json"]));
    let server = Server::start_with(server.stop().await, &[], &[]).await;
    assert!(!server.directory.read("stdout").contains("/play#"));
    json(&sparkrtc(&server.directory, &["app", "delete", "demo", "--json"]));
    let server = Server::start_with(server.stop().await, &[], &[]).await;
    assert!(!server.directory.read("stdout").contains("/play#"));
    let apps = json(&sparkrtc(&server.directory, &["app", "list", "--json"]));
    assert_eq!(apps["apps"], json!([]), "a deleted demo app does not come back");
    server.stop().await;
}

#[tokio::test]
async fn a_lost_demo_file_leads_to_the_same_app() {
    let server = Server::start().await;
    let app = json(&sparkrtc(&server.directory, &["app", "show", "demo", "--json"]));
    let directory = server.stop().await;
    std::fs::remove_file(directory.data().join("demo.json")).unwrap();
    let server = Server::start_with(directory, &[], &[]).await;
    assert!(server.directory.read("stdout").contains("/play#demo="));
    let again = json(&sparkrtc(&server.directory, &["app", "show", "demo", "--json"]));
    assert_eq!(again["app_id"], app["app_id"]);
    server.stop().await;
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let server = Server::start().await;
    let app = json(&sparkrtc(&server.directory, &["app", "create", "kept", "--json"]));
    let token = server.admin_token();
    server.signal(Signal::SIGKILL);
    let (code, directory) = server.ended().await;
    assert_eq!(code, None);
    assert!(directory.data().join("control.sock").exists(), "a killed server cleans nothing up");

    let server = Server::start_with(directory, &[], &[]).await;
    assert_eq!(server.admin_token(), token);
    let kept = json(&sparkrtc(&server.directory, &["app", "show", "kept", "--json"]));
    assert_eq!(kept["app_key"], app["app_key"]);
    server.stop().await;
}

/// Runs when `SPARKRTC_TEST_POSTGRES_URL` names a throw-away server, as `cargo xtask test` does.
#[tokio::test]
async fn apps_are_kept_in_postgresql_when_told() {
    let url = std::env::var_os("SPARKRTC_TEST_POSTGRES_URL").unwrap_or_default();
    let Some(url) = url.to_str().filter(|url| !url.is_empty()) else { return };
    let environment = [("SPARKRTC_POSTGRES__URL", url)];
    let server = Server::start_with(Directory::new(), &[], &environment).await;
    assert!(server.directory.read("stdout").contains("store PostgreSQL"));
    assert!(!server.directory.read("stderr").contains(url), "it may hold a password");
    assert_eq!(get(&server.url("/readyz")).await.0, 200);
    assert!(!server.directory.data().join("sparkrtc.db").exists());
    let first = json(&sparkrtc(&server.directory, &["app", "show", "demo", "--json"]));
    server.stop().await;
    // Another directory, the same database: the same apps.
    let server = Server::start_with(Directory::new(), &[], &environment).await;
    let again = json(&sparkrtc(&server.directory, &["app", "show", "demo", "--json"]));
    assert_eq!(again["app_key"], first["app_key"]);
    server.stop().await;
}

#[tokio::test]
async fn one_directory_has_one_server() {
    let server = Server::start().await;
    let second = sparkrtc(&server.directory, &["--json", "--http", "127.0.0.1:0"]);
    assert_eq!(error_code(&second), "data_dir_held");
    server.stop().await;
}

#[tokio::test]
async fn one_address_has_one_server() {
    let server = Server::start().await;
    let other = Directory::new();
    let second = sparkrtc(&other, &["--json", "--http", &server.http.to_string()]);
    assert_eq!(error_code(&second), "address_unusable");
    let media = server.media[0].to_string();
    let third = sparkrtc(&other, &["--json", "--http", "127.0.0.1:0", "--media", &media]);
    assert_eq!(error_code(&third), "media_address_unusable");
    server.stop().await;
}

#[tokio::test]
async fn an_orderly_end_does_not_wait_for_idle_connections() {
    let server = Server::start().await;
    let mut idle = tokio::net::TcpStream::connect(server.http).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    idle.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let directory = server.stop().await;
    assert!(!directory.data().join("ports.json").exists());
    assert!(!directory.data().join("control.sock").exists());
    assert!(directory.read("stderr").contains("stopped"));
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let server = Server::start().await;
    // A request that never ends holds the orderly end up.
    let mut stuck = tokio::net::TcpStream::connect(server.http).await.unwrap();
    let head = b"POST /api/v1/demo/token HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n";
    stuck.write_all(head).await.unwrap();
    // Once a later connection was answered, the earlier one is being served.
    assert_eq!(get(&server.url("/healthz")).await.0, 200);
    server.signal(Signal::SIGTERM);
    let log = || server.directory.read("stderr");
    until("the first signal", async || log().contains("shutting down").then_some(())).await;
    server.signal(Signal::SIGINT);
    let (code, directory) = server.ended().await;
    assert_eq!(code, Some(0));
    assert!(directory.read("stderr").contains("stopped at once"));
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut() {
    let short = [("SPARKRTC_SHUTDOWN__TIMEOUT", "300ms")];
    let server = Server::start_with(Directory::new(), &[], &short).await;
    let mut stuck = tokio::net::TcpStream::connect(server.http).await.unwrap();
    let head = b"POST /api/v1/demo/token HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n";
    stuck.write_all(head).await.unwrap();
    assert_eq!(get(&server.url("/healthz")).await.0, 200);
    server.signal(Signal::SIGTERM);
    let (code, directory) = server.ended().await;
    assert_eq!(code, Some(0));
    assert!(directory.read("stderr").contains("cut what did not end in time"));
}
