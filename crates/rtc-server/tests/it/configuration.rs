//! Files, variables and switches.

use std::fs;

use expect_test::{Expect, expect, expect_file};

use crate::support::{Directory, Server, error_code, get, json, sparkrtc, sparkrtc_with};

fn check_file(content: &str, expect: &Expect) {
    let directory = Directory::new();
    fs::write(directory.path().join("sparkrtc.toml"), content).unwrap();
    let output = sparkrtc(&directory, &["config", "check", "--config", "sparkrtc.toml"]);
    let said = if output.status.success() { output.stdout } else { output.stderr };
    expect.assert_eq(&String::from_utf8(said).unwrap());
}

#[test]
fn a_wrong_file_is_explained_with_its_line() {
    check_file(
        "[http]\nconnections_max = 5\n",
        &expect![[r#"
            The configuration is good.
        "#]],
    );
    check_file(
        "[http]\nconnection_max = 5\n",
        &expect![[r#"
            error[config_invalid]: sparkrtc.toml is not a valid configuration: TOML parse error at line 2, column 1
              |
            2 | connection_max = 5
              | ^^^^^^^^^^^^^^
            unknown field `connection_max`, expected one of `bind`, `public_url`, `trusted_proxies`, `connections_max`, `header_timeout`, `body_timeout`, `header_size_max`
              Correct the value; docs/config.md and `sparkrtc config print` show every key.
        "#]],
    );
    check_file(
        "[http]\nheader_timeout = 10\n",
        &expect![[r#"
            error[config_invalid]: sparkrtc.toml is not a valid configuration: TOML parse error at line 2, column 18
              |
            2 | header_timeout = 10
              |                  ^^
            invalid type: integer `10`, expected a string
              Correct the value; docs/config.md and `sparkrtc config print` show every key.
        "#]],
    );
    check_file(
        "[http]\nbind = \"localhost\"\n",
        &expect![[r#"
            error[config_invalid]: sparkrtc.toml is not a valid configuration: TOML parse error at line 2, column 8
              |
            2 | bind = "localhost"
              |        ^^^^^^^^^^^
            invalid socket address syntax
              Correct the value; docs/config.md and `sparkrtc config print` show every key.
        "#]],
    );
    check_file(
        "[tls]\ncert = \"a.pem\"\n",
        &expect![[r#"
            error[config_invalid]: the configuration is not valid: tls.cert and tls.key need each other
              Correct the value; docs/config.md and `sparkrtc config print` show every key.
        "#]],
    );
    check_file(
        "[web]\n",
        &expect![[r#"
            error[config_invalid]: sparkrtc.toml is not a valid configuration: TOML parse error at line 1, column 2
              |
            1 | [web]
              |  ^^^
            unknown field `web`, expected one of `data`, `postgres`, `http`, `media`, `tls`, `admin`, `apps`, `rooms`, `limits`, `webhooks`, `callbacks`, `log`, `shutdown`
              Correct the value; docs/config.md and `sparkrtc config print` show every key.
        "#]],
    );
    check_file(
        "http = [",
        &expect![[r#"
            error[config_invalid]: sparkrtc.toml is not a valid configuration: TOML parse error at line 1, column 9
              |
            1 | http = [
              |         ^
            unclosed array, expected `]`
              Correct the value; docs/config.md and `sparkrtc config print` show every key.
        "#]],
    );
}

#[test]
fn a_missing_file_is_named() {
    let directory = Directory::new();
    let output = sparkrtc(&directory, &["config", "check", "--config", "none.toml", "--json"]);
    assert_eq!(error_code(&output), "config_invalid");
}

#[test]
fn the_defaults_are_printed_and_fresh() {
    let directory = Directory::new();
    let output = sparkrtc(&directory, &["config", "print"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let text = text.replace(directory.data().to_str().unwrap(), "DATA");
    expect_file!["snapshots/config.toml"].assert_eq(&text);
}

#[test]
fn the_command_line_goes_before_variables_and_they_before_the_file() {
    let directory = Directory::new();
    let file = "[http]\nbind = \"127.0.0.1:1\"\n[media]\nbind = \"127.0.0.1:1\"\n[log]\nlevel = \"debug\"\n";
    fs::write(directory.path().join("sparkrtc.toml"), file).unwrap();
    let environment =
        [("SPARKRTC_HTTP__BIND", "127.0.0.1:2"), ("SPARKRTC_MEDIA__BIND", "127.0.0.1:2")];
    let args = ["config", "print", "--config", "sparkrtc.toml", "--http", "127.0.0.1:3", "--json"];
    let config = json(&sparkrtc_with(&directory, &args, &environment));
    assert_eq!(config["http"]["bind"], "127.0.0.1:3");
    assert_eq!(config["media"]["bind"], "127.0.0.1:2");
    assert_eq!(config["log"]["level"], "debug");
}

#[test]
fn the_development_pair_is_refused_beyond_loopback() {
    let directory = Directory::new();
    let output = sparkrtc(&directory, &["--dev", "--http", "0.0.0.0:0", "--json"]);
    assert_eq!(error_code(&output), "config_invalid");
    assert!(!directory.data().exists(), "nothing was begun");
}

#[tokio::test]
async fn a_secret_comes_from_a_file_and_is_never_shown() {
    let directory = Directory::new();
    let path = directory.path().join("token");
    fs::write(&path, "a-token-of-sixteen-characters\n").unwrap();
    let environment = [("SPARKRTC_ADMIN__TOKEN_FILE", path.to_str().unwrap())];
    let printed = sparkrtc_with(&directory, &["config", "print"], &environment);
    assert!(!String::from_utf8(printed.stdout).unwrap().contains("sixteen"));

    let server = Server::start_with(directory, &[], &environment).await;
    let url = server.url("/api/v1/apps");
    let client = reqwest::Client::new();
    let status = async |token: &str| {
        client.get(&url).bearer_auth(token).send().await.unwrap().status().as_u16()
    };
    assert_eq!(status("a-token-of-sixteen-characters").await, 200);
    assert_eq!(status("another-of-sixteen-characters").await, 401);
    assert!(!server.directory.data().join("admin.token").exists());
    // A local command needs no token: who may open the socket is the administrator.
    json(&sparkrtc(&server.directory, &["app", "list", "--json"]));
    server.stop().await;
}

#[tokio::test]
async fn no_secret_stands_in_the_log() {
    let environment =
        [("SPARKRTC_LOG__LEVEL", "trace,hyper=info,h2=info"), ("SPARKRTC_LOG__FORMAT", "json")];
    let server = Server::start_with(Directory::new(), &[], &environment).await;
    let app = json(&sparkrtc(&server.directory, &["app", "show", "demo", "--json"]));
    let args = ["app", "token", "demo", "--room", "r", "--user", "u", "--json"];
    let token = json(&sparkrtc(&server.directory, &args));
    let token = token["token"].as_str().unwrap().to_owned();
    let client = reqwest::Client::new();
    let url = server.url("/api/v1/apps");
    client.get(url).bearer_auth(server.admin_token()).send().await.unwrap();
    get(&server.url(&format!("/rtc/validate?access_token={token}"))).await;
    let admin_token = server.admin_token();
    let directory = server.stop().await;
    let log = directory.read("stderr");
    assert!(log.lines().all(|line| line.starts_with('{')), "{log}");
    assert!(log.contains("/rtc/validate"));
    let key = app["app_key"].as_str().unwrap();
    for secret in [admin_token.as_str(), key, token.as_str()] {
        assert!(!log.contains(secret), "a secret stands in the log");
    }
}

#[tokio::test]
async fn a_bind_beyond_loopback_without_tls_says_what_will_not_work() {
    let server = Server::start_with(
        Directory::new(),
        &["--http", "0.0.0.0:0", "--media", "127.0.0.1:0"],
        &[],
    )
    .await;
    let log = server.directory.read("stderr");
    assert!(log.contains("camera"), "{log}");
}
