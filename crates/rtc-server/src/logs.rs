//! The log: on standard error, as text or JSON.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::{
    config::{LogConfig, LogFormat},
    output::Failure,
};

/// Starts the log, and makes panics lines of it.
///
/// # Errors
/// When `log.level` is not a filter.
pub(crate) fn start(config: &LogConfig) -> Result<(), Failure> {
    let filter = EnvFilter::builder().parse(&config.level).map_err(|e| {
        let advice = "Use error, warn, info, debug or trace, or part=level with commas.";
        Failure::from_error("config_invalid", &e, advice)
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match config.format {
        LogFormat::Text => builder.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().init(),
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let reason = panic.payload_as_str().unwrap_or("no reason given");
        tracing::error!(place, reason, "a part of the server panicked");
    }));
    Ok(())
}
