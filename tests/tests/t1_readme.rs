//! README.md says what the code does: its tables are made from the code, its example is a configuration without fault.
//!
//! `UPDATE_GOLDEN=1` writes the tables anew.

use clap::CommandFactory as _;
use esp_agent::{
    cli::{Cli, Command},
    cmd,
    config::{self, Config, new_keys},
    lint, metrics,
};
use esp_common::names;
use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")
}

fn readme() -> String {
    fs::read_to_string(path()).expect("README.md")
}

/// What is made from code, by the name that its marker has.
fn generated() -> [(&'static str, String); 6] {
    [
        ("verdicts", metrics::verdict_markdown()),
        ("metrics", metrics::markdown()),
        ("commands", commands()),
        ("options", options()),
        ("configuration", configuration()),
        ("lints", lint::markdown()),
    ]
}

#[test]
fn the_tables_are_those_of_the_code() {
    let mut text = readme();
    for (name, table) in generated() {
        let (head, _, tail) = parts(&text, &format!("<!-- generated: {name} -->\n"));
        text = format!("{head}{table}{tail}");
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path(), &text).expect("README.md is written");
    }
    assert_eq!(readme(), text, "run with UPDATE_GOLDEN=1 and look at the change");
}

#[test]
fn the_example_is_valid_and_nothing_is_said_against_it() {
    let config = example("<!-- example -->\n");
    assert_eq!(config.lints, []);
    assert_eq!((config.tunnels.len(), config.ifaces.len()), (1, 1));
}

#[test]
fn the_route_based_example_is_one() {
    let config = example("<!-- example: route -->\n");
    assert_eq!(config.lints, []);
    assert_eq!((config.desired().parts.len(), config.policies.len()), (3, 1));
}

fn example(marker: &str) -> Config {
    let text = readme();
    let (_, block, _) = parts(&text, marker);
    let toml = block.trim().strip_prefix("```toml").and_then(|rest| rest.strip_suffix("```"));
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join("keys")).expect("a directory for keys");
    for (index, name) in ["in.enc", "in.auth", "out.enc", "out.auth"].into_iter().enumerate() {
        // As `keygen` writes them: no two alike, without a pattern.
        let key: String =
            (0..32_usize).map(|at| format!("{:02x}", (at * at * 7 + index * 101 + 3) % 251)).collect();
        let path = dir.path().join(format!("keys/site-b.{name}"));
        fs::write(&path, key).expect("a key file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
    }
    let file = dir.path().join("esp-agent.toml");
    fs::write(&file, toml.expect("a block of TOML")).expect("the example");
    config::load(&file).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn the_pair_it_shows_is_valid_on_both_gateways() {
    let text = readme();
    let (_, block, _) = parts(&text, "<!-- example: pair -->\n");
    let line = block.trim().strip_prefix("```sh").and_then(|rest| rest.strip_suffix("```"));
    let dir = tempfile::tempdir().expect("a directory");
    let line = line.expect("a block of shell").replace("\\\n", " ");
    let line = line.replace("/etc/esp-agent", &dir.path().display().to_string());
    let cli = Cli::parse_or_exit_code(line.split_whitespace().map(Into::into));
    let Ok(Cli { command: Command::Pair(args), .. }) = cli else { panic!("{line}") };
    cmd::pair::pair(&args, &mut Vec::new()).unwrap_or_else(|failure| panic!("{failure}"));
    for name in ["left.toml", "right.toml"] {
        let config = config::load(&dir.path().join(name)).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!((config.tunnels.len(), config.ifaces.len()), (1, 1), "{name}");
    }
}

#[test]
fn the_rotation_it_shows_is_one() {
    let text = readme();
    let (_, block, _) = parts(&text, "<!-- example: rotate -->\n");
    let dir = tempfile::tempdir().expect("a directory");
    let block = block.replace("/root/new", &dir.path().display().to_string());
    let mut rotated = Vec::new();
    for line in block.lines().filter(|line| line.starts_with("esp-agent")) {
        let words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Ok(cli) = Cli::parse_or_exit_code(words.map(Into::into)) else { panic!("{line}") };
        if let Command::Pair(args) = &cli.command {
            cmd::pair::pair(args, &mut Vec::new()).unwrap_or_else(|failure| panic!("{failure}"));
        } else if let Command::Rotate(args) = &cli.command {
            let text = fs::read_to_string(args.keys.as_deref().expect("keys")).expect("a file of the pair");
            let keys = new_keys::parse(&text, dir.path(), "keys").unwrap_or_else(|errors| panic!("{errors}"));
            assert_eq!(keys.tunnel, args.tunnel);
            rotated.push(keys);
        }
    }
    let [left, right] = rotated.as_slice() else { panic!("two gateways") };
    assert_eq!(left.keying.inbound, right.keying.outbound);
    assert_eq!(left.keying.outbound, right.keying.inbound);
}

#[test]
fn every_file_it_names_is_there() {
    let text = readme();
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let mut count = 0;
    for target in targets.filter(|target| !target.contains("://")) {
        assert!(path().with_file_name(target).exists(), "{target}");
        count += 1;
    }
    assert!(count > 3, "{count} files are named");
}

#[test]
fn its_limits_are_those_of_the_code() {
    let text = readme();
    for limit in [
        format!("At most {} policies in each direction", thousands(names::RULES)),
        format!("{} selectors\n", names::INNER_RULES_PER_SA),
        format!("at most {} interfaces", names::IFACES),
        format!("the {} busiest flows", thousands(metrics::SPI_SERIES as u32)),
        format!("share a table of {}", thousands(names::GHOSTS)),
    ] {
        assert!(text.contains(&limit), "{limit}");
    }
}

/// A number from 1,000 to 999,999.
fn thousands(number: u32) -> String {
    format!("{},{:03}", number / 1000, number % 1000)
}

/// The text up to the end of `marker`, from there to the closing marker, and from that on.
fn parts<'a>(text: &'a str, marker: &str) -> (&'a str, &'a str, &'a str) {
    let start = text.find(marker).unwrap_or_else(|| panic!("no {marker}")) + marker.len();
    let len = text[start..].find("<!-- end -->").unwrap_or_else(|| panic!("no end of {marker}"));
    (&text[..start], &text[start..start + len], &text[start + len..])
}

