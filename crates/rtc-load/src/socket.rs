//! UDP sockets of clients: opened with room for bursts, read in batches with the kernel's arrival
//! times.

use std::{
    io::{self, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nix::{
    cmsg_space,
    errno::Errno,
    sys::{
        socket::{
            ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrStorage, recvmmsg,
            setsockopt, sockopt,
        },
        time::TimeSpec,
    },
};

/// Opens a non-blocking socket on an ephemeral port of `ip`.
///
/// # Errors
/// When the operating system refuses.
pub fn open(ip: std::net::IpAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((ip, 0))?;
    socket.set_nonblocking(true)?;
    // Above the system's limit only with privileges; without them the limit itself is taken.
    if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER_BYTES)?;
    }
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    Ok(socket)
}

/// The address of this machine that packets to `remote` leave from.
///
/// # Errors
/// When there is no route.
pub fn local_ip_towards(remote: SocketAddr) -> io::Result<std::net::IpAddr> {
    let any: SocketAddr = match remote {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    // Connecting a UDP socket sends nothing; it only picks the route.
    socket.connect(remote)?;
    Ok(socket.local_addr()?.ip())
}

/// Nanoseconds of the Unix epoch, by the clock the kernel stamps arrivals with.
pub fn wall_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Buffers for reading many datagrams by one system call.
pub struct Receiver {
    buffers: Vec<[u8; DATAGRAM_BYTES_MAX]>,
    headers: MultiHeaders<SockaddrStorage>,
}

impl Default for Receiver {
    fn default() -> Self {
        let control = cmsg_space!(TimeSpec);
        Self {
            buffers: vec![[0; DATAGRAM_BYTES_MAX]; BATCH],
            headers: MultiHeaders::preallocate(BATCH, Some(control)),
        }
    }
}

impl Receiver {
    /// Reads at most one batch and hands every datagram over with its sender and its arrival in
    /// nanoseconds of the Unix epoch. True when more may be waiting.
    ///
    /// # Errors
    /// What the socket says, other than that it has nothing.
    pub fn receive(
        &mut self,
        socket: &UdpSocket,
        mut take: impl FnMut(SocketAddr, &[u8], u64),
    ) -> io::Result<bool> {
        let mut slices: Vec<[IoSliceMut<'_>; 1]> =
            self.buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
        let flags = MsgFlags::MSG_DONTWAIT;
        let messages =
            match recvmmsg(socket.as_raw_fd(), &mut self.headers, &mut slices, flags, None) {
                Ok(messages) => messages,
                Err(Errno::EAGAIN | Errno::EINTR) => return Ok(false),
                // An ICMP error of an earlier send; the socket goes on.
                Err(Errno::ECONNREFUSED) => return Ok(true),
                Err(errno) => return Err(errno.into()),
            };
        let mut count = 0;
        for message in messages {
            count += 1;
            let received_ns = arrival_ns(&message).unwrap_or_else(wall_ns);
            let source = message.address.as_ref().and_then(to_std);
            if let (Some(source), Some(datagram)) = (source, message.iovs().next()) {
                take(source, datagram, received_ns);
            }
        }
        Ok(count == BATCH)
    }
}

fn arrival_ns(message: &RecvMsg<'_, '_, SockaddrStorage>) -> Option<u64> {
    message.cmsgs().ok()?.find_map(|control| match control {
        ControlMessageOwned::ScmTimestampns(time) => {
            u64::try_from(Duration::from(time).as_nanos()).ok()
        }
        _ => None,
    })
}

fn to_std(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::V4((*v4).into()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into())))
}

/// Datagrams per system call. A client of one publisher gets a frame of about seven at once.
const BATCH: usize = 32;
/// Above every datagram on an Ethernet path.
const DATAGRAM_BYTES_MAX: usize = 2_048;
/// Room for half a second of 2 Mbit/s in the kernel's accounting (a small packet is charged about 2
/// KiB).
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_come_whole_in_order_and_stamped_again_and_again() {
        let receiving = open([127, 0, 0, 1].into()).unwrap();
        let sending = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (to, from) = (receiving.local_addr().unwrap(), sending.local_addr().unwrap());
        let mut receiver = Receiver::default();
        for round in 0..3u8 {
            let before = wall_ns();
            for index in 0..40u8 {
                sending.send_to(&[round, index], to).unwrap();
            }
            let mut seen = Vec::new();
            let mut take = |source, datagram: &[u8], at| {
                assert_eq!(source, from);
                assert!((before..=wall_ns()).contains(&at), "{before} {at}");
                seen.push(datagram.to_vec());
            };
            // Loopback delivers within the send call: nothing needs to be waited for.
            while receiver.receive(&receiving, &mut take).unwrap() {}
            assert_eq!(seen, (0..40u8).map(|index| vec![round, index]).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_route_to_loopback_leaves_from_loopback() {
        let remote = ([127, 0, 0, 1], 9).into();
        assert!(local_ip_towards(remote).unwrap().is_loopback());
    }
}
