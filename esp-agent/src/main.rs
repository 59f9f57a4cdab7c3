//! `esp-agent`: see `esp-agent --help`.

use esp_agent::{cli::Cli, cmd, failure::Failure, log};
use std::io::ErrorKind;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse_or_exit_code(std::env::args_os());
    let cli = match cli {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    log::init(cli.global.log_format);
    match cmd::dispatch(cli) {
        Ok(code) => code,
        // Whoever read our output has seen enough, as in `esp-agent status | head`.
        Err(Failure::Output(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{failure:#}");
            failure.exit_code()
        }
    }
}
