//! Who really sent a request, when proxies stand between. Pure.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use http::{HeaderMap, request::Parts};
use rtc_model::Network;

/// The client's address; `None` when the listener did not say who connected.
pub(super) fn of(parts: &Parts, trusted: &[Network]) -> Option<IpAddr> {
    let ConnectInfo(connected) = parts.extensions.get::<ConnectInfo<SocketAddr>>()?;
    Some(behind_proxies(connected.ip().to_canonical(), &parts.headers, trusted))
}

/// Walks `X-Forwarded-For` from its end: each trusted proxy vouches for the address before it.
fn behind_proxies(connected: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let mut address = connected;
    let forwarded: Vec<IpAddr> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map_while(|text| text.trim().parse::<IpAddr>().ok())
        .take(FORWARDED_MAX)
        .collect();
    for former in forwarded.into_iter().rev() {
        if !trusted.iter().any(|network| network.contains(address)) {
            break;
        }
        address = former.to_canonical();
    }
    address
}

/// Proxies in a row that are looked at.
const FORWARDED_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted = ["10.0.0.0/8", "127.0.0.1"].map(|text| text.parse().unwrap());
        let cases = [
            ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
            ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
            ("10.0.0.1", "", "10.0.0.1"),
            ("127.0.0.1", "198.51.100.1, 10.0.0.7", "198.51.100.1"),
            ("127.0.0.1", "1.2.3.4, 198.51.100.1, 10.0.0.7", "198.51.100.1"),
            ("127.0.0.1", "nonsense", "127.0.0.1"),
        ];
        for (connected, forwarded, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", forwarded.parse().unwrap());
            let address = behind_proxies(connected.parse().unwrap(), &headers, &trusted);
            assert_eq!(address, expected.parse::<IpAddr>().unwrap(), "{connected} {forwarded}");
        }
    }
}
