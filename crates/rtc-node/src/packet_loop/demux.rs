//! Which room a datagram belongs to. Pure.
//!
//! A STUN binding request names our user name fragment, which a room has claimed; once the room took the
//! request, everything else from that address follows it. Both maps are bounded by what rooms claim: an
//! address is learnt only after a room authenticated a request from it.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
};

use crate::thread::Undeliverable;

/// Room index → datagrams, by user name fragment and by address.
#[derive(Debug, Default)]
pub(crate) struct Demux {
    by_ufrag: HashMap<Arc<str>, Claim>,
    by_address: HashMap<SocketAddr, Owner>,
    /// Addresses whose fragment was given up, oldest first.
    orphans: VecDeque<(SocketAddr, Arc<str>)>,
}

/// Where a datagram goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// Index of the room.
    pub(crate) room: usize,
    /// The fragment it was found by; to be given to [`Demux::learn`] when the room took the datagram.
    pub(crate) ufrag: Option<Arc<str>>,
}

#[derive(Debug)]
struct Claim {
    room: usize,
    addresses: Vec<SocketAddr>,
}

#[derive(Debug)]
struct Owner {
    room: usize,
    ufrag: Arc<str>,
}

/// Addresses of one peer: a few candidates and a rebinding or two. Past it the oldest is forgotten.
const ADDRESSES_PER_UFRAG_MAX: usize = 32;
/// Addresses that wait for a new fragment. An ICE restart takes a second; past the limit the oldest go.
const ORPHANS_MAX: usize = 1_024;

impl Demux {
    /// Finds the room of a datagram.
    pub(crate) fn route(
        &self,
        remote: SocketAddr,
        datagram: &[u8],
    ) -> Result<Route, Undeliverable> {
        match protocol(datagram).ok_or(Undeliverable::UnknownProtocol)? {
            Protocol::StunRequest => {
                let ufrag =
                    rtc_media::route::local_ufrag(datagram).ok_or(Undeliverable::UnknownUser)?;
                let (ufrag, claim) =
                    self.by_ufrag.get_key_value(ufrag).ok_or(Undeliverable::UnknownUser)?;
                // The common case, a refresh on a known path, needs no learning.
                let known = self
                    .by_address
                    .get(&remote)
                    .is_some_and(|owner| Arc::ptr_eq(&owner.ufrag, ufrag));
                Ok(Route { room: claim.room, ufrag: (!known).then(|| Arc::clone(ufrag)) })
            }
            Protocol::Other => {
                let owner = self.by_address.get(&remote).ok_or(Undeliverable::UnknownAddress)?;
                Ok(Route { room: owner.room, ufrag: None })
            }
        }
    }

    /// Datagrams from this address belong to the peer of this fragment from now on.
    pub(crate) fn learn(&mut self, remote: SocketAddr, ufrag: &Arc<str>) {
        let Some(claim) = self.by_ufrag.get_mut(ufrag) else { return };
        let room = claim.room;
        if claim.addresses.len() == ADDRESSES_PER_UFRAG_MAX {
            let oldest = claim.addresses.remove(0);
            self.by_address.remove(&oldest);
        }
        claim.addresses.push(remote);
        let owner = Owner { room, ufrag: Arc::clone(ufrag) };
        if let Some(former) = self.by_address.insert(remote, owner)
            && let Some(claim) = self.by_ufrag.get_mut(&former.ufrag)
            && former.ufrag != *ufrag
        {
            claim.addresses.retain(|address| *address != remote);
        }
    }

    /// A room claims a fragment.
    pub(crate) fn bind(&mut self, ufrag: String, room: usize) {
        self.by_ufrag.insert(ufrag.into(), Claim { room, addresses: Vec::new() });
    }

