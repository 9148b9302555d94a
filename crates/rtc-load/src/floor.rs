//! The least a forwarded packet can cost on this machine: one SRTP seal and one UDP send, measured
//! by themselves.
//!
//! Sending over loopback includes the receiver's half of the kernel's work and, as with real
//! clients, another thread that empties the sockets. The processor time of the sending thread alone
//! is counted.

use std::{
    io::IoSlice,
    net::UdpSocket,
    os::fd::AsRawFd,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, LessSafeKey, Nonce, UnboundKey};
use nix::{
    sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, sendmmsg, sendmsg},
    time::{ClockId, clock_gettime},
};
use serde::Serialize;

use crate::socket::Receiver;

/// Nanoseconds of processor time per packet, best of several rounds (other work on the machine only
/// adds).
#[derive(Clone, Debug, Serialize)]
pub struct Floor {
    /// AES-128-GCM seal of 1200 bytes in place.
    pub seal_128_ns: f64,
    /// AES-256-GCM seal of 1200 bytes in place: what str0m's ends agree on.
    pub seal_256_ns: f64,
    /// `sendto`, one datagram a call.
    pub sendto_ns: f64,
    /// `sendmmsg`, 64 datagrams a call, each to another receiver.
    pub sendmmsg_ns: f64,
    /// `sendmsg` with segmentation offload, 4 datagrams to one receiver a call.
    pub gso_4_ns: f64,
    /// `sendmsg` with segmentation offload, 8 datagrams to one receiver a call.
    pub gso_8_ns: f64,
}

impl Floor {
    /// Measures all of it; takes a few seconds.
    ///
    /// # Errors
    /// When sockets or threads cannot be had.
    pub fn measure() -> anyhow::Result<Self> {
        let bench = SendBench::new()?;
        let mut floor = Self {
            seal_128_ns: f64::INFINITY,
            seal_256_ns: f64::INFINITY,
            sendto_ns: f64::INFINITY,
            sendmmsg_ns: f64::INFINITY,
            gso_4_ns: f64::INFINITY,
            gso_8_ns: f64::INFINITY,
        };
        // Rounds are interleaved, so that a busy moment does not fall on one row alone.
        for _ in 0..ROUNDS {
            floor.seal_128_ns = floor.seal_128_ns.min(seal_ns(&AES_128_GCM)?);
            floor.seal_256_ns = floor.seal_256_ns.min(seal_ns(&AES_256_GCM)?);
            floor.sendto_ns = floor.sendto_ns.min(bench.sendto_ns()?);
            floor.sendmmsg_ns = floor.sendmmsg_ns.min(bench.sendmmsg_ns()?);
            floor.gso_4_ns = floor.gso_4_ns.min(bench.gso_ns(4)?);
            floor.gso_8_ns = floor.gso_8_ns.min(bench.gso_ns(8)?);
        }
        Ok(floor)
    }

    /// Microseconds per packet when every packet goes to another receiver: seal and `sendmmsg`.
    pub fn single_us(&self) -> f64 {
        (self.seal_256_ns + self.sendmmsg_ns) / 1_000.0
    }

    /// Microseconds per packet when a frame's packets leave together: seal and segmentation offload
    /// by 4.
    pub fn burst_us(&self) -> f64 {
        (self.seal_256_ns + self.gso_4_ns) / 1_000.0
    }
}

fn seal_ns(algorithm: &'static Algorithm) -> anyhow::Result<f64> {
    let key = vec![7u8; algorithm.key_len()];
    let key = LessSafeKey::new(UnboundKey::new(algorithm, &key).context("making a key")?);
    let mut packet = vec![0x55u8; PACKET_BYTES];
    let header = [0u8; 24];
    let begin = thread_time()?;
    for counter in 0..SEALS {
        let mut nonce = [0u8; 12];
        nonce[..4].copy_from_slice(&counter.to_be_bytes());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = key
            .seal_in_place_separate_tag(nonce, Aad::from(&header), &mut packet)
            .context("sealing")?;
        drop(std::hint::black_box(tag));
    }
    Ok(nanos_each(begin, thread_time()?, SEALS))
}

/// A sender, receivers on other ports, and a thread that empties them.
struct SendBench {
    sender: UdpSocket,
    targets: Vec<SockaddrIn>,
    drain: Drain,
}

