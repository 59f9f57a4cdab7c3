//! Log lines on standard error.

use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// How they look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Sets the log up. `ESP_AGENT_LOG` filters as in `info` (the default) or `esp_agent=debug`.
pub fn init(format: LogFormat) {
    let filter = EnvFilter::try_from_env("ESP_AGENT_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    let set = match format {
        LogFormat::Text => lines.with_target(false).try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    // Only a second call fails, and the first one's lines go on.
    set.unwrap_or_default();
}
