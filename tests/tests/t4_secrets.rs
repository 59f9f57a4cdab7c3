//! No key is ever shown: a whole life of an agent with real SAs, its log at its loudest, and nothing in any of it.

use anyhow::{Context, Result, ensure};
use esp_tests::{
    lab::{Gateway, Lab, Mode, Outer, Side, Suite, Tunnel},
    monitor::{Lines, Monitor},
};
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

#[test]
#[ignore = "T4: root, ESP, on the newest kernel"]
fn no_output_holds_a_key() -> Result<()> {
    let lab = Lab::new()?;
    let suites = [Suite::Cbc128, Suite::Gcm];
    let [first, second] = [0, 1].map(|index| Tunnel::new(Outer::V4, suites[index], Mode::Tunnel));
    let (first, second) = (first?, second?);
    let mut heard = Heard::default();
    let mut gateway = Gateway::new(&lab, Side::A, &first.config(Side::A, ""))?;
    for args in [&["plan"][..], &["plan", "--json"], &["check"], &["check", "--json"]] {
        heard.command(&gateway, args, true)?;
    }
    gateway.start_loudest()?;
    heard.file("the command line", &format!("/proc/{}/cmdline", gateway.agent()?.pid()))?;
    heard.file("the environment", &format!("/proc/{}/environ", gateway.agent()?.pid()))?;
    unlimited(&gateway)?;
    let (_monitor, stdout) = Monitor::start(&gateway.netns, &["--json", "--progress"])?;
    let lines = Lines::of(stdout);
    lines.subscribed(&gateway.netns)?;
    gateway.reload(&second.config(Side::A, ""))?;
    // A file that is refused, with the key in a place where none belongs.
    let broken = second.config(Side::A, "").replacen("spi = ", "spy = ", 1);
    gateway.reload_refused(&broken)?;
    heard.add("the scrape", gateway.agent()?.get("/metrics")?.1);
    for args in [&["status"][..], &["status", "--json"]] {
        heard.command(&gateway, args, false)?;
    }
    heard.command(&gateway, &["check"], true)?;
    let dir = tempfile::tempdir()?;
    let mut keys: Vec<String> = [&first, &second].into_iter().flat_map(Tunnel::keys).collect();
    dumped(&gateway, dir.path(), &mut heard)?;
    keys.extend(made(&gateway, dir.path(), &mut heard)?);
    keys.extend(rotated(&gateway, dir.path(), &mut heard)?);
    for event in ["sa_new", "sa_delete"] {
        heard.add("the monitor", lines.of_event(event)?.to_string());
    }
    heard.tree(&gateway)?;
    let mut agent = gateway.take_agent()?;
    ensure!(agent.stop()? == 0, "{}", agent.log());
    heard.add("the log", agent.log());
    heard.command(&gateway, &["status"], false)?;
    heard.command(&gateway, &["detach"], false)?;
    ensure!(agent.log().contains("+ sa"), "the log does not say what was installed: {}", agent.log());
    keys.iter().try_for_each(|key| heard.lacks(key.trim_start_matches("0x")))
}

/// A crash leaves no core.
fn unlimited(gateway: &Gateway) -> Result<()> {
    let limits = fs::read_to_string(format!("/proc/{}/limits", gateway.agent()?.pid()))?;
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).context("no such limit")?;
    ensure!(core.split_whitespace().nth(4) == Some("0"), "{core}");
    Ok(())
}

/// The text of `ip xfrm` with the keys in it.
fn dumped(gateway: &Gateway, dir: &Path, heard: &mut Heard) -> Result<()> {
    let file = dir.join("dump");
    let states = gateway.netns.ip("xfrm state list")?;
    ensure!(states.contains("aead rfc4106(gcm(aes)) 0x"), "the dump has no key: {states}");
    fs::write(&file, states + &gateway.netns.ip("xfrm policy list")?)?;
    let file = file.to_str().context("a path")?;
    for args in [&["check", "--dump", file][..], &["check", "--json", "--dump", file]] {
        heard.command(gateway, args, false)?;
    }
    // A line that cannot be understood, with a key in it.
    fs::write(file, gateway.netns.ip("xfrm state list")?.replace("proto esp spi 0x", "proto esp spy 0x"))?;
    heard.command(gateway, &["check", "--dump", file], false)
}

