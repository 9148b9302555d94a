//! What a starting server says to the person who started it: where to go, and a link that joins a room.

use std::{
    io::{self, Write},
    net::SocketAddr,
};

use crate::{config::Config, data_dir::Ports, tls::interface_addresses};

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

/// Says where to go, on standard output, and what to think about, in the log.
pub(crate) fn print(config: &Config, ports: &Ports, join: Option<&str>) {
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    tracing::info!(topology = topology(config, ports), "listening");
    // Nobody may be reading; the server runs all the same.
    drop(io::stdout().lock().write_all(text(config, ports, join).as_bytes()));
}

fn text(config: &Config, ports: &Ports, join: Option<&str>) -> String {
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
    if let Some(fragment) = join {
        lines.push("\n  Open this in two windows, or send it to a friend:".to_owned());
        lines.push(format!("  {base}/play{fragment}"));
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
