//! One UDP socket, read and written in batches. Allocates nothing after its start.

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use nix::{
    errno::Errno,
    sys::socket::{
        ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrStorage, recvmmsg, sendmmsg,
        setsockopt, sockopt,
    },
};
use rtc_media::transmit::{BATCH_DATAGRAMS, SendBatch};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// A bound, non-blocking socket with its buffers.
pub(crate) struct BatchSocket {
    socket: Socket,
    bound: SocketAddr,
    receive_headers: MultiHeaders<SockaddrStorage>,
    buffers: Box<[[u8; DATAGRAM_BYTES_MAX]; BATCH_DATAGRAMS]>,
    received: Vec<Received>,
    send_headers: MultiHeaders<SockaddrStorage>,
    destinations: Vec<Option<SockaddrStorage>>,
}

/// One received datagram; its bytes are [`BatchSocket::datagram`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    /// Who sent it.
    pub(crate) remote: SocketAddr,
    /// To which of our addresses; known when the socket is bound to the wildcard.
    pub(crate) destination: Option<IpAddr>,
    length: usize,
    /// It was longer than the buffer: what is left of it is useless.
    pub(crate) is_truncated: bool,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Datagrams the kernel did not take.
    pub(crate) failures: usize,
}

/// Longest datagram taken: an Ethernet frame of 1,500 and some, as jumbo frames do not carry WebRTC.
const DATAGRAM_BYTES_MAX: usize = 2_048;
/// What is asked of the kernel for both buffers; it grants what its limits allow. At 100 Mbit/s this is
/// two thirds of a second of a stalled thread.
const SOCKET_BUFFER_BYTES: usize = 8 * 1024 * 1024;

/// Binds a socket for a packet thread.
pub(crate) fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
        setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    } else {
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    }
    socket.set_nonblocking(true)?;
    widen_buffers(&socket)?;
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

/// Where a socket is bound; the port is never 0.
pub(crate) fn bound(socket: &Socket) -> io::Result<SocketAddr> {
    let bound = socket.local_addr()?.as_socket();
    bound.ok_or_else(|| io::Error::other("the bound address is of no IP family"))
}

impl BatchSocket {
    /// Takes over a socket made by [`bind`].
    pub(crate) fn new(socket: Socket) -> io::Result<Self> {
        let bound = bound(&socket)?;
        let buffers = vec![[0; DATAGRAM_BYTES_MAX]; BATCH_DATAGRAMS].into_boxed_slice();
        let buffers = buffers.try_into().map_err(|_| io::Error::other("wrong buffer count"))?;
        let control = nix::cmsg_space!(nix::libc::in6_pktinfo);
        Ok(Self {
            socket,
            bound,
            receive_headers: MultiHeaders::preallocate(BATCH_DATAGRAMS, Some(control)),
            buffers,
            received: Vec::with_capacity(BATCH_DATAGRAMS),
            send_headers: MultiHeaders::preallocate(BATCH_DATAGRAMS, None),
            destinations: Vec::with_capacity(BATCH_DATAGRAMS),
        })
    }

    /// Where it is bound; the port is never 0.
    pub(crate) fn bound(&self) -> SocketAddr {
        self.bound
    }

    /// Receives what has arrived, at most one batch; 0 when nothing has.
    pub(crate) fn receive(&mut self) -> io::Result<usize> {
        let Self { socket, receive_headers, buffers, received, .. } = self;
        received.clear();
        let mut slices = buffers.each_mut().map(|buffer| [IoSliceMut::new(buffer)]);
        let flags = MsgFlags::MSG_DONTWAIT;
        match recvmmsg(socket.as_raw_fd(), receive_headers, slices.iter_mut(), flags, None) {
            Ok(messages) => received.extend(messages.map(|message| read(&message))),
            // Refused and unreachable report on datagrams sent before; nothing to read this time.
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ECONNREFUSED | Errno::EHOSTUNREACH) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(received.len())
    }

    /// One datagram of the last [`Self::receive`].
    pub(crate) fn datagram(&self, index: usize) -> Option<(Received, &[u8])> {
        let received = *self.received.get(index)?;
        let bytes = self.buffers.get(index)?.get(..received.length)?;
        Some((received, bytes))
    }

    /// Sends a batch. What the kernel does not take at once is dropped, as the network would drop it.
    pub(crate) fn send(&mut self, batch: &SendBatch) -> Sent {
        let Self { socket, bound, send_headers, destinations, .. } = self;
        let mut slices = [[IoSlice::new(&[])]; BATCH_DATAGRAMS];
        destinations.clear();
        for (slice, (destination, bytes)) in slices.iter_mut().zip(batch.iter()) {
            *slice = [IoSlice::new(bytes)];
            destinations.push(Some(for_socket(*bound, destination).into()));
        }
        let mut sent = Sent::default();
        let mut start = 0;
        while let (Some(slices), Some(addresses)) =
            (slices.get(start..destinations.len()), destinations.get(start..))
            && !slices.is_empty()
        {
            let flags = MsgFlags::MSG_DONTWAIT;
            match sendmmsg(socket.as_raw_fd(), send_headers, slices, addresses, [], flags) {
                Ok(taken) => start += taken.count().max(1),
                Err(Errno::EINTR) => {}
                // The error is about the first datagram only.
                Err(_) => {
                    sent.failures += 1;
                    start += 1;
                }
            }
        }
        sent
    }
}