/// Keys of `keygen`, which are in its file alone.
fn made(gateway: &Gateway, dir: &Path, heard: &mut Heard) -> Result<Vec<String>> {
    let file = dir.join("made.key");
    heard.command(
        gateway,
        &["keygen", "--suite", "aes-gcm-256", "--out", file.to_str().context("a path")?],
        false,
    )?;
    closed(&file)?;
    Ok(vec![fs::read_to_string(file)?.trim().to_owned()])
}

/// Keys of `pair --rotate`, in force after a rotation.
fn rotated(gateway: &Gateway, dir: &Path, heard: &mut Heard) -> Result<Vec<String>> {
    let [left, right] = Side::BOTH.map(|side| Outer::V4.server(side).to_string());
    let out = dir.to_str().context("a path")?;
    let ends = ["--left", &left, "--right", &right];
    let pair = [&["pair", "--rotate", "lab", "--suite", "aes-gcm-128", "--out", out], &ends[..]].concat();
    heard.command(gateway, &pair, false)?;
    let file = dir.join("left.toml");
    closed(&file)?;
    for args in
        [&["--grace", "1h", "--keys", file.to_str().context("a path")?][..], &["--switch"], &["--finish"]]
    {
        heard.command(gateway, &[&["rotate", "lab"], args].concat(), false)?;
    }
    heard.command(gateway, &["status", "--json"], false)?;
    let text = fs::read_to_string(&file)?;
    let keys: Vec<String> = text
        .split(|c: char| !c.is_ascii_hexdigit())
        .filter(|word| word.len() >= 40)
        .map(str::to_owned)
        .collect();
    let states = gateway.netns.ip("xfrm state list")?;
    ensure!(keys.len() == 2 && keys.iter().all(|key| states.contains(key)), "the new keys are not in force");
    Ok(keys)
}

fn closed(file: &Path) -> Result<()> {
    let mode = fs::metadata(file)?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "{} has mode {mode:o}", file.display());
    Ok(())
}

/// All that was said, with where.
#[derive(Default)]
struct Heard(Vec<(String, Vec<u8>)>);

impl Heard {
    fn add(&mut self, place: &str, said: impl Into<Vec<u8>>) {
        self.0.push((place.to_owned(), said.into()));
    }

    fn command(&mut self, gateway: &Gateway, args: &[&str], config: bool) -> Result<()> {
        let mut command = gateway.binary.command(&gateway.netns);
        command.args(args).env("ESP_AGENT_LOG", "trace");
        if config {
            command.arg("-c").arg(gateway.config_path());
        }
        let output = command.output().with_context(|| format!("failed to run {args:?}"))?;
        self.add(&args.join(" "), [output.stdout, output.stderr].concat());
        Ok(())
    }

    fn file(&mut self, place: &str, path: &str) -> Result<()> {
        let bytes = fs::read(path).with_context(|| format!("failed to read {path}"))?;
        self.add(place, bytes);
        Ok(())
    }

    /// What the agent keeps in the namespace's own /run, but for what must hold keys and is closed to others.
    fn tree(&mut self, gateway: &Gateway) -> Result<()> {
        let listing = gateway.netns.run_in(|| read_all(Path::new("/run/esp-agent")))?;
        ensure!(!listing.is_empty(), "there is no state to look at");
        self.0.extend(listing);
        Ok(())
    }

    /// In hex of both cases, in base64 and as bytes.
    fn lacks(&self, hex: &str) -> Result<()> {
        let bytes = const_hex::decode(hex).context("a key of the test is no hex")?;
        let forms = [hex.to_lowercase().into_bytes(), hex.to_uppercase().into_bytes(), base64(&bytes), bytes];
        for (place, said) in &self.0 {
            for form in &forms {
                let found = said.windows(form.len()).any(|window| window == form.as_slice());
                ensure!(!found, "a key stands in {place}");
            }
        }
        Ok(())
    }
}

fn read_all(dir: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(read_all(&path)?);
        } else if path.is_file() {
            files.push((path.display().to_string(), fs::read(&path)?));
        }
    }
    Ok(files)
}

/// Without padding, so that it is found inside of longer text too.
fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = bytes.chunks_exact(3).flat_map(|chunk| {
        let joined = chunk.iter().fold(0_usize, |joined, byte| joined << 8 | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| DIGITS[joined >> shift & 63])
    });
    digits.collect()
}
