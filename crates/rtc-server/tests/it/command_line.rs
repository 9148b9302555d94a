//! Commands on a directory that a server holds, on one that nobody holds, and by URL.

use expect_test::expect_file;
use serde_json::{Value as Json, json};

use crate::support::{Directory, Server, error_code, json, sparkrtc};

#[tokio::test]
async fn a_command_on_a_held_directory_takes_effect_at_once() {
    let server = Server::start().await;
    let created = json(&sparkrtc(&server.directory, &["app", "create", "shop", "--json"]));
    for key in ["app_id", "app_key", "domain"] {
        assert!(!created[key].as_str().unwrap().is_empty(), "{created}");
    }
    let url = server.url(&format!("/api/v1/apps/{}", created["app_id"].as_str().unwrap()));
    let client = reqwest::Client::new();
    let ask = async || {
        let answer = client.get(&url).bearer_auth(server.admin_token()).send().await.unwrap();
        answer.json::<Json>().await.unwrap()
    };
    assert_eq!(ask().await["status"], "enabled");
    json(&sparkrtc(&server.directory, &["app", "disable", "shop", "--json"]));
    assert_eq!(ask().await["status"], "disabled");
    assert_eq!(client.get(&url).send().await.unwrap().status().as_u16(), 401);
    server.stop().await;
}

#[tokio::test]
async fn commands_work_on_a_directory_that_nobody_holds() {
    let server = Server::start().await;
    let directory = server.stop().await;
    let run = |args: &[&str]| json(&sparkrtc(&directory, args));
    let created = run(&["app", "create", "shop", "--type", "EDUCATION", "--json"]);
    assert_eq!(run(&["app", "show", "shop", "--json"])["app_key"], created["app_key"]);
    assert_eq!(run(&["app", "list", "--json"])["apps"].as_array().unwrap().len(), 2);
    run(&["app", "disable", "shop", "--json"]);
    let disabled = run(&["app", "list", "--status", "disabled", "--json"]);
    assert_eq!(disabled["apps"][0]["app_id"], created["app_id"]);
    run(&["app", "enable", "shop", "--json"]);
    let id = created["app_id"].as_str().unwrap();
    let token = run(&["app", "token", id, "--room", "r", "--user", "u", "--json"]);
    for key in ["token", "signature", "ctime", "join_url"] {
        assert!(!token[key].as_str().unwrap().is_empty(), "{token}");
    }
    run(&["app", "delete", id, "--json"]);
    assert_eq!(error_code(&sparkrtc(&directory, &["app", "show", id, "--json"])), "app_not_found");
}

#[tokio::test]
async fn commands_reach_a_server_by_url() {
    let server = Server::start().await;
    let elsewhere = Directory::new();
    let token_file = server.directory.data().join("admin.token").to_str().unwrap().to_owned();
    let url = server.url("/");
    let at = |args: &[&str]| {
        let target = ["--url", &url, "--admin-token-file", &token_file, "--json"];
        sparkrtc(&elsewhere, &[args, target.as_slice()].concat())
    };
    let created = json(&at(&["app", "create", "far"]));
    assert_eq!(json(&at(&["app", "show", "far"]))["app_id"], created["app_id"]);
    assert_eq!(error_code(&at(&["app", "create", "far"])), "conflict");

    let bare = ["app", "list", "--url", &url, "--json"];
    assert_eq!(error_code(&sparkrtc(&elsewhere, &bare)), "unauthenticated");
    let _token_stays = server.stop().await;
    assert_eq!(error_code(&at(&["app", "list"])), "server_unreachable");
}

#[test]
fn failures_have_a_code_a_sentence_and_advice() {
    let directory = Directory::new();
    let missing = sparkrtc(&directory, &["app", "list"]);
    assert_eq!(missing.status.code(), Some(1));
    let said = String::from_utf8(missing.stderr).unwrap();
    assert!(said.starts_with("error[data_dir_missing]: there is no data directory"), "{said}");
    assert!(said.contains("Start `sparkrtc` once"), "{said}");
    let unknown = sparkrtc(&directory, &["app", "frobnicate"]);
    assert_eq!(unknown.status.code(), Some(2));
}

#[test]
fn the_version_is_printed() {
    let directory = Directory::new();
    let version = json(&sparkrtc(&directory, &["version", "--json"]));
    assert_eq!(version, json!({ "name": "sparkrtc", "version": env!("CARGO_PKG_VERSION") }));
}

#[test]
fn the_help_is_as_documented_and_fresh() {
    let directory = Directory::new();
    let mut all = String::new();
    for command in [
        &[][..],
        &["serve"],
        &["app"],
        &["app", "create"],
        &["app", "list"],
        &["app", "token"],
        &["config"],
        &["config", "print"],
    ] {
        let output = sparkrtc(&directory, &[command, &["--help"]].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        let text: Vec<&str> = text.lines().map(str::trim_end).collect();
        all.push_str(&format!(
            "$ sparkrtc {}--help\n",
            command.iter().map(|w| format!("{w} ")).collect::<String>()
        ));
        all.push_str(&format!("{}\n\n", text.join("\n").trim_end()));
    }
    expect_file!["snapshots/help.txt"].assert_eq(&all);
}
