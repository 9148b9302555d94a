//! The published matrix: every load with estimation on and off, each against a fresh server, beside
//! the floor of the same minutes; written as tables into `docs/benchmarks.md`.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use serde::Serialize;

use crate::{
    client::{Encodings, PublishPlan, VideoPlan},
    floor::Floor,
    process,
    report::Report,
    run::{self, Load, Shape},
    server::Server,
    token::TokenSource,
};

/// How the matrix is run.
#[derive(Clone, Debug)]
pub struct Bench {
    /// The server's binary.
    pub server: PathBuf,
    /// Length of every measured window.
    pub duration: Duration,
    /// Before every window.
    pub warm_up: Duration,
    /// Packet threads of the generator.
    pub threads: usize,
    /// Times the matrix is run; the table shows the cheapest run of each row that delivered
    /// everything.
    pub rounds: usize,
    /// Only loads whose name contains this.
    pub only: Option<String>,
    /// Where the tables go, between its markers.
    pub document: Option<PathBuf>,
}

/// One load of the matrix.
#[derive(Clone, Copy, Debug)]
struct Case {
    shape: Shape,
    video_bps: u64,
    fps: u64,
}

/// One row of the tables.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Whether the server estimated bandwidth.
    pub estimation: bool,
    /// All runs.
    pub runs: Vec<Report>,
}

/// The whole result.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// Processor model and count.
    pub processor: String,
    /// Kernel release.
    pub kernel: String,
    /// The floor before the matrix and after it.
    pub floors: Vec<Floor>,
    /// The rows.
    pub rows: Vec<Row>,
}

impl Bench {
    /// Runs the matrix, prints every run to `progress`, and writes the document.
    ///
    /// # Errors
    /// When a server does not start, a load cannot be played, or the document has no markers.
    pub async fn run(&self, mut progress: impl FnMut(&str)) -> anyhow::Result<Results> {
        let mut results = Results {
            processor: process::processor(),
            kernel: process::kernel(),
            floors: vec![Floor::measure()?],
            rows: Vec::new(),
        };
        progress(&format!("floor {:?}", results.floors[0]));
        let cases: Vec<Case> = CASES.iter().copied().filter(|case| self.wants(case)).collect();
        for case in cases {
            let mut rows = [true, false].map(|estimation| Row { estimation, runs: Vec::new() });
            // Rounds go over both settings in turn, so that a busy minute does not fall on one of
            // them alone.
            for _ in 0..self.rounds.max(1) {
                for row in &mut rows {
                    let report = self
                        .play(&case, row.estimation)
                        .await
                        .with_context(|| format!("{} at {} fps", case.shape, case.fps))?;
                    let estimation = if row.estimation { "on" } else { "off" };
                    progress(&format!("estimation {estimation}\n{report}"));
                    row.runs.push(report);
                }
            }
            results.rows.extend(rows);
        }
        results.floors.push(Floor::measure()?);
        if let Some(document) = &self.document {
            write_document(document, &results.tables()?)?;
        }
        Ok(results)
    }

    fn wants(&self, case: &Case) -> bool {
        self.only.as_ref().is_none_or(|only| case.shape.to_string().contains(only.as_str()))
    }

    async fn play(&self, case: &Case, estimation: bool) -> anyhow::Result<Report> {
        let setting = ("SPARKRTC_MEDIA__ESTIMATE_BANDWIDTH", estimation.to_string());
        let server = Server::start(&self.server, &[setting])?;
        let load = Load {
            url: server.url(),
            room: "benchmark".into(),
            tokens: TokenSource::Key { api_key: "devkey".into(), api_secret: "secret".into() },
            shape: case.shape,
            media: case.media(),
            warm_up: self.warm_up,
            duration: self.duration,
            server_pid: Some(server.pid()),
            server_ports: server.media_ports(),
            threads: self.threads,
            joins_per_second: JOINS_PER_SECOND,
        };
        run::play(&load).await.with_context(|| format!("the server's log:\n{}", server.log()))
    }
}

impl Case {
    fn media(&self) -> PublishPlan {
        PublishPlan {
            audio: true,
            video: Some(VideoPlan {
                bitrate_bps: self.video_bps,
                fps: self.fps,
                packet_bytes: PACKET_BYTES,
                keyframe_interval: KEYFRAME_INTERVAL,
                encodings: Encodings::One,
            }),
        }
    }
}