fn commands() -> String {
    let mut table = String::from("| command | what it does |\n|---|---|\n");
    for command in Cli::command().get_subcommands() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        writeln!(table, "| `esp-agent {}` | {about} |", command.get_name()).expect("a string takes it");
    }
    table
}

fn options() -> String {
    let cli = Cli::command();
    let run = cli.find_subcommand("run").expect("run");
    let mut table = String::from("| option | environment | default | meaning |\n|---|---|---|---|\n");
    for option in cli.get_arguments().chain(run.get_arguments()).filter(|option| option.get_env().is_some()) {
        let names = option.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
        let names = format!("{names}--{}", option.get_long().expect("a long name"));
        let env = option.get_env().unwrap_or_default().to_string_lossy();
        let takes_value = option.get_action().takes_values();
        let defaults: Vec<_> = option.get_default_values().iter().filter(|_| takes_value).collect();
        let default = defaults.first().map(|value| format!("`{}`", value.display())).unwrap_or_default();
        let meaning = meaning(option);
        writeln!(table, "| `{names}` | `{env}` | {default} | {meaning} |").expect("a string takes it");
    }
    table
}

/// The help text and, for an option with a choice, what may be chosen.
fn meaning(option: &clap::Arg) -> String {
    let help = option.get_help().map(ToString::to_string).unwrap_or_default();
    if !option.get_action().takes_values() {
        return help;
    }
    let choices: Vec<String> =
        option.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    if choices.is_empty() { help } else { format!("{help}: {}", choices.join(", ")) }
}

/// The file with all keys, as the configuration's own documentation has it.
fn configuration() -> String {
    let source = include_str!("../../esp-agent/src/config.rs");
    let docs: Vec<&str> = source.lines().filter_map(|line| line.strip_prefix("//!")).collect();
    let lines = docs.iter().map(|line| line.strip_prefix(' ').unwrap_or(line));
    let block = lines.skip_while(|line| *line != "```toml").skip(1).take_while(|line| *line != "```");
    let body: Vec<&str> = block.collect();
    assert!(!body.is_empty(), "the documentation of config.rs has a block of TOML");
    format!("```toml\n{}\n```\n", body.join("\n"))
}
