//! What a starting server says to the person who started it: where to go, and a link that joins a room.

use std::{
    io::{self, Write},
    net::SocketAddr,
};

use axum::Router;
use http::Method;
use rtc_control::Control;
use serde_json::json;

use crate::{
    admin,
    config::Config,
    data_dir::{DataDir, Ports},
    output::Failure,
    server::{admin_token, data_dir_failure},
    tls::interface_addresses,
};

/// The URL by which people reach a server that listens on `http`: the configured one, or one made
/// of the address. Without a slash at its end.
pub(crate) fn public_url(config: &Config, http: SocketAddr) -> String {
    if let Some(url) = &config.http.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let scheme = if config.has_tls() { "https" } else { "http" };
    // Only by this name browsers give the camera without TLS.
    if http.ip().is_loopback() || http.ip().is_unspecified() {
        return format!("{scheme}://localhost:{}", http.port());
    }
    format!("{scheme}://{http}")
}

/// Links that join the demo room at once.
#[derive(Debug, Default)]
pub(crate) struct Invitations {
    links: Vec<String>,
}

/// Makes the demo app at the first start, and links into its room.
///
/// Two links with an identity each: a link opened twice would replace its first window.
pub(crate) async fn invitations(
    control: &Control,
    config: &Config,
    data: &DataDir,
    http: SocketAddr,
) -> Invitations {
    match try_invitations(control, config, data, http).await {
        Ok(links) => Invitations { links },
        Err(failure) => {
            tracing::warn!(error = %failure, "no link into a demo room");
            Invitations::default()
        }
    }
}

async fn try_invitations(
    control: &Control,
    config: &Config,
    data: &DataDir,
    http: SocketAddr,
) -> Result<Vec<String>, Failure> {
    let token = admin_token(config, data)?;
    let router = crate::http::local(control.router(), &token);
    let app = match std::fs::read_to_string(data.file(DEMO_APP_FILE)) {
        Ok(id) => id.trim().to_owned(),
        Err(_) => create_demo_app(&router, data).await?,
    };
    let base = public_url(config, http);
    let mut links = Vec::new();
    for user in ["guest-1", "guest-2"] {
        let body = json!({
            "room_id": "demo",
            "user_id": user,
            "role": "joiner",
            "lifetime_s": LINK_LIFETIME_S,
        });
        let path = format!("/api/v1/apps/{app}/tokens");
        let token = match admin::call(&router, Method::POST, &path, Some(&body)).await {
            Ok(token) => token,
            // Deleted or switched off on purpose: then no link is missed.
            Err(failure) if ["app_not_found", "app_disabled"].contains(&failure.code.as_str()) => {
                return Ok(Vec::new());
            }
            Err(failure) => return Err(failure),
        };
        let token = token["token"].as_str().unwrap_or_default();
        links.push(format!("{base}/play#token={token}"));
    }
    Ok(links)
}

async fn create_demo_app(router: &Router, data: &DataDir) -> Result<String, Failure> {
    let body = json!({ "name": "demo", "type": "OTHER" });
    let app = admin::call(router, Method::POST, "/api/v1/apps", Some(&body)).await?;
    let id = app["app_id"].as_str().unwrap_or_default().to_owned();
    data.write(DEMO_APP_FILE, id.as_bytes()).map_err(|e| data_dir_failure(&e))?;
    Ok(id)
}

/// Says where to go, on standard output, and what to think about, in the log.
pub(crate) fn print(config: &Config, ports: &Ports, invitations: &Invitations) {
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    tracing::info!(topology = topology(config, ports), "listening");
    // Nobody may be reading; the server runs all the same.
    drop(io::stdout().lock().write_all(text(config, ports, invitations).as_bytes()));
}

fn text(config: &Config, ports: &Ports, invitations: &Invitations) -> String {
    let base = public_url(config, ports.http);
    let mut lines = vec![
        format!("SparkRTC {} is running.", env!("CARGO_PKG_VERSION")),
        format!("  Pages    {base}/"),
        format!(
            "  Clients  {}  (LiveKit SDKs; keys: sparkrtc app list)",
            base.replacen("http", "ws", 1)
        ),
    ];
    if ports.http.ip().is_unspecified() {
        let scheme = if config.has_tls() { "https" } else { "http" };
        for address in interface_addresses().iter().filter(|address| !address.is_loopback()) {
            let address = SocketAddr::new(*address, ports.http.port());
            lines.push(format!("           {scheme}://{address}/"));
        }
    }
    lines.push(format!("  Runs on  {}", topology(config, ports)));
    if config.apps.dev_pair {
        lines.push("  Dev key  devkey / secret (everybody knows it)".to_owned());
    }
    let names = ["Join", "A friend"];
    for (name, link) in names.iter().zip(&invitations.links) {
        lines.push(format!("\n  {name}, with this link (good for a day):\n  {link}"));
    }
    lines.join("\n") + "\n\n"
}

/// Which parts serve, in one line.
fn topology(config: &Config, ports: &Ports) -> String {
    let store = match &config.postgres {
        Some(_) => "PostgreSQL".to_owned(),
        None => format!("SQLite in {}", config.data.dir.display()),
    };
    let media: Vec<String> = ports.media_udp.iter().map(SocketAddr::to_string).collect();
    let tls = match (config.has_tls(), config.tls.self_signed) {
        (false, _) => "off",
        (true, false) => "own certificate",
        (true, true) => "self-signed",
    };
    format!(
        "HTTP {} · TLS {tls} · media UDP {} · store {store} · bus in-process",
        ports.http,
        media.join(" ")
    )
}

/// Remembers the demo app, so that one deleted on purpose does not come back.
const DEMO_APP_FILE: &str = "demo-app";
/// A day: long enough to come back to the terminal, short enough to be pasted without worry.
const LINK_LIFETIME_S: u64 = 24 * 3600;
