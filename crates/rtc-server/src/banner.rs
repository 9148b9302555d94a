//! What a starting server says to the person who started it: where to go, and a link that joins a room.

use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use crate::{config::Config, data_dir::Ports, tls::interface_addresses};

/// The URL by which people reach a server that listens on `http`: the configured one, or one made
/// of the address. Without a slash at its end.
pub(crate) fn public_url(config: &Config, http: SocketAddr) -> String {
    if let Some(url) = &config.http.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    // Without TLS a link is of use on this machine only: elsewhere there is no camera.
    match others_url(config, http) {
        Some(url) if config.has_tls() => url,
        _ => own_url(config, http),
    }
}

/// The URL for this machine. Only by the name `localhost` browsers give the camera without TLS.
fn own_url(config: &Config, http: SocketAddr) -> String {
    let scheme = scheme(config);
    let by_name = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()].contains(&http.ip());
    if by_name || http.ip().is_unspecified() {
        format!("{scheme}://localhost:{}", http.port())
    } else {
        format!("{scheme}://{http}")
    }
}

/// The URL for other machines, if they can reach this one: IPv4 first, as people read it better.
fn others_url(config: &Config, http: SocketAddr) -> Option<String> {
    let address = if http.ip().is_unspecified() {
        let reachable = interface_addresses().into_iter().filter(|address| !address.is_loopback());
        reachable.min_by_key(IpAddr::is_ipv6)?
    } else {
        http.ip()
    };
    let address = SocketAddr::new(address, http.port());
    (!address.ip().is_loopback()).then(|| format!("{}://{address}", scheme(config)))
}

fn scheme(config: &Config) -> &'static str {
    if config.has_tls() { "https" } else { "http" }
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
    let own = own_url(config, ports.http);
    let others = match &config.http.public_url {
        Some(url) => Some(url.trim_end_matches('/').to_owned()),
        None => others_url(config, ports.http),
    };
    let main = others.as_ref().unwrap_or(&own);
    let mut lines = vec![
        format!("SparkRTC {} is running.", env!("CARGO_PKG_VERSION")),
        format!("  Pages    {main}/"),
        format!(
            "  Clients  {}  (LiveKit SDKs; keys: sparkrtc app list)",
            main.replacen("http", "ws", 1)
        ),
    ];
    lines.push(format!("  Runs on  {}", topology(config, ports)));
    if config.apps.dev_pair {
        lines.push("  Dev key  devkey / secret (everybody knows it)".to_owned());
    }
    if let Some(fragment) = join {
        lines.push(format!("\n  Open this in two windows:\n  {own}/play{fragment}"));
        if let Some(others) = others.filter(|others| *others != own) {
            lines.push(format!("  On other machines:\n  {others}/play{fragment}"));
        }
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
