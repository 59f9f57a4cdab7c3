//! Every option of `ip xfrm state` and `ip xfrm policy`, and what it is called here: the table of docs/options.md.
//!
//! A test compares the keys with those that the configuration takes, so that none can be missing.

use super::algo;

/// An option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OptionRow {
    /// Its table in the configuration, such as `sa` or `sa.lifetime`.
    pub table: &'static str,
    /// Its key; empty when there is none.
    pub key: &'static str,
    /// The words of `ip xfrm`.
    pub ip: &'static str,
    /// Since which kernel, or why there is no key.
    pub note: &'static str,
}

const fn row(table: &'static str, key: &'static str, ip: &'static str, note: &'static str) -> OptionRow {
    OptionRow { table, key, ip, note }
}

/// All of them; what every supported kernel has (6.1 and later) has no note.
pub const OPTIONS: &[OptionRow] = &[
    row("sa", "src", "src", ""),
    row("sa", "dst", "dst", ""),
    row("sa", "protocol", "proto esp, ah, comp", ""),
    row("sa", "spi", "spi", ""),
    row("sa", "mode", "mode transport, tunnel, beet", ""),
    row("sa", "reqid", "reqid", ""),
    row("sa", "aead", "aead NAME", ""),
    row("sa", "encryption", "enc NAME", ""),
    row("sa", "integrity", "auth NAME, auth-trunc NAME", ""),
    row("sa", "icv", "aead .. ICV-LEN, auth-trunc .. TRUNC-LEN", ""),
    row("sa", "compression", "comp NAME", ""),
    row("sa", "key", "aead .. KEY", "also key_file, key_credential"),
    row("sa", "encryption_key", "enc .. KEY", "also encryption_key_file, encryption_key_credential"),
    row("sa", "integrity_key", "auth .. KEY", "also integrity_key_file, integrity_key_credential"),
    row("sa", "replay_window", "replay-window", "up to 4096"),
    row("sa", "esn", "flag esn", ""),
    row("sa", "sequence", "replay-seq, replay-oseq, replay-seq-hi, replay-oseq-hi", ""),
    row("sa", "if_id", "if_id", ""),
    row("sa", "mark", "mark, mask", ""),
    row("sa", "output_mark", "output-mark, mask", ""),
    row("sa", "encap", "encap espinudp", ""),
    row("sa", "direction", "dir", "Linux 6.10"),
    row("sa", "flags", "flag, extra-flag", ""),
    row("sa", "selector", "sel", ""),
    row("sa", "lifetime", "limit", ""),
    row("sa", "tfc_pad", "tfcpad", ""),
    row("sa", "nat_keepalive", "no word", "Linux 6.11"),
    row("sa", "cpu", "pcpu-num", "Linux 6.13"),
    row("sa", "offload", "offload crypto, packet", "packet: Linux 6.2; needs a NIC that can"),
    row("sa", "tunnel", "no word", "the tunnel that its packets are counted for"),
    row("sa.selector", "src", "sel src", ""),
    row("sa.selector", "dst", "sel dst", ""),
    row("sa.selector", "protocol", "sel proto", ""),
    row("sa.selector", "sport", "sel sport", ""),
    row("sa.selector", "dport", "sel dport", ""),
    row("sa.selector", "icmp_type", "sel type", ""),
    row("sa.selector", "icmp_code", "sel code", ""),
    row("sa.selector", "gre_key", "sel key", ""),
    row("sa.selector", "", "sel dev", "read, never made"),
    row("sa.encap", "sport", "encap .. SPORT", "4500 unless it is named"),
    row("sa.encap", "dport", "encap .. DPORT", "4500 unless it is named"),
    row("sa.encap", "", "encap .. OADDR", "always 0.0.0.0"),
    row("sa.sequence", "sent", "replay-oseq, replay-oseq-hi", "one number of 64 bits with esn"),
    row("sa.sequence", "received", "replay-seq, replay-seq-hi", "one number of 64 bits with esn"),
    row("sa.offload", "interface", "offload dev", ""),
    row("sa.offload", "mode", "offload crypto, packet", "the direction is that of the SA"),
    row("sa.lifetime", "soft_bytes", "limit byte-soft", "a number, or text such as 10GiB"),
    row("sa.lifetime", "hard_bytes", "limit byte-hard", ""),
    row("sa.lifetime", "soft_packets", "limit packet-soft", ""),
    row("sa.lifetime", "hard_packets", "limit packet-hard", ""),
    row("sa.lifetime", "soft_time", "limit time-soft", "such as 50m"),
    row("sa.lifetime", "hard_time", "limit time-hard", ""),
    row("sa.lifetime", "soft_use_time", "limit time-use-soft", ""),
    row("sa.lifetime", "hard_use_time", "limit time-use-hard", ""),
    row("policy", "name", "no word", "what metrics and messages call it"),
    row("policy", "dir", "dir in, out, fwd", ""),
    row("policy", "src", "src", ""),
    row("policy", "dst", "dst", ""),
    row("policy", "protocol", "proto", ""),
    row("policy", "sport", "sport", ""),
    row("policy", "dport", "dport", ""),
    row("policy", "icmp_type", "type", ""),
    row("policy", "icmp_code", "code", ""),
    row("policy", "gre_key", "key", ""),
    row("policy", "interface", "dev", ""),
    row("policy", "action", "action allow, block", ""),
    row("policy", "priority", "priority", ""),
    row("policy", "flags", "flag localok, icmp", ""),
    row("policy", "lifetime", "limit", "as of an SA"),
    row("policy", "if_id", "if_id", ""),
    row("policy", "mark", "mark, mask", ""),
    row("policy", "template", "tmpl", "up to 6"),
    row("policy", "tunnel", "no word", "the tunnel that it belongs to"),
    row("default_policy", "in", "setdefault in", "all or none: what is not named accepts"),
    row("default_policy", "fwd", "setdefault fwd", ""),
    row("default_policy", "out", "setdefault out", ""),
    row("policy.template", "protocol", "tmpl proto", ""),
    row("policy.template", "mode", "tmpl mode", ""),
    row("policy.template", "src", "tmpl src", ""),
    row("policy.template", "dst", "tmpl dst", ""),
    row("policy.template", "spi", "tmpl spi", ""),
    row("policy.template", "reqid", "tmpl reqid", ""),
    row("policy.template", "level", "tmpl level", ""),
    row(
        "sa",
        "",
        "mode ro, in_trigger; proto route2, hao; coa",
        "Mobile IPv6 daemons make them; read, never made",
    ),
    row("sa", "", "mode iptfs", "Linux 6.14; read, never made"),
    row("sa", "", "seq", "the number of an acquire: a daemon's; not made"),
    row("sa", "", "ctx", "not read, not made: needs a label from SELinux"),
    row("sa", "", "encap espinudp-nonike, espintcp", "read, never made"),
    row("policy", "", "ptype sub", "left alone: Mobile IPv6 daemons make them"),
    row("policy", "", "dir in, out of a socket", "left alone: they are their program's"),
    row("policy", "", "ctx", "not read, not made: needs a label from SELinux"),
    row("policy", "", "index", "chosen by the kernel; shown"),
    row("policy", "", "offload packet", "read, never made"),
];

/// The tables of docs/options.md.
#[must_use]
pub fn markdown() -> String {
    let options = OPTIONS.iter().map(|OptionRow { table, key, ip, note }| {
        let key = if key.is_empty() { "none".to_owned() } else { format!("`{key}`") };
        let table = if *table == "default_policy" { format!("[{table}]") } else { format!("[[{table}]]") };
        format!("| `{table}` | {key} | {ip} | {note} |\n")
    });
    let algorithms = algo::rows().into_iter().map(|algo::AlgoRow { key, name, key_bytes, icvs }| {
        format!("| `{key}` | `{name}` | {} | {} |\n", list(key_bytes), list(icvs))
    });
    let heads = [
        "| table | key | `ip xfrm` | since, or note |\n|---|---|---|---|\n",
        "\n| key | algorithm | key bytes | ICV bits |\n|---|---|---|---|\n",
    ];
    let [first, second] = heads.map(str::to_owned);
    [first].into_iter().chain(options).chain([second]).chain(algorithms).collect()
}

fn list<T: ToString>(numbers: &[T]) -> String {
    let texts: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}
