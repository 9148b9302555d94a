//! Which of our addresses peers are told, and which of them a datagram belongs to.

use std::net::{IpAddr, SocketAddr};

/// The candidates of a socket bound to `bound`, best first; never empty.
///
/// A public address replaces our own. A socket bound to one address announces that one. A socket bound to
/// the wildcard announces every usable address of the host, loopback last: peers on this machine may have
/// no other way.
pub(crate) fn candidates(
    bound: SocketAddr,
    public_ip: Option<IpAddr>,
    host: &[IpAddr],
) -> Vec<SocketAddr> {
    let port = bound.port();
    if let Some(public_ip) = public_ip {
        return vec![SocketAddr::new(public_ip, port)];
    }
    if !bound.ip().is_unspecified() {
        return vec![bound];
    }
    let reachable = |address: &&IpAddr| match address {
        IpAddr::V4(address) => !address.is_unspecified() && !address.is_link_local(),
        // Link-local addresses need a zone, which candidates cannot carry.
        IpAddr::V6(address) => {
            bound.is_ipv6() && !address.is_unspecified() && !address.is_unicast_link_local()
        }
    };
    let mut addresses: Vec<IpAddr> = host.iter().filter(reachable).copied().collect();
    addresses.sort_by_key(|address| (address.is_loopback(), address.is_ipv6(), *address));
    addresses.dedup();
    if addresses.is_empty() {
        addresses.push(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
    }
    addresses.truncate(CANDIDATES_MAX);
    addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect()
}

/// The candidate a datagram sent to `destination` arrived at. Behind NAT none is equal; the first of the
/// same family then stands for it.
pub(crate) fn arrived_at(
    candidates: &[SocketAddr],
    destination: Option<IpAddr>,
) -> Option<SocketAddr> {
    let Some(destination) = destination.map(|address| address.to_canonical()) else {
        return candidates.first().copied();
    };
    let exact = candidates.iter().find(|candidate| candidate.ip() == destination);
    let family =
        || candidates.iter().find(|candidate| candidate.is_ipv4() == destination.is_ipv4());
    exact.or_else(family).or(candidates.first()).copied()
}

/// Every address of this host, of interfaces that are up.
pub(crate) fn host_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    interfaces
        .filter(|interface| interface.flags.contains(nix::net::if_::InterfaceFlags::IFF_UP))
        .filter_map(|interface| interface.address)
        .filter_map(|address| {
            let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
        })
        .collect()
}

/// More candidates than this only lengthen every client's search.
const CANDIDATES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: [&str; 5] = ["127.0.0.1", "192.0.2.7", "169.254.1.1", "fe80::1", "2001:db8::7"];

    fn check(bound: &str, public_ip: Option<&str>, expected: &[&str]) {
        let host: Vec<IpAddr> = HOST.iter().map(|address| address.parse().unwrap()).collect();
        let public_ip = public_ip.map(|address| address.parse().unwrap());
        let announced = candidates(bound.parse().unwrap(), public_ip, &host);
        let announced: Vec<String> = announced.iter().map(SocketAddr::to_string).collect();
        assert_eq!(announced, expected, "{bound} {public_ip:?}");
    }

    #[test]
    fn candidates_follow_the_bind_address() {
        check("127.0.0.1:7882", None, &["127.0.0.1:7882"]);
        check("0.0.0.0:7882", None, &["192.0.2.7:7882", "127.0.0.1:7882"]);
        check("[::]:7882", None, &["192.0.2.7:7882", "[2001:db8::7]:7882", "127.0.0.1:7882"]);
        check("0.0.0.0:7882", Some("203.0.113.5"), &["203.0.113.5:7882"]);
        check("10.0.0.4:7882", Some("203.0.113.5"), &["203.0.113.5:7882"]);
    }

    #[test]
    fn a_datagram_behind_nat_counts_as_arrived_at_the_public_address() {
        let candidates: Vec<SocketAddr> =
            ["203.0.113.5:1", "127.0.0.1:1"].map(|address| address.parse().unwrap()).into();
        let cases = [
            (Some("127.0.0.1"), "127.0.0.1:1"),
            (Some("::ffff:127.0.0.1"), "127.0.0.1:1"),
            (Some("10.0.0.4"), "203.0.113.5:1"),
            (None, "203.0.113.5:1"),
        ];
        for (destination, expected) in cases {
            let arrived = arrived_at(&candidates, destination.map(|text| text.parse().unwrap()));
            assert_eq!(arrived, Some(expected.parse().unwrap()), "{destination:?}");
        }
        assert_eq!(arrived_at(&[], None), None);
    }
}
