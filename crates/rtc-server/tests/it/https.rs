//! TLS with a certificate made here, and with the user's own.

use std::fs;

use crate::support::{Directory, Server, error_code, json, sparkrtc};

fn client(server: &Server) -> reqwest::Client {
    let pem = fs::read(server.directory.data().join("tls-self.pem")).unwrap();
    let certificate = reqwest::Certificate::from_pem(&pem).unwrap();
    reqwest::Client::builder().tls_certs_only([certificate]).build().unwrap()
}

#[tokio::test]
async fn the_self_made_certificate_names_this_machine_and_is_kept() {
    let server = Server::start_with(Directory::new(), &["--tls", "self"], &[]).await;
    let port = server.http.port();
    for host in ["localhost", "127.0.0.1"] {
        let url = format!("https://{host}:{port}/healthz");
        assert_eq!(client(&server).get(url).send().await.unwrap().status().as_u16(), 200, "{host}");
    }
    let said = server.directory.read("stdout");
    assert!(said.contains(&format!("https://localhost:{port}/play#")), "{said}");
    assert!(said.contains(&format!("wss://localhost:{port}")), "{said}");
    assert!(reqwest::get(server.url("/healthz")).await.is_err(), "plain HTTP is not answered");
    let first = server.directory.read("data/tls-self.pem");

    let directory = server.stop().await;
    let server = Server::start_with(directory, &["--tls", "self"], &[]).await;
    assert_eq!(server.directory.read("data/tls-self.pem"), first);
    server.stop().await;
}

#[tokio::test]
async fn on_every_address_the_link_for_others_names_one_they_can_reach() {
    let args = ["--tls", "self", "--http", "0.0.0.0:0", "--media", "0.0.0.0:0"];
    let server = Server::start_with(Directory::new(), &args, &[]).await;
    let said = server.directory.read("stdout");
    let links: Vec<&str> = said.lines().filter(|line| line.contains("/play#demo=")).collect();
    assert!(links[0].contains("https://localhost:"), "{said}");
    // A machine without a network has no address for others.
    if let Some(others) = links.get(1) {
        let url = others.trim().split("/play").next().unwrap();
        let url = format!("{url}/healthz");
        assert_eq!(client(&server).get(url).send().await.unwrap().status().as_u16(), 200);
        let args = ["app", "token", "demo", "--room", "r", "--user", "u", "--json"];
        let token = json(&sparkrtc(&server.directory, &args));
        let join_url = token["join_url"].as_str().unwrap();
        assert_eq!(join_url.split("/play").next(), others.trim().split("/play").next());
    }
    server.stop().await;
}

#[tokio::test]
async fn a_command_trusts_the_certificate_it_is_told() {
    let server = Server::start_with(Directory::new(), &["--tls", "self"], &[]).await;
    let elsewhere = Directory::new();
    let data = server.directory.data();
    let (ca, token) = (data.join("tls-self.pem"), data.join("admin.token"));
    let url = format!("https://{}", server.http);
    let args =
        ["app", "list", "--json", "--url", &url, "--admin-token-file", token.to_str().unwrap()];
    let trusting = [&args[..], &["--ca", ca.to_str().unwrap()]].concat();
    assert_eq!(json(&sparkrtc(&elsewhere, &trusting))["apps"][0]["name"], "demo");
    assert_eq!(error_code(&sparkrtc(&elsewhere, &args)), "server_unreachable");
    server.stop().await;
}

#[tokio::test]
async fn a_certificate_of_ones_own_is_served() {
    // The self-made pair of one server is the "own" pair of another.
    let maker = Server::start_with(Directory::new(), &["--tls", "self"], &[]).await;
    let made = maker.stop().await;
    let (cert, key) = (made.data().join("tls-self.pem"), made.data().join("tls-self.key"));
    let environment = [
        ("SPARKRTC_TLS__CERT", cert.to_str().unwrap()),
        ("SPARKRTC_TLS__KEY", key.to_str().unwrap()),
    ];
    let server = Server::start_with(Directory::new(), &[], &environment).await;
    let certificate = reqwest::Certificate::from_pem(&fs::read(&cert).unwrap()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([certificate]).build().unwrap();
    let url = format!("https://{}/healthz", server.http);
    assert_eq!(client.get(url).send().await.unwrap().status().as_u16(), 200);
    server.stop().await;
}

#[test]
fn unusable_certificates_are_named() {
    let directory = Directory::new();
    let config = "[http]\nbind = \"127.0.0.1:0\"\n[tls]\ncert = \"none.pem\"\nkey = \"none.key\"\n";
    fs::write(directory.path().join("c.toml"), config).unwrap();
    let output = sparkrtc(&directory, &["--config", "c.toml", "--json"]);
    assert_eq!(error_code(&output), "tls_unusable");
}