impl Row {
    /// The run to show: the cheapest of those that delivered everything, else the one that
    /// delivered most.
    fn best(&self) -> Option<&Report> {
        let cost = |report: &&Report| report.server.as_ref().map_or(f64::MAX, |s| s.us_per_packet);
        let healthy = self.runs.iter().filter(|report| !report.packets.saturated);
        healthy.min_by(|a, b| cost(a).total_cmp(&cost(b))).or_else(|| {
            let share = |report: &&Report| report.packets.delivered_percent;
            self.runs.iter().max_by(|a, b| share(a).total_cmp(&share(b)))
        })
    }
}

impl Results {
    /// The tables in Markdown.
    ///
    /// # Errors
    /// Never in practice; formatting into a string is fallible by type only.
    pub fn tables(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        writeln!(text, "Machine: {}; {}.\n", self.processor, self.kernel)?;
        self.floor_table(&mut text)?;
        self.cost_table(&mut text)?;
        self.client_table(&mut text)?;
        Ok(text)
    }

    fn floor_table(&self, text: &mut String) -> anyhow::Result<()> {
        text.push_str(
            "### Floor of the same run\n\n\
             | ns per packet | AES-128-GCM 1200 B | AES-256-GCM 1200 B | sendto | \
             sendmmsg × 64 | GSO 4 | GSO 8 |\n\
             |---|---|---|---|---|---|---|\n",
        );
        for (floor, when) in self.floors.iter().zip(["before", "after"]) {
            writeln!(
                text,
                "| {when} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} |",
                floor.seal_128_ns,
                floor.seal_256_ns,
                floor.sendto_ns,
                floor.sendmmsg_ns,
                floor.gso_4_ns,
                floor.gso_8_ns
            )?;
        }
        text.push('\n');
        Ok(())
    }

    fn cost_table(&self, text: &mut String) -> anyhow::Result<()> {
        text.push_str(
            "### Cost to the server\n\n\
             | load | video | estimation | delivered | µs CPU per packet (user + kernel) | \
             all runs | ÷ floor | CPU-s per million | busy processors | \
             memory per client, idle → loaded | load average |\n\
             |---|---|---|---|---|---|---|---|---|---|---|\n",
        );
        for (row, best) in self.shown() {
            let Some(server) = &best.server else { continue };
            let all: Vec<String> = row.runs.iter().map(cost_text).collect();
            writeln!(
                text,
                "| {} | {} | {} | {} | {:.2} ({:.2} + {:.2}) | {} | {:.1} | {:.2} | {:.2} | \
                 {:.0} → {:.0} KiB | {:.1} |",
                best.load.name,
                video_text(best),
                if row.estimation { "on" } else { "off" },
                delivered_text(best),
                server.us_per_packet,
                server.user_us_per_packet,
                server.system_us_per_packet,
                all.join(", "),
                server.us_per_packet / self.floor_us(best),
                server.s_per_million,
                server.busy_processors,
                server.idle_kib_per_client,
                server.loaded_kib_per_client,
                best.load_average,
            )?;
        }
        text.push('\n');
        Ok(())
    }

    fn client_table(&self, text: &mut String) -> anyhow::Result<()> {
        text.push_str(
            "### What clients saw, and what the generator took\n\n\
             | load | video | estimation | packets/s | join response p50 / p95 / max | \
             connected p50 / p95 / max | one-way delay p50 / p99 / max | repeated | \
             dropped at server's / generator's sockets | generator µs per packet | \
             sent late p99 |\n\
             |---|---|---|---|---|---|---|---|---|---|---|\n",
        );
        for (row, best) in self.shown() {
            let (joins, delay) = (&best.joins, best.delay_us);
            writeln!(
                text,
                "| {} | {} | {} | {:.0} | {:.0} / {:.0} / {:.0} ms | {:.0} / {:.0} / {:.0} ms | \
                 {:.1} / {:.1} / {:.1} ms | {} | {} / {} | {:.2} | {:.1} ms |",
                best.load.name,
                video_text(best),
                if row.estimation { "on" } else { "off" },
                best.packets.per_second,
                joins.response_ms.p50,
                joins.response_ms.p95,
                joins.response_ms.max,
                joins.connected_ms.p50,
                joins.connected_ms.p95,
                joins.connected_ms.max,
                delay.p50 / 1_000.0,
                delay.p99 / 1_000.0,
                delay.max / 1_000.0,
                best.packets.repeated,
                best.server.as_ref().map_or(0, |server| server.receive_drops),
                best.generator.receive_drops,
                best.generator.us_per_packet,
                best.generator.lateness_us.p99 / 1_000.0,
            )?;
        }
        Ok(())
    }

