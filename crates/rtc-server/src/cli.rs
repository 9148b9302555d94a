//! The command line.

mod app;

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::json;

use crate::{
    config::{self, Config, ConfigError, Overrides},
    logs,
    output::{Failure, Format},
    server,
};

/// Self-hosted audio and video rooms for LiveKit clients: one binary, no configuration needed.
#[derive(Debug, Parser)]
#[command(name = "sparkrtc", version)]
pub(crate) struct Cli {
    #[command(flatten)]
    serve: ServeArgs,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server (also without a command)
    Serve(ServeArgs),
    /// Create, list and change apps, and make tokens for them
    #[command(subcommand)]
    App(app::AppCommand),
    /// Check or show the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the version
    Version,
}

/// Options of every command.
#[derive(Debug, Args)]
struct PlaceArgs {
    /// Configuration file (TOML); see docs/config.md
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Directory of database, token and certificate [default: sparkrtc-data]
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
    /// Print results and errors as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Clone, Debug, Default, Args)]
struct ServeArgs {
    /// Address of pages, API and signalling; port 0 takes free ports [default: 127.0.0.1:7880]
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// Address and first port of media [default: that of --http, port 7882]
    #[arg(long, value_name = "ADDR")]
    media: Option<SocketAddr>,
    /// Serve https with a certificate made here
    #[arg(long, value_name = "HOW")]
    tls: Option<TlsChoice>,
    /// For development on one machine: also accept the key pair devkey/secret
    #[arg(long)]
    dev: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TlsChoice {
    /// Self-signed, kept in the data directory
    #[value(name = "self")]
    SelfSigned,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say whether the configuration is good
    Check(ServeArgs),
    /// Show the whole configuration as it applies, without its secrets
    Print(ServeArgs),
    /// Print the description of every key, as in docs/config.md
    Docs,
}

impl ServeArgs {
    fn is_given(&self) -> bool {
        self.http.is_some() || self.media.is_some() || self.tls.is_some() || self.dev
    }

    /// These options, and where they are silent, those that stood before the command.
    fn or(self, before: Self) -> Self {
        Self {
            http: self.http.or(before.http),
            media: self.media.or(before.media),
            tls: self.tls.or(before.tls),
            dev: self.dev || before.dev,
        }
    }
}

impl Cli {
    /// How results are to be printed.
    pub(crate) fn format(&self) -> Format {
        if self.place.json { Format::Json } else { Format::Text }
    }

    /// Does what was asked.
    ///
    /// # Errors
    /// A [`Failure`] to print.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let format = self.format();
        let Self { serve, place, command } = self;
        let command = command.unwrap_or_else(|| Command::Serve(ServeArgs::default()));
        if serve.is_given() && matches!(command, Command::App(_) | Command::Version) {
            let message = "--http, --media, --tls and --dev are options of the server";
            return Err(Failure::new("usage", message, "Leave them away with this command."));
        }
        match command {
            Command::Serve(args) => {
                let config = load(&place, &args.or(serve))?;
                logs::start(&config.log)?;
                runtime()?.block_on(server::run(config))
            }
            Command::App(command) => {
                let config = load(&place, &ServeArgs::default())?;
                runtime()?.block_on(command.run(&config, format))
            }
            Command::Config(ConfigCommand::Check(args)) => {
                check(&load(&place, &args.or(serve))?, format)
            }
            Command::Config(ConfigCommand::Print(args)) => {
                print(&load(&place, &args.or(serve))?, format)
            }
            Command::Config(ConfigCommand::Docs) => {
                let page = config::docs_page();
                format.print(&page, &json!({ "markdown": page })).map_err(|e| closed(&e))
            }
            Command::Version => {
                let version = env!("CARGO_PKG_VERSION");
                let json = json!({ "name": "sparkrtc", "version": version });
                format.print(&format!("sparkrtc {version}"), &json).map_err(|e| closed(&e))
            }
        }
    }
}

fn load(place: &PlaceArgs, serve: &ServeArgs) -> Result<Config, Failure> {
    let overrides = Overrides {
        file: place.config.clone(),
        data_dir: place.data_dir.clone(),
        http: serve.http,
        media: serve.media,
        tls_self: serve.tls == Some(TlsChoice::SelfSigned),
        dev: serve.dev,
    };
    let unusable = |e: ConfigError| Failure::from_error("config_invalid", &e, e.advice());
    config::load(&overrides).map_err(unusable)
}

fn check(config: &Config, format: Format) -> Result<(), Failure> {
    let warnings = config.warnings();
    let mut text = "The configuration is good.".to_owned();
    for warning in &warnings {
        text.push_str("\nwarning: ");
        text.push_str(warning);
    }
    format.print(&text, &json!({ "ok": true, "warnings": warnings })).map_err(|e| closed(&e))
}

fn print(config: &Config, format: Format) -> Result<(), Failure> {
    let unprintable =
        |e: &dyn std::error::Error| Failure::from_error("internal", e, "Report this.");
    let text = toml::to_string(config).map_err(|e| unprintable(&e))?;
    let json = serde_json::to_value(config).map_err(|e| unprintable(&e))?;
    format.print(&text, &json).map_err(|e| closed(&e))
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::from_error("threads", &e, "Raise the limit on threads and files."))
}

/// Standard output was closed before everything was printed.
fn closed(error: &std::io::Error) -> Failure {
    Failure::from_error("output_closed", error, "Keep the reader of the output running.")
}