/// Reads every socket in turn until dropped.
struct Drain {
    running: Arc<AtomicBool>,
    received: Arc<AtomicU64>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl SendBench {
    fn new() -> anyhow::Result<Self> {
        let receivers = (0..TARGETS)
            .map(|_| crate::socket::open([127, 0, 0, 1].into()))
            .collect::<Result<Vec<_>, _>>()?;
        let targets = receivers
            .iter()
            .map(|socket| match socket.local_addr()? {
                std::net::SocketAddr::V4(v4) => Ok(SockaddrIn::from(v4)),
                std::net::SocketAddr::V6(_) => anyhow::bail!("asked for IPv4"),
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let sender = UdpSocket::bind("127.0.0.1:0")?;
        Ok(Self { sender, targets, drain: Drain::start(receivers)? })
    }

    /// Sends in portions that fit into the receivers' buffers and waits between them until all was
    /// read: a datagram dropped at a full socket is cheap, and would make the floor look lower than
    /// it is. Waiting is not counted.
    fn measure(&self, mut portion: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
        let mut spent = Duration::ZERO;
        for _ in 0..PORTIONS {
            let expected = self.drain.received() + u64::from(PORTION_SENDS);
            let begin = thread_time()?;
            portion()?;
            spent += thread_time()?.saturating_sub(begin);
            self.drain.wait_for(expected)?;
        }
        Ok(nanos_each(Duration::ZERO, spent, PORTIONS * PORTION_SENDS))
    }

    fn sendto_ns(&self) -> anyhow::Result<f64> {
        let packet = [0x55u8; DATAGRAM_BYTES];
        self.measure(|| {
            for _ in 0..PORTION_SENDS / TARGETS_U32 {
                for target in &self.targets {
                    let fd = self.sender.as_raw_fd();
                    nix::sys::socket::sendto(fd, &packet, target, MsgFlags::empty())?;
                }
            }
            Ok(())
        })
    }

    fn sendmmsg_ns(&self) -> anyhow::Result<f64> {
        let packet = [0x55u8; DATAGRAM_BYTES];
        let slices: Vec<[IoSlice<'_>; 1]> =
            self.targets.iter().map(|_| [IoSlice::new(&packet)]).collect();
        let addresses: Vec<Option<SockaddrIn>> = self.targets.iter().copied().map(Some).collect();
        let mut headers = MultiHeaders::preallocate(TARGETS, None);
        self.measure(|| {
            for _ in 0..PORTION_SENDS / TARGETS_U32 {
                let fd = self.sender.as_raw_fd();
                sendmmsg(fd, &mut headers, &slices, &addresses, [], MsgFlags::empty())?;
            }
            Ok(())
        })
    }

    fn gso_ns(&self, segments: usize) -> anyhow::Result<f64> {
        let run = vec![0x55u8; DATAGRAM_BYTES * segments];
        let slices = [IoSlice::new(&run)];
        let size = u16::try_from(DATAGRAM_BYTES)?;
        let control = [ControlMessage::UdpGsoSegments(&size)];
        let calls = PORTION_SENDS / u32::try_from(segments)?;
        self.measure(|| {
            for target in self.targets.iter().cycle().take(usize::try_from(calls)?) {
                let fd = self.sender.as_raw_fd();
                sendmsg(fd, &slices, &control, MsgFlags::empty(), Some(target))?;
            }
            Ok(())
        })
    }
}

impl Drain {
    fn start(receivers: Vec<UdpSocket>) -> anyhow::Result<Self> {
        let running = Arc::new(AtomicBool::new(true));
        let received = Arc::new(AtomicU64::new(0));
        let (flag, count) = (Arc::clone(&running), Arc::clone(&received));
        let thread = std::thread::Builder::new().name("floor-drain".into()).spawn(move || {
            let mut receiver = Receiver::default();
            let take = |_, _: &[u8], _| {
                count.fetch_add(1, Ordering::Relaxed);
            };
            while flag.load(Ordering::Relaxed) {
                for socket in &receivers {
                    while receiver.receive(socket, take).unwrap_or(false) {}
                }
            }
        })?;
        Ok(Self { running, received, thread: Some(thread) })
    }

    fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    fn wait_for(&self, count: u64) -> anyhow::Result<()> {
        let begin = Instant::now();
        while self.received() < count {
            if begin.elapsed() > DRAIN_WITHIN {
                bail!("{} datagrams did not arrive", count - self.received());
            }
            std::thread::yield_now();
        }
        Ok(())
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.running.store(false, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn thread_time() -> anyhow::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

fn nanos_each(begin: Duration, end: Duration, count: u32) -> f64 {
    end.saturating_sub(begin).as_secs_f64() * 1e9 / f64::from(count)
}

/// Payload of a video packet.
const PACKET_BYTES: usize = 1_200;
/// The same with RTP header, extensions and SRTP tag.
const DATAGRAM_BYTES: usize = 1_232;
const TARGETS: usize = 64;
const TARGETS_U32: u32 = 64;
/// Fifty to each receiver: a tenth of its buffer.
const PORTION_SENDS: u32 = 64 * 50;
const PORTIONS: u32 = 16;
const DRAIN_WITHIN: Duration = Duration::from_secs(5);
const SEALS: u32 = 100_000;
const ROUNDS: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_runs_of_segments_cost_less_per_packet() {
        let bench = SendBench::new().unwrap();
        // One round each suffices for a factor that is three to five on every machine.
        let (single, gso) = (bench.sendto_ns().unwrap(), bench.gso_ns(8).unwrap());
        assert!(gso < single, "sendto {single} ns, segments {gso} ns");
        assert!(seal_ns(&AES_128_GCM).unwrap() > 0.0);
    }
}
