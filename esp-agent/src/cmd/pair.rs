//! `pair`: the files of both gateways at once.

use crate::cli::Pair;
use crate::config;
use crate::failure::Failure;
use crate::pair::{Files, Side, Site, Ways, gateway, rotation, write};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use zeroize::Zeroizing;

/// Writes both files and says what to do with them.
///
/// # Errors
/// What was asked for is no valid tunnel, a file is there already, or one cannot be written.
pub fn pair(args: &Pair, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let files = Files { left: args.out.join(&args.left_file), right: args.out.join(&args.right_file) };
    if files.left == files.right {
        return Err(Failure::Usage("both gateways would have one file: give --left-file and --right-file"));
    }
    let ways = Ways::fresh(args.suite).map_err(|error| Failure::Task("random bytes", error.into()))?;
    let [left, right] = match &args.rotate {
        Some(tunnel) => rotations(args, tunnel, &ways)?,
        None => gateways(args, &ways, &files)?,
    };
    write(&files, &left, &right)?;
    let told = match &args.rotate {
        Some(tunnel) => tell_rotation(tunnel, args, &files, out),
        None => tell(args, &files, out),
    };
    told.map_err(Failure::Output)?;
    Ok(ExitCode::SUCCESS)
}

/// What is written must be valid: the configuration's own checks say what was wrong with the arguments.
fn gateways(args: &Pair, ways: &Ways, files: &Files) -> Result<[Zeroizing<String>; 2], Failure> {
    let of = |own: &Option<String>| own.clone().or_else(|| args.interface.clone());
    let site = Site {
        name: args.name.clone().unwrap_or_default(),
        suite: args.suite,
        ends: [args.left, args.right],
        nets: [args.left_nets.clone(), args.right_nets.clone()],
        ifaces: [of(&args.left_interface), of(&args.right_interface)],
        encap: args.encap,
    };
    let texts = [gateway(&site, ways, Side::Left), gateway(&site, ways, Side::Right)];
    for (text, path) in texts.iter().zip([&files.left, &files.right]) {
        config::parse(text, Path::new(""), &path.display().to_string())?;
    }
    Ok(texts)
}

fn rotations(args: &Pair, tunnel: &str, ways: &Ways) -> Result<[Zeroizing<String>; 2], Failure> {
    let ends = [args.left, args.right];
    let text = |side| rotation(tunnel, ends, args.suite, ways, side);
    Ok([text(Side::Left), text(Side::Right)])
}

fn tell(args: &Pair, files: &Files, out: &mut dyn Write) -> std::io::Result<()> {
    for (addr, path) in [(args.left, &files.left), (args.right, &files.right)] {
        let path = path.display();
        writeln!(out, "{path}: for {addr}; run it there: esp-agent run -c {path}")?;
    }
    Ok(())
}

fn tell_rotation(tunnel: &str, args: &Pair, files: &Files, out: &mut dyn Write) -> std::io::Result<()> {
    for (addr, path) in [(args.left, &files.left), (args.right, &files.right)] {
        let path = path.display();
        writeln!(out, "{path}: for {addr}; run it there: esp-agent rotate {tunnel} --keys {path}")?;
    }
    Ok(())
}