    fn shown(&self) -> impl Iterator<Item = (&Row, &Report)> {
        self.rows.iter().filter_map(|row| Some((row, row.best()?)))
    }

    /// The floor that fits a load: single packets, or frames' packets together.
    fn floor_us(&self, report: &Report) -> f64 {
        let floors = self.floors.iter();
        let of = |floor: &Floor| match report.load.fps {
            0 => floor.single_us(),
            _ => floor.burst_us(),
        };
        floors.map(of).fold(f64::INFINITY, f64::min)
    }
}

fn cost_text(report: &Report) -> String {
    let cost = report.server.as_ref().map_or(0.0, |server| server.us_per_packet);
    let mark = if report.packets.saturated { " (saturated)" } else { "" };
    format!("{cost:.2}{mark}")
}

fn video_text(report: &Report) -> String {
    let kbps = report.load.video_bps / 1_000;
    match report.load.fps {
        0 => format!("{kbps} kbit/s paced"),
        fps => format!("{kbps} kbit/s, {fps} fps bursts"),
    }
}

fn delivered_text(report: &Report) -> String {
    let mark = if report.packets.saturated { ", saturated" } else { "" };
    format!("{:.3} %{mark}", report.packets.delivered_percent)
}

/// Replaces what stands between the markers; everything else is written by people.
fn write_document(path: &Path, tables: &str) -> anyhow::Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    fs::write(path, replace_between_markers(&text, tables)?)?;
    Ok(())
}

fn replace_between_markers(text: &str, tables: &str) -> anyhow::Result<String> {
    let Some((before, rest)) = text.split_once(MARKER_BEGIN) else {
        bail!("the document lacks {MARKER_BEGIN}");
    };
    let Some((_, after)) = rest.split_once(MARKER_END) else {
        bail!("the document lacks {MARKER_END}");
    };
    Ok(format!("{before}{MARKER_BEGIN}\n\n{}\n\n{MARKER_END}{after}", tables.trim_end()))
}

const fn broadcast(subscribers: usize, video_bps: u64, fps: u64) -> Case {
    Case { shape: Shape::Broadcast { publishers: 1, subscribers }, video_bps, fps }
}

const fn meeting(participants: usize, video_bps: u64, fps: u64) -> Case {
    Case { shape: Shape::Meeting { participants }, video_bps, fps }
}

const CASES: [Case; 8] = [
    broadcast(10, 2_000_000, 0),
    broadcast(10, 2_000_000, 30),
    broadcast(100, 2_000_000, 0),
    broadcast(100, 2_000_000, 30),
    broadcast(500, 300_000, 0),
    broadcast(500, 300_000, 30),
    meeting(10, 300_000, 0),
    meeting(10, 300_000, 30),
];

const MARKER_BEGIN: &str = "<!-- tables: begin, written by `rtc-load bench` -->";
const MARKER_END: &str = "<!-- tables: end -->";
const PACKET_BYTES: usize = 1_200;
const KEYFRAME_INTERVAL: Duration = Duration::from_secs(3);
const JOINS_PER_SECOND: u32 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_markers_is_replaced() {
        let text = format!("above\n{MARKER_BEGIN}\nold\n{MARKER_END}\nbelow\n");
        let new = replace_between_markers(&text, "| new |\n").unwrap();
        assert_eq!(new, format!("above\n{MARKER_BEGIN}\n\n| new |\n\n{MARKER_END}\nbelow\n"));
        assert_eq!(replace_between_markers(&new, "| new |\n").unwrap(), new);
        assert!(replace_between_markers("no markers", "").is_err());
        assert!(replace_between_markers(MARKER_BEGIN, "").is_err());
    }
}