    /// The fragment is nobody's any more. Addresses learnt by it stay with the room for now: after an ICE
    /// restart media goes on over the old path until the new one is checked (RFC 8445 §9).
    pub(crate) fn unbind(&mut self, ufrag: &str) {
        let Some((ufrag, claim)) = self.by_ufrag.remove_entry(ufrag) else { return };
        for address in claim.addresses {
            self.orphans.push_back((address, Arc::clone(&ufrag)));
        }
        while self.orphans.len() > ORPHANS_MAX
            && let Some((address, ufrag)) = self.orphans.pop_front()
        {
            let is_orphan = |owner: &Owner| Arc::ptr_eq(&owner.ufrag, &ufrag);
            if self.by_address.get(&address).is_some_and(is_orphan) {
                self.by_address.remove(&address);
            }
        }
    }

    /// Nothing belongs to this room any more.
    pub(crate) fn forget_room(&mut self, room: usize) {
        self.by_ufrag.retain(|_, claim| claim.room != room);
        self.by_address.retain(|_, owner| owner.room != room);
        self.orphans.retain(|(address, _)| self.by_address.contains_key(address));
    }
}

enum Protocol {
    StunRequest,
    Other,
}

/// RFC 7983 §7: the first byte tells the protocol. `None` for what we do not speak.
fn protocol(datagram: &[u8]) -> Option<Protocol> {
    match datagram {
        // RFC 8489 §5: a binding request has type 0x0001 and the magic cookie.
        [0, 1, _, _, 0x21, 0x12, 0xA4, 0x42, rest @ ..] if rest.len() >= 12 => {
            Some(Protocol::StunRequest)
        }
        [0..=3, ..] if datagram.len() >= STUN_HEADER => Some(Protocol::Other),
        [20..=63, ..] if datagram.len() >= DTLS_HEADER => Some(Protocol::Other),
        [128..=191, ..] if datagram.len() >= RTCP_HEADER => Some(Protocol::Other),
        _ => None,
    }
}

