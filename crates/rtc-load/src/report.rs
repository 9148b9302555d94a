//! What one run measured, as numbers, text and JSON.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::{histogram::Histogram, process::ProcessorTime};

/// One measured run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was played.
    pub load: LoadDescription,
    /// What arrived.
    pub packets: PacketReport,
    /// How long joining took, in milliseconds from the start of the WebSocket connection.
    pub joins: JoinReport,
    /// Time from sending to arrival at the receiver's kernel, in microseconds.
    pub delay_us: Percentiles,
    /// What the server used; absent when its process was not given.
    pub server: Option<ServerReport>,
    /// What the generator itself used, and where it was the limit.
    pub generator: GeneratorReport,
    /// Load average over one minute when the window opened.
    pub load_average: f64,
}

/// What was played.
#[derive(Clone, Debug, Serialize)]
pub struct LoadDescription {
    /// Short name, such as `1 → 100`.
    pub name: String,
    /// Clients that publish.
    pub publishers: usize,
    /// Clients that receive.
    pub subscribers: usize,
    /// RTP payload bits per second of each video; 0 without video.
    pub video_bps: u64,
    /// Frames per second; 0 for evenly paced single packets.
    pub fps: u64,
    /// RTP payload bytes of video packets.
    pub packet_bytes: usize,
    /// Three encodings.
    pub simulcast: bool,
    /// Length of the measured window in seconds.
    pub window_s: f64,
}

/// What arrived, counting packets sent within the window.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PacketReport {
    /// Packets the publishers sent.
    pub sent: u64,
    /// Packets that should have arrived, over all receivers.
    pub expected: u64,
    /// Packets that arrived, each counted once.
    pub delivered: u64,
    /// Further copies of them.
    pub repeated: u64,
    /// Packets without a stamp, over the whole run: padding and probes.
    pub padding: u64,
    /// RTP and RTCP datagrams received from the server within the window.
    pub datagrams: u64,
    /// Of `expected`, sound.
    pub audio_expected: u64,
    /// Of `delivered`, sound.
    pub audio_delivered: u64,
    /// `delivered` of `expected`, in percent.
    pub delivered_percent: f64,
    /// Less than 99.9 % was delivered: figures per packet do not describe a server that keeps up.
    pub saturated: bool,
    /// Packets delivered per second.
    pub per_second: f64,
    /// RTP payload bits delivered per second.
    pub bits_per_second: f64,
    /// Keyframes the server asked publishers for, over the whole run.
    pub keyframe_requests: u64,
    /// Videos that began, or changed their encoding, elsewhere than at a keyframe.
    pub undecodable_starts: u64,
    /// Packets received between such starts and the keyframe.
    pub undecodable_packets: u64,
    /// Session descriptions offered per client.
    pub offers_per_client: f64,
}

/// How long joining took, in milliseconds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct JoinReport {
    /// Until the join response.
    pub response_ms: Percentiles,
    /// Until ICE and DTLS were up.
    pub connected_ms: Percentiles,
    /// From the command to publish until the last receiver had the first packet of the last track.
    pub all_flowing_ms: f64,
}

/// A distribution.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Percentiles {
    /// Half is no larger.
    pub p50: f64,
    /// 95 % is no larger.
    pub p95: f64,
    /// 99 % is no larger.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

/// What the server used.
#[derive(Clone, Debug, Serialize)]
pub struct ServerReport {
    /// Processor time within the window.
    pub processor: ProcessorTime,
    /// Processor microseconds per packet delivered.
    pub us_per_packet: f64,
    /// Of it in user mode, by the coarse clock.
    pub user_us_per_packet: f64,
    /// Of it in the kernel, by the coarse clock.
    pub system_us_per_packet: f64,
    /// Processor seconds per million packets delivered: the same number as `us_per_packet`.
    pub s_per_million: f64,
    /// Length of the window in seconds.
    pub window_s: f64,
    /// Processors kept busy.
    pub busy_processors: f64,
    /// Processor milliseconds per client for signalling, ICE and DTLS.
    pub join_ms_per_client: f64,
    /// Resident memory before anybody joined, in KiB.
    pub empty_kib: u64,
    /// Growth of resident memory per client once all were connected and nobody published, in KiB.
    pub idle_kib_per_client: f64,
    /// Growth of resident memory per client at the end of the window, in KiB.
    pub loaded_kib_per_client: f64,
    /// Datagrams dropped at the server's full sockets over the whole run.
    pub receive_drops: u64,
    /// Threads.
    pub threads: usize,
}