impl AsFd for BatchSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn read(message: &RecvMsg<'_, '_, SockaddrStorage>) -> Received {
    let remote = message.address.as_ref().and_then(socket_address);
    let mut destination = None;
    for control in message.cmsgs().into_iter().flatten() {
        match control {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                destination = Some(IpAddr::V4(Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr))));
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                destination = Some(IpAddr::from(info.ipi6_addr.s6_addr).to_canonical());
            }
            _ => {}
        }
    }
    Received {
        remote: remote.unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))),
        destination,
        length: message.bytes.min(DATAGRAM_BYTES_MAX),
        is_truncated: message.flags.contains(MsgFlags::MSG_TRUNC),
    }
}

/// An IPv4 peer of a dual-stack socket is the same peer as of an IPv4 socket.
fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::V4(SocketAddrV4::from(*v4)));
    let v6 = || address.as_sockaddr_in6().map(|v6| SocketAddr::V6(SocketAddrV6::from(*v6)));
    let address = v4.or_else(v6)?;
    Some(match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::from((ip, address.port())),
        IpAddr::V6(_) => address,
    })
}

fn for_socket(bound: SocketAddr, destination: SocketAddr) -> SocketAddr {
    match (bound, destination) {
        (SocketAddr::V6(_), SocketAddr::V4(v4)) => {
            SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port()))
        }
        _ => destination,
    }
}

fn widen_buffers(socket: &Socket) -> io::Result<()> {
    // Past the system's limit only with the right to; without it the limit is what we get.
    if setsockopt(socket, sockopt::RcvBufForce, &SOCKET_BUFFER_BYTES).is_err() {
        socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
    }
    if setsockopt(socket, sockopt::SndBufForce, &SOCKET_BUFFER_BYTES).is_err() {
        socket.set_send_buffer_size(SOCKET_BUFFER_BYTES)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;

    fn open(address: &str) -> BatchSocket {
        BatchSocket::new(bind(address.parse().unwrap()).unwrap()).unwrap()
    }

    fn receive_all(socket: &mut BatchSocket, wanted: usize) -> Vec<(Received, Vec<u8>)> {
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut all = Vec::new();
        while all.len() < wanted && Instant::now() < deadline {
            poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], PollTimeout::from(100_u16))
                .unwrap();
            for index in 0..socket.receive().unwrap() {
                let (received, bytes) = socket.datagram(index).unwrap();
                all.push((received, bytes.to_vec()));
            }
        }
        all
    }

    fn check(bind_receiver: &str, bind_sender: &str, to: IpAddr, from: IpAddr) {
        let mut receiver = open(bind_receiver);
        let mut sender = open(bind_sender);
        let destination = SocketAddr::new(to, receiver.bound().port());
        let mut wanted = Vec::new();
        for round in 0..3_u8 {
            let mut batch = SendBatch::new();
            while batch.has_room() {
                let bytes = vec![round; 100 + batch.len()];
                batch.push(destination, &bytes);
                wanted.push(bytes);
            }
            assert_eq!(sender.send(&batch), Sent::default());
        }
        let all = receive_all(&mut receiver, wanted.len());
        assert!(all.iter().map(|(_, bytes)| bytes).eq(&wanted), "{bind_receiver} {bind_sender}");
        for (received, _) in &all {
            assert_eq!(received.remote, SocketAddr::new(from, sender.bound().port()));
            assert_eq!(received.destination, Some(to));
            assert!(!received.is_truncated);
        }
    }

    #[test]
    fn batches_arrive_whole_and_say_where_they_came_from_and_went_to() {
        let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
        check("127.0.0.1:0", "127.0.0.1:0", loopback, loopback);
        check("0.0.0.0:0", "127.0.0.1:0", loopback, loopback);
        check("0.0.0.0:0", "127.0.0.1:0", IpAddr::from([127, 0, 0, 9]), loopback);
    }

    #[test]
    fn an_oversized_datagram_is_marked() {
        let mut receiver = open("127.0.0.1:0");
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.send_to(&[7; 4_000], receiver.bound()).unwrap();
        let all = receive_all(&mut receiver, 1);
        assert!(all[0].0.is_truncated);
    }

    #[test]
    fn a_datagram_the_kernel_refuses_costs_only_itself() {
        let mut sender = open("127.0.0.1:0");
        let mut receiver = open("127.0.0.1:0");
        let mut batch = SendBatch::new();
        batch.push(receiver.bound(), b"one");
        // Port 0 is nobody's.
        batch.push("127.0.0.1:0".parse().unwrap(), b"refused");
        batch.push(receiver.bound(), b"two");
        assert_eq!(sender.send(&batch), Sent { failures: 1 });
        let all = receive_all(&mut receiver, 2);
        assert_eq!(
            all.iter().map(|(_, bytes)| bytes.as_slice()).collect::<Vec<_>>(),
            [b"one", b"two"]
        );
    }
}