const STUN_HEADER: usize = 20;
const DTLS_HEADER: usize = 13;
const RTCP_HEADER: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    /// A binding request with an attribute of odd length before USERNAME.
    fn request(username: &str) -> Vec<u8> {
        let mut datagram = vec![0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42];
        datagram.extend([7; 12]);
        datagram.extend([0x80, 0x22, 0, 3, b'a', b'b', b'c', 0]);
        let length = u16::try_from(username.len()).unwrap();
        datagram.extend([0, 6]);
        datagram.extend(length.to_be_bytes());
        datagram.extend(username.as_bytes());
        datagram.resize(datagram.len().next_multiple_of(4), 0);
        datagram
    }

    fn rtp() -> Vec<u8> {
        vec![0x80; 40]
    }

    fn take(demux: &mut Demux, remote: SocketAddr, username: &str) -> usize {
        let route = demux.route(remote, &request(username)).unwrap();
        if let Some(ufrag) = &route.ufrag {
            demux.learn(remote, ufrag);
        }
        route.room
    }

    #[test]
    fn packets_follow_the_room_that_took_the_binding_request() {
        let mut demux = Demux::default();
        demux.bind("alice".to_owned(), 3);
        assert_eq!(demux.route(address(1), &rtp()), Err(Undeliverable::UnknownAddress));
        let first = demux.route(address(1), &request("alice:x")).unwrap();
        assert_eq!((first.room, first.ufrag.as_deref()), (3, Some("alice")));
        assert_eq!(
            demux.route(address(1), &rtp()),
            Err(Undeliverable::UnknownAddress),
            "an address is not learnt before the room took the request"
        );
        demux.learn(address(1), &first.ufrag.unwrap());
        assert_eq!(demux.route(address(1), &rtp()).unwrap().room, 3);
        assert_eq!(demux.route(address(1), &request("alice:x")).unwrap().ufrag, None);
    }

    #[test]
    fn an_address_moves_with_the_newest_binding_request() {
        let mut demux = Demux::default();
        demux.bind("old".to_owned(), 1);
        demux.bind("new".to_owned(), 2);
        assert_eq!(take(&mut demux, address(1), "old:x"), 1);
        assert_eq!(take(&mut demux, address(1), "new:x"), 2);
        assert_eq!(demux.route(address(1), &rtp()).unwrap().room, 2);
        demux.unbind("old");
        assert_eq!(demux.route(address(1), &rtp()).unwrap().room, 2, "the address had moved on");
    }

    #[test]
    fn media_goes_on_over_the_old_path_during_an_ice_restart() {
        let mut demux = Demux::default();
        demux.bind("old".to_owned(), 1);
        take(&mut demux, address(1), "old:x");
        demux.unbind("old");
        assert_eq!(demux.route(address(1), &rtp()).unwrap().room, 1);
        demux.bind("new".to_owned(), 1);
        assert_eq!(demux.route(address(1), &rtp()).unwrap().room, 1);
        assert_eq!(take(&mut demux, address(1), "new:x"), 1);
    }

    #[test]
    fn addresses_of_peers_that_ended_are_forgotten_in_time() {
        let mut demux = Demux::default();
        for port in 1..=3_000 {
            let ufrag = format!("u{port}");
            demux.bind(ufrag.clone(), 1);
            take(&mut demux, address(port), &format!("{ufrag}:x"));
            demux.unbind(&ufrag);
        }
        assert_eq!((demux.by_ufrag.len(), demux.by_address.len()), (0, ORPHANS_MAX));
        assert!(demux.route(address(1), &rtp()).is_err());
        assert!(demux.route(address(3_000), &rtp()).is_ok());
        demux.forget_room(1);
        assert_eq!((demux.by_address.len(), demux.orphans.len()), (0, 0));
    }

    #[test]
    fn an_ended_room_leaves_nothing_behind() {
        let mut demux = Demux::default();
        demux.bind("a".to_owned(), 1);
        demux.bind("b".to_owned(), 2);
        take(&mut demux, address(1), "a:x");
        take(&mut demux, address(2), "b:x");
        demux.forget_room(1);
        assert_eq!(demux.by_ufrag.len(), 1);
        assert_eq!(demux.by_address.len(), 1);
        assert_eq!(demux.route(address(2), &rtp()).unwrap().room, 2);
    }

    #[test]
    fn a_peer_has_a_bounded_number_of_addresses() {
        let mut demux = Demux::default();
        demux.bind("a".to_owned(), 1);
        for port in 1..=100 {
            take(&mut demux, address(port), "a:x");
        }
        assert_eq!(demux.by_address.len(), ADDRESSES_PER_UFRAG_MAX);
        assert!(demux.route(address(1), &rtp()).is_err(), "the oldest went first");
        assert!(demux.route(address(100), &rtp()).is_ok());
    }

    #[test]
    fn what_nobody_speaks_or_asked_for_is_told_apart() {
        let demux = Demux::default();
        let mut indication = request("a:b");
        indication[1] = 0x11;
        let cases = [
            (Vec::new(), Undeliverable::UnknownProtocol),
            (vec![0; 19], Undeliverable::UnknownProtocol),
            (vec![19; 64], Undeliverable::UnknownProtocol),
            (vec![64; 64], Undeliverable::UnknownProtocol),
            (vec![255; 64], Undeliverable::UnknownProtocol),
            (vec![128; 7], Undeliverable::UnknownProtocol),
            (vec![22; 13], Undeliverable::UnknownAddress),
            (vec![191; 8], Undeliverable::UnknownAddress),
            (indication, Undeliverable::UnknownAddress),
            (request("nobody:x"), Undeliverable::UnknownUser),
            (request("no colon"), Undeliverable::UnknownUser),
        ];
        for (datagram, reason) in cases {
            assert_eq!(demux.route(address(1), &datagram), Err(reason), "{datagram:?}");
        }
    }

    #[test]
    fn truncated_binding_requests_never_panic() {
        let mut demux = Demux::default();
        demux.bind("alice".to_owned(), 1);
        let whole = request("alice:x");
        for end in 0..whole.len() {
            drop(demux.route(address(1), &whole[..end]));
        }
        for position in 0..whole.len() {
            for value in [0, 1, 0x7F, 0xFF] {
                let mut bent = whole.clone();
                bent[position] = value;
                drop(demux.route(address(1), &bent));
            }
        }
    }
}
