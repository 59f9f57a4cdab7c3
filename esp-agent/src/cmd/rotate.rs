//! `rotate`: asks the running agent for new keys of a tunnel, make before break.

use crate::cli::{Global, Rotate};
use crate::config::new_keys;
use crate::control::client::ask;
use crate::control::{Request, When};
use crate::failure::Failure;
use crate::keys::private;
use crate::{clock, probe};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// Asks, and prints what the agent says.
///
/// # Errors
/// The keys cannot be read, no agent runs, or it refuses.
pub fn rotate(global: &Global, args: &Rotate, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let tunnel = args.tunnel.clone();
    let request = match &args.keys {
        Some(path) => begin(args, path)?,
        None if args.switch => Request::Switch { tunnel },
        None if args.finish => Request::Finish { tunnel },
        None => Request::Cancel { tunnel },
    };
    probe::permitted()?;
    let answer = ask(&super::instance(global)?, &request)?;
    if answer.code != 0 {
        return Err(Failure::Answered(answer.code, answer.text));
    }
    writeln!(out, "{}", answer.text).map_err(Failure::Output)?;
    Ok(ExitCode::SUCCESS)
}

fn begin(args: &Rotate, path: &Path) -> Result<Request, Failure> {
    let text = private::read(path)?;
    let name = path.display().to_string();
    let keys = new_keys::parse(&text, path.parent().unwrap_or(Path::new("")), &name)?;
    if keys.tunnel != args.tunnel {
        return Err(Failure::Usage("the keys are for another tunnel: the file names it in `tunnel`"));
    }
    // The peer cannot have its keys yet: rather a time zone that was forgotten.
    if args.outbound_at.is_some_and(|when| matches!(when, When::At(ms) if ms <= clock::unix_ms())) {
        return Err(Failure::Usage("--outbound-at is past: give a time to come, or a span such as +10s"));
    }
    Ok(Request::Rotate {
        tunnel: keys.tunnel,
        local: keys.local,
        keying: Box::new(keys.keying),
        outbound: args.outbound_at.unwrap_or(When::Command),
        grace_ms: millis(args.grace),
    })
}

/// A time of day (RFC 3339), or a span behind a `+`.
///
/// # Errors
/// Neither.
pub fn when(text: &str) -> Result<When, String> {
    if let Some(span) = text.strip_prefix('+') {
        let span = humantime::parse_duration(span).map_err(|error| error.to_string())?;
        return Ok(When::After(millis(span)));
    }
    let time = humantime::parse_rfc3339(text);
    let time = time.map_err(|_| "must be a time such as 2026-05-01T02:00:00Z, or a span such as +10s")?;
    let since = time.duration_since(SystemTime::UNIX_EPOCH).map_err(|error| error.to_string())?;
    Ok(When::At(millis(since)))
}

/// Within what a clock can count from.
///
/// # Errors
/// No span, or one of more than a year.
pub fn grace(text: &str) -> Result<Duration, String> {
    let grace = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let year = Duration::from_secs(366 * 24 * 3600);
    if grace <= year { Ok(grace) } else { Err("must not be more than a year".to_owned()) }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_of_day_or_from_now() {
        assert_eq!(when("+1m 500ms").unwrap(), When::After(60_500));
        assert_eq!(when("1970-01-01T00:00:10Z").unwrap(), When::At(10_000));
        for text in ["", "+", "10s", "tomorrow", "1970-01-01", "+-1s"] {
            assert!(when(text).is_err(), "{text}");
        }
        assert!(grace("400d").is_err());
        assert_eq!(grace("10s").unwrap(), Duration::from_secs(10));
    }
}
