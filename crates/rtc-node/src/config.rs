//! What a node can be told at its start.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::NonZeroUsize,
    str::FromStr,
};

use rtc_model::{NodeLimits, RoomLimits};

/// Settings of a node.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Where media arrives: the first packet thread takes this port, each further one the next. Port 0
    /// takes any free ports.
    pub media: SocketAddr,
    /// The address announced to peers instead of our own, for a host behind one-to-one NAT. The ports are
    /// the same inside and outside.
    pub public_ip: Option<IpAddr>,
    /// Packet threads; `None` takes one per core.
    pub threads: Option<NonZeroUsize>,
    /// From whose connections `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Bounds of the node.
    pub limits: NodeLimits,
    /// Bounds of each room, where its own settings say nothing else.
    pub room_limits: RoomLimits,
    /// Whether subscribers' bandwidth is estimated; without it everything wished for is sent.
    pub estimate_bandwidth: bool,
    /// Where this node stands, as clients and the console are told. May be empty.
    pub region: String,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            media: SocketAddr::from((Ipv4Addr::LOCALHOST, 7_882)),
            public_ip: None,
            threads: None,
            trusted_proxies: Vec::new(),
            limits: NodeLimits::default(),
            room_limits: RoomLimits::default(),
            estimate_bandwidth: true,
            region: String::new(),
        }
    }
}

/// A range of addresses, written as `192.0.2.0/24`, `2001:db8::/32` or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    prefix_bits: u8,
}

/// Why a text is not a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// The part before the slash is no IP address.
    #[error("no IP address before the slash")]
    Address,
    /// The part after the slash is no prefix length of this address family.
    #[error("no prefix length of 0 to 32 (IPv4) or 0 to 128 (IPv6) after the slash")]
    Prefix,
}

impl Network {
    /// Whether an address is in the range. An IPv4 address mapped into IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix_bits)).unwrap_or(0);
                u32::from(base) & mask == u32::from(address) & mask
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix_bits)).unwrap_or(0);
                u128::from(base) & mask == u128::from(address) & mask
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let base: IpAddr = address.trim().parse().map_err(|_| NetworkError::Address)?;
        let bits_max = if base.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix {
            Some(prefix) => prefix.trim().parse().map_err(|_| NetworkError::Prefix)?,
            None => bits_max,
        };
        if prefix_bits > bits_max {
            return Err(NetworkError::Prefix);
        }
        Ok(Self { base, prefix_bits })
    }
}

impl From<Ipv4Addr> for Network {
    fn from(address: Ipv4Addr) -> Self {
        Self { base: IpAddr::V4(address), prefix_bits: 32 }
    }
}

impl From<Ipv6Addr> for Network {
    fn from(address: Ipv6Addr) -> Self {
        Self { base: IpAddr::V6(address), prefix_bits: 128 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_exactly_its_range() {
        let cases = [
            ("10.1.2.0/24", "10.1.2.255", true),
            ("10.1.2.0/24", "10.1.3.0", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.4", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("10.0.0.0/8", "::ffff:10.9.9.9", true),
        ];
        for (network, address, contains) in cases {
            let network: Network = network.parse().unwrap();
            assert_eq!(
                network.contains(address.parse().unwrap()),
                contains,
                "{network:?} {address}"
            );
        }
    }

    #[test]
    fn what_is_no_network_is_refused_with_the_reason() {
        let cases = [
            ("", NetworkError::Address),
            ("localhost", NetworkError::Address),
            ("10.0.0.0/33", NetworkError::Prefix),
            ("10.0.0.0/", NetworkError::Prefix),
            ("10.0.0.0/-1", NetworkError::Prefix),
            ("::1/129", NetworkError::Prefix),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Network>(), Err(error), "{text}");
        }
    }
}
