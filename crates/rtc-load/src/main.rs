//! Command line of the load generator.

use std::{
    io::{Write, stderr, stdout},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rtc_load::{
    bench::Bench,
    client::{Encodings, PublishPlan, VideoPlan},
    floor::Floor,
    run::{self, Load, Shape},
    token::TokenSource,
};

/// Loads a SparkRTC server with real WebRTC clients and measures what forwarding costs it.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Action>,
    #[command(flatten)]
    load: LoadArgs,
    /// Prints one JSON object instead of text.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Action {
    /// Runs the published matrix against servers of its own and writes docs/benchmarks.md.
    Bench(BenchArgs),
    /// Measures the least a forwarded packet can cost on this machine.
    Floor,
}

#[derive(Args)]
struct LoadArgs {
    /// The running server.
    #[arg(long, default_value = "http://127.0.0.1:7880")]
    url: String,
    /// The room to fill.
    #[arg(long, default_value = "load")]
    room: String,
    /// ID of the app whose key signs the tokens.
    #[arg(long, default_value = "devkey")]
    api_key: String,
    /// Private key of the app.
    #[arg(long, default_value = "secret")]
    api_secret: String,
    /// A ready token, one for each client (publishers first), instead of a key.
    #[arg(long = "token")]
    tokens: Vec<String>,
    /// Clients that only publish.
    #[arg(long, default_value_t = 1)]
    publishers: usize,
    /// Clients that only receive.
    #[arg(long, default_value_t = 10)]
    subscribers: usize,
    /// Clients that all publish and all receive each other, instead of publishers and subscribers.
    #[arg(long, value_name = "N")]
    meeting: Option<usize>,
    /// RTP payload bits per second of each video; 0 for sound only.
    #[arg(long, default_value_t = 2_000_000)]
    video_bps: u64,
    /// Frames per second; 0 for evenly paced single packets.
    #[arg(long, default_value_t = 30)]
    fps: u64,
    /// RTP payload bytes of video packets.
    #[arg(long, default_value_t = 1_200)]
    packet_bytes: usize,
    /// Seconds between keyframes that nobody asked for.
    #[arg(long, default_value_t = 3)]
    keyframe_interval: u64,
    /// Publishes video in three encodings.
    #[arg(long)]
    simulcast: bool,
    /// Publishes no sound.
    #[arg(long)]
    no_audio: bool,
    /// Seconds measured.
    #[arg(long, default_value_t = 10)]
    duration: u64,
    /// Seconds between the first packet everywhere and the measurement.
    #[arg(long, default_value_t = 2)]
    warm_up: u64,
    /// Process of the server, for processor time and memory.
    #[arg(long)]
    server_pid: Option<u32>,
    /// Media port of the server, to look for datagrams dropped at its sockets.
    #[arg(long = "server-port")]
    server_ports: Vec<u16>,
    /// Packet threads of the generator.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Most joins begun per second.
    #[arg(long, default_value_t = 50)]
    joins_per_second: u32,
}

#[derive(Args)]
struct BenchArgs {
    /// The server's binary; build it with --release.
    #[arg(long, default_value = "target/release/sparkrtc")]
    server: PathBuf,
    /// Seconds measured in every run.
    #[arg(long, default_value_t = 10)]
    duration: u64,
    /// Seconds before every measurement.
    #[arg(long, default_value_t = 2)]
    warm_up: u64,
    /// Packet threads of the generator.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Times every load is run.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Only loads whose name contains this, such as `100` or `meeting`.
    #[arg(long)]
    only: Option<String>,
    /// The document whose tables are replaced.
    #[arg(long, default_value = "docs/benchmarks.md")]
    document: PathBuf,
    /// Leaves the document alone.
    #[arg(long)]
    no_document: bool,
}

impl LoadArgs {
    fn load(self) -> Load {
        let tokens = if self.tokens.is_empty() {
            TokenSource::Key { api_key: self.api_key, api_secret: self.api_secret }
        } else {
            TokenSource::Given(self.tokens)
        };
        let shape = match self.meeting {
            Some(participants) => Shape::Meeting { participants },
            None => Shape::Broadcast { publishers: self.publishers, subscribers: self.subscribers },
        };
        let encodings = if self.simulcast { Encodings::Simulcast } else { Encodings::One };
        let video = VideoPlan {
            bitrate_bps: self.video_bps,
            fps: self.fps,
            packet_bytes: self.packet_bytes,
            keyframe_interval: Duration::from_secs(self.keyframe_interval),
            encodings,
        };
        Load {
            url: self.url,
            room: self.room,
            tokens,
            shape,
            media: PublishPlan {
                audio: !self.no_audio,
                video: (self.video_bps > 0).then_some(video),
            },
            warm_up: Duration::from_secs(self.warm_up),
            duration: Duration::from_secs(self.duration),
            server_pid: self.server_pid,
            server_ports: self.server_ports,
            threads: self.threads,
            joins_per_second: self.joins_per_second,
        }
    }
}

impl BenchArgs {
    fn bench(self) -> Bench {
        Bench {
            server: self.server,
            duration: Duration::from_secs(self.duration),
            warm_up: Duration::from_secs(self.warm_up),
            threads: self.threads,
            rounds: self.rounds,
            only: self.only,
            document: (!self.no_document).then_some(self.document),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match execute(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without standard error there is nobody to tell.
            drop(writeln!(stderr(), "rtc-load: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn execute(cli: Cli) -> anyhow::Result<()> {
    raise_file_limit()?;
    let (text, json) = match cli.command {
        Some(Action::Bench(args)) => {
            let quiet = cli.json;
            let results = args
                .bench()
                .run(|line| {
                    if !quiet {
                        drop(writeln!(stdout(), "{line}"));
                    }
                })
                .await?;
            (results.tables()?, serde_json::to_string(&results)?)
        }
        Some(Action::Floor) => {
            let floor = Floor::measure()?;
            (format!("{floor:#?}\n"), serde_json::to_string(&floor)?)
        }
        None => {
            let report = run::play(&cli.load.load()).await?;
            (report.to_string(), serde_json::to_string(&report)?)
        }
    };
    let output = if cli.json { json + "\n" } else { text };
    stdout().write_all(output.as_bytes()).context("writing the result")
}

/// Every client takes two file descriptors; the customary limit of 1024 would end at 500.
fn raise_file_limit() -> anyhow::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("raising the limit of open files")
}
