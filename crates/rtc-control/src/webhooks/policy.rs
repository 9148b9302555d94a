//! Where the server may send requests that somebody else chose the address of.
//!
//! A webhook's URL is typed in by an app's owner, who must not thereby reach the machines behind
//! our firewall. So every address a name resolves to is judged, at the moment of connecting, and
//! again after each redirect.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use rtc_model::Network;

/// Who can reach our own HTTP listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listening {
    /// This machine only. Whoever sets a URL is then at home here, and may name its neighbours.
    Loopback,
    /// Other machines too.
    Anywhere,
}

impl Listening {
    /// The scope of a listener bound to this address.
    pub fn at(address: SocketAddr) -> Self {
        if address.ip().to_canonical().is_loopback() { Self::Loopback } else { Self::Anywhere }
    }
}

/// Decides which addresses a URL may lead to.
#[derive(Clone, Debug)]
pub struct OutboundPolicy {
    listening: Listening,
    allowed: Vec<Network>,
}

/// Why a URL is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlRefusal {
    /// Not an absolute URL, or longer than [`URL_BYTES_MAX`].
    #[error("it is not a URL of at most 2,048 bytes")]
    Malformed,
    /// Another scheme than http and https.
    #[error("only http and https are possible")]
    Scheme,
    /// The URL holds a user name or a password.
    #[error("it must not hold a user name or password")]
    Credentials,
    /// It leads to an address that is not public and not allowed by configuration.
    #[error(
        "it leads to an address that is not public; callbacks.allow_networks in the server's \
         configuration can allow it"
    )]
    Address,
}

impl OutboundPolicy {
    /// Public addresses are always permitted, those in `allowed` too; loopback and private ones
    /// also while we ourselves listen on loopback only.
    pub fn new(listening: Listening, allowed: Vec<Network>) -> Self {
        Self { listening, allowed }
    }

    /// Whether a connection to this address may be made.
    pub fn permits(&self, address: IpAddr) -> bool {
        let by_reach = match Reach::of(address) {
            Reach::Public => true,
            Reach::Loopback | Reach::Private => self.listening == Listening::Loopback,
            Reach::Special => false,
        };
        by_reach || self.allowed.iter().any(|network| network.contains(address))
    }

    /// Reads a URL and judges what can be judged without resolving its name.
    ///
    /// # Errors
    /// [`UrlRefusal`], for whoever set the URL.
    pub fn check(&self, text: &str) -> Result<Url, UrlRefusal> {
        if text.len() > URL_BYTES_MAX {
            return Err(UrlRefusal::Malformed);
        }
        let url = Url::parse(text).map_err(|_| UrlRefusal::Malformed)?;
        self.check_parsed(&url)?;
        Ok(url)
    }

    pub(super) fn check_parsed(&self, url: &Url) -> Result<(), UrlRefusal> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(UrlRefusal::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlRefusal::Credentials);
        }
        let host = url.host_str().ok_or(UrlRefusal::Malformed)?;
        // A literal address never passes the resolver, so it is judged here.
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match literal {
            Ok(address) if !self.permits(address) => Err(UrlRefusal::Address),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// Resolves names to permitted addresses only, so that what was judged is what is connected to.
#[derive(Clone, Debug)]
pub(super) struct PermittedAddresses(pub(super) Arc<OutboundPolicy>);

impl Resolve for PermittedAddresses {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = Arc::clone(&self.0);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let permitted: Vec<SocketAddr> =
                found.filter(|address| policy.permits(address.ip())).collect();
            if permitted.is_empty() {
                return Err(UrlRefusal::Address.into());
            }
            let addresses: Addrs = Box::new(permitted.into_iter());
            Ok(addresses)
        })
    }
}

/// From where an address can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Public,
    /// This machine.
    Loopback,
    /// The networks of a house: RFC 1918, RFC 4193, and the carrier's (RFC 6598).
    Private,
    /// Links, multicast, documentation, tunnels, cloud metadata: no place for a receiver.
    Special,
}