/// What the generator used.
#[derive(Clone, Debug, Serialize)]
pub struct GeneratorReport {
    /// Processor time within the window.
    pub processor: ProcessorTime,
    /// Processor microseconds per packet delivered.
    pub us_per_packet: f64,
    /// Datagrams dropped at the clients' full sockets: losses that are the generator's own.
    pub receive_drops: u64,
    /// Datagrams the kernel did not take.
    pub send_failures: u64,
    /// How late packets left after they were due, in microseconds.
    pub lateness_us: Percentiles,
    /// Clients that failed during the run.
    pub failed_clients: usize,
}

impl Percentiles {
    /// Percentiles of a histogram, divided by `unit`.
    pub fn of(histogram: &Histogram, unit: f64) -> Self {
        let at = |permille| histogram.permille(permille).unwrap_or(0) as f64 / unit;
        Self { p50: at(500), p95: at(950), p99: at(990), max: at(1_000) }
    }
}

/// `of` by `by`, 0 when there is nothing to divide by.
pub fn ratio(of: f64, by: u64) -> f64 {
    if by == 0 { 0.0 } else { of / by as f64 }
}

/// Delivered share in percent; 100 when nothing was expected.
pub fn delivered_percent(delivered: u64, expected: u64) -> f64 {
    if expected == 0 { 100.0 } else { 100.0 * delivered as f64 / expected as f64 }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.fmt_load(f)?;
        self.fmt_packets(f)?;
        let joins = &self.joins;
        writeln!(f, "join response     {} ms", joins.response_ms)?;
        writeln!(f, "connected         {} ms", joins.connected_ms)?;
        writeln!(f, "all media flowing {:.0} ms after publishing", joins.all_flowing_ms)?;
        writeln!(f, "one-way delay     {} µs", self.delay_us)?;
        if let Some(server) = &self.server {
            write!(f, "{server}")?;
        }
        write!(f, "{}", self.generator)
    }
}

impl Report {
    fn fmt_load(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let load = &self.load;
        writeln!(
            f,
            "{}: {} publishing, {} receiving; video {} kbit/s of {} B packets, {}{}; {:.1} s; \
             load average {:.2}",
            load.name,
            load.publishers,
            load.subscribers,
            load.video_bps / 1_000,
            load.packet_bytes,
            if load.fps == 0 { "evenly paced".into() } else { format!("{} fps bursts", load.fps) },
            if load.simulcast { ", three encodings" } else { "" },
            load.window_s,
            self.load_average,
        )
    }

    fn fmt_packets(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let packets = &self.packets;
        writeln!(
            f,
            "packets forwarded {} of {} expected: {:.3} % delivered{}, {} lost ({} sound), \
             {} repeated, {} padding",
            packets.delivered,
            packets.expected,
            packets.delivered_percent,
            if packets.saturated { " (saturated)" } else { "" },
            packets.expected.saturating_sub(packets.delivered),
            packets.audio_expected.saturating_sub(packets.audio_delivered),
            packets.repeated,
            packets.padding,
        )?;
        writeln!(
            f,
            "rate              {:.0} packets/s, {:.1} Mbit/s of payload; {} keyframes asked for, \
             {} starts without one, {} packets undecodable",
            packets.per_second,
            packets.bits_per_second / 1e6,
            packets.keyframe_requests,
            packets.undecodable_starts,
            packets.undecodable_packets,
        )
    }
}

impl Display for Percentiles {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { p50, p95, p99, max } = self;
        write!(f, "p50 {p50:.0}, p95 {p95:.0}, p99 {p99:.0}, max {max:.0}")
    }
}

impl Display for ServerReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "server            {:.2} µs/packet ({:.2} user, {:.2} kernel) = {:.2} CPU-seconds per \
             million; {:.2} processors busy, {:.2} waited for",
            self.us_per_packet,
            self.user_us_per_packet,
            self.system_us_per_packet,
            self.s_per_million,
            self.busy_processors,
            self.processor.waited_s / self.window_s.max(f64::MIN_POSITIVE),
        )?;
        writeln!(
            f,
            "server memory     {} KiB empty; per client {:.0} KiB idle → {:.0} KiB loaded; joining \
             {:.2} ms of processor each; {} datagrams dropped at its sockets",
            self.empty_kib,
            self.idle_kib_per_client,
            self.loaded_kib_per_client,
            self.join_ms_per_client,
            self.receive_drops,
        )
    }
}

impl Display for GeneratorReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "generator         {:.2} µs/packet, {:.2} s of processor, {:.2} s waited for one; sending late {} µs; {} datagrams \
             dropped at its sockets, {} not sent, {} clients failed",
            self.us_per_packet,
            self.processor.run_s,
            self.processor.waited_s,
            self.lateness_us,
            self.receive_drops,
            self.send_failures,
            self.failed_clients,
        )
    }
}
