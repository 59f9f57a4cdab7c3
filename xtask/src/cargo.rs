//! cargo as a child of `cargo xtask`.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::{command, workspace};

/// A cargo command in the root of the work tree.
pub(crate) fn cargo(verb: &str) -> Command {
    let mut command = tidy(Command::new("cargo"));
    command.arg(verb).current_dir(workspace::root());
    command
}

/// Takes away what the outer `cargo run` set for xtask: build scripts that watch one of these
/// variables would otherwise run again on every change between `cargo` and `cargo xtask`.
pub(crate) fn tidy(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    for name in ["CARGO", "LD_LIBRARY_PATH"] {
        command.env_remove(name);
    }
    command.env("PATH", workspace::search_path());
    command
}

/// An executable that cargo built.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Executable {
    /// The target's name, as `esp-agent` or `t3_attach`.
    pub(crate) name: String,
    /// The program.
    pub(crate) path: PathBuf,
    /// The directory of its package.
    pub(crate) package: PathBuf,
    /// Whether it is a test program rather than a plain one.
    pub(crate) is_test: bool,
}

/// Shows and runs a building command; hands back the executables it names.
///
/// # Errors
/// The build fails.
pub(crate) fn executables(build: &mut Command) -> anyhow::Result<Vec<Executable>> {
    build.arg("--message-format=json-render-diagnostics").stdout(Stdio::piped());
    eprintln!("$ {}", command::line(build));
    let output = build.stderr(Stdio::inherit()).output().context("failed to start cargo")?;
    if !output.status.success() {
        bail!("failed: {} ({})", command::line(build), output.status);
    }
    parse(&String::from_utf8_lossy(&output.stdout))
}

/// Finds one executable by its target's name.
pub(crate) fn named<'a>(built: &'a [Executable], name: &str) -> anyhow::Result<&'a Executable> {
    built.iter().find(|built| built.name == name).with_context(|| format!("cargo built no executable {name}"))
}

fn parse(messages: &str) -> anyhow::Result<Vec<Executable>> {
    let mut found = Vec::new();
    for line in messages.lines() {
        let message: Value = serde_json::from_str(line).context("failed to read a message of cargo")?;
        if let (Some(path), Some(name), Some(manifest)) = (
            message.get("executable").and_then(Value::as_str),
            message.pointer("/target/name").and_then(Value::as_str),
            message.get("manifest_path").and_then(Value::as_str),
        ) {
            let package = PathBuf::from(manifest).parent().context("a manifest without a directory")?.into();
            let is_test = message.pointer("/profile/test").and_then(Value::as_bool).unwrap_or(false);
            found.push(Executable { name: name.into(), path: path.into(), package, is_test });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_executables_are_taken_from_the_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","manifest_path":"/p/Cargo.toml","target":{"name":"lib"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","manifest_path":"/p/Cargo.toml","target":{"name":"t3_x"},"profile":{"test":true},"executable":"/d/t3_x"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        let expected =
            Executable { name: "t3_x".into(), path: "/d/t3_x".into(), package: "/p".into(), is_test: true };
        assert_eq!(parse(messages).unwrap(), [expected]);
    }
}