impl Reach {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    /// IANA IPv4 Special-Purpose Address Registry.
    fn of_v4(address: Ipv4Addr) -> Self {
        match address.octets() {
            [127, ..] => Self::Loopback,
            [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Self::Private,
            [0, ..]
            | [169, 254, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
            | [224..=255, ..] => Self::Special,
            _ => Self::Public,
        }
    }

    /// IANA IPv6 Special-Purpose Address Registry. Only `2000::/3` is given out to the public.
    fn of_v6(address: Ipv6Addr) -> Self {
        if address.is_loopback() {
            return Self::Loopback;
        }
        match address.segments() {
            // RFC 6052: the last 32 bits are the IPv4 address that a translator goes to.
            [0x64, 0xff9b, 0, 0, 0, 0, _, _] => {
                let [.., a, b, c, d] = address.octets();
                Self::of_v4(Ipv4Addr::new(a, b, c, d))
            }
            [0xfc00..=0xfdff, ..] => Self::Private,
            // Teredo, 6to4 and the documentation prefixes lie inside 2000::/3.
            [0x2001, 0..=0x1ff, ..]
            | [0x2001, 0xdb8, ..]
            | [0x2002, ..]
            | [0x3fff, 0..=0xfff, ..] => Self::Special,
            [0x2000..=0x3fff, ..] => Self::Public,
            _ => Self::Special,
        }
    }
}

/// Longest URL in bytes; more is no address but an accident.
pub const URL_BYTES_MAX: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(listening: Listening, allowed: &[&str]) -> OutboundPolicy {
        let allowed = allowed.iter().map(|text| text.parse().unwrap()).collect();
        OutboundPolicy::new(listening, allowed)
    }

    #[test]
    fn every_kind_of_address_is_told_apart() {
        let table = [
            ("8.8.8.8", Reach::Public),
            ("172.15.0.1", Reach::Public),
            ("172.32.0.1", Reach::Public),
            ("100.63.0.1", Reach::Public),
            ("127.0.0.1", Reach::Loopback),
            ("127.255.0.9", Reach::Loopback),
            ("::1", Reach::Loopback),
            ("::ffff:127.0.0.1", Reach::Loopback),
            ("10.0.0.1", Reach::Private),
            ("172.31.255.255", Reach::Private),
            ("192.168.1.1", Reach::Private),
            ("100.64.0.1", Reach::Private),
            ("fd00::1", Reach::Private),
            ("::ffff:10.0.0.1", Reach::Private),
            ("64:ff9b::a00:1", Reach::Private),
            ("64:ff9b::808:808", Reach::Public),
            ("0.0.0.0", Reach::Special),
            ("169.254.169.254", Reach::Special),
            ("224.0.0.1", Reach::Special),
            ("255.255.255.255", Reach::Special),
            ("192.0.2.1", Reach::Special),
            ("::", Reach::Special),
            ("::7f00:1", Reach::Special),
            ("fe80::1", Reach::Special),
            ("ff02::1", Reach::Special),
            ("2002:7f00:1::", Reach::Special),
            ("2001:0:1::1", Reach::Special),
            ("2001:db8::1", Reach::Special),
            ("2606:4700::1111", Reach::Public),
        ];
        for (address, reach) in table {
            assert_eq!(Reach::of(address.parse().unwrap()), reach, "{address}");
        }
    }

    #[test]
    fn neighbours_are_permitted_only_while_we_listen_at_home_or_where_allowed() {
        let home = policy(Listening::Loopback, &[]);
        let open = policy(Listening::Anywhere, &[]);
        let excepted = policy(Listening::Anywhere, &["10.1.0.0/16", "169.254.169.254"]);
        let table = [
            ("8.8.8.8", true, true, true),
            ("127.0.0.1", true, false, false),
            ("10.1.2.3", true, false, true),
            ("::ffff:10.1.2.3", true, false, true),
            ("10.2.2.3", true, false, false),
            ("169.254.169.254", false, false, true),
            ("169.254.1.1", false, false, false),
        ];
        for (address, at_home, when_open, when_excepted) in table {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(home.permits(address), at_home, "{address} at home");
            assert_eq!(open.permits(address), when_open, "{address} when open");
            assert_eq!(excepted.permits(address), when_excepted, "{address} when excepted");
        }
    }

    #[test]
    fn a_listener_is_at_home_on_loopback_only() {
        for (address, listening) in [
            ("127.0.0.1:7880", Listening::Loopback),
            ("[::1]:0", Listening::Loopback),
            ("0.0.0.0:7880", Listening::Anywhere),
            ("[::]:7880", Listening::Anywhere),
            ("192.168.1.2:80", Listening::Anywhere),
        ] {
            assert_eq!(Listening::at(address.parse().unwrap()), listening, "{address}");
        }
    }

    #[test]
    fn urls_are_judged_by_shape_scheme_and_literal_address() {
        let open = policy(Listening::Anywhere, &[]);
        let long = format!("https://example.org/{}", "x".repeat(URL_BYTES_MAX));
        let table = [
            ("https://example.org/hook?x=1", Ok(())),
            ("http://8.8.8.8:8080/", Ok(())),
            ("example.org/hook", Err(UrlRefusal::Malformed)),
            ("", Err(UrlRefusal::Malformed)),
            (&long, Err(UrlRefusal::Malformed)),
            ("ftp://example.org/", Err(UrlRefusal::Scheme)),
            ("file:///etc/passwd", Err(UrlRefusal::Scheme)),
            ("https://me:secret@example.org/", Err(UrlRefusal::Credentials)),
            ("https://me@example.org/", Err(UrlRefusal::Credentials)),
            ("http://127.0.0.1/", Err(UrlRefusal::Address)),
            ("http://2130706433/", Err(UrlRefusal::Address)),
            ("http://0x7f.1/", Err(UrlRefusal::Address)),
            ("http://[::1]:80/", Err(UrlRefusal::Address)),
            ("http://[::ffff:10.0.0.1]/", Err(UrlRefusal::Address)),
            ("http://169.254.169.254/latest/meta-data", Err(UrlRefusal::Address)),
        ];
        for (text, verdict) in table {
            assert_eq!(open.check(text).map(|_| ()), verdict, "{text:.60}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_home_is_not_resolved_for_strangers() {
        let name = || "localhost".parse::<Name>().unwrap();
        let open = PermittedAddresses(Arc::new(policy(Listening::Anywhere, &[])));
        assert!(open.resolve(name()).await.is_err());
        let home = PermittedAddresses(Arc::new(policy(Listening::Loopback, &[])));
        assert!(home.resolve(name()).await.unwrap().all(|found| found.ip().is_loopback()));
    }
}
