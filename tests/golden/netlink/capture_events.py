#!/usr/bin/env python3
"""Writes event_NAME.hex: the multicast messages of this kernel's XFRM, one datagram each.

Run as root with `unshare --net ./capture_events.py`.
"""
import pathlib
import platform
import socket
import struct
import subprocess

NETLINK_XFRM = 6
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP = 270, 1
KINDS = {0x11: "delsa", 0x13: "newpolicy", 0x14: "delpolicy", 0x17: "acquire", 0x18: "expire", 0x19: "updpolicy",
         0x1b: "polexpire", 0x1c: "flushsa", 0x1d: "flushpolicy"}
POLICY = "src 0.0.0.0/0 dst 192.168.2.0/24 dir out"
TEMPLATE = "mark 0x5 mask 0xf if_id 42 tmpl src 10.55.55.1 dst 10.66.66.1 proto esp reqid 7 mode tunnel"
LARVA = "state allocspi src fd00::1 dst fd00::2 proto esp reqid 5 mode tunnel mark 0x5 mask 0xf min 0x1000 max 0x1000"


def ip(arguments):
    subprocess.run(["ip", *arguments.split()], check=True, stdout=subprocess.DEVNULL)


def send_a_packet():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("10.55.55.1", 0))
        try:
            sender.sendto(b"x", ("192.168.2.1", 9))
        except OSError:
            pass  # There is no SA, and nobody to bring one.


pathlib.Path("/proc/sys/net/core/xfrm_acq_expires").write_text("1")
events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_XFRM)
events.bind((0, 0))
for group in (1, 2, 3, 4):
    events.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
events.settimeout(5)
for command in ("link add v0 type veth peer name v1", "link set v0 up", "addr add 10.55.55.1/24 dev v0",
                "route add 192.168.2.0/24 dev v0"):
    ip(command)
ip(f"xfrm policy add {POLICY} {TEMPLATE}")
ip(f"xfrm policy delete {POLICY} mark 0x5 mask 0xf if_id 42")
ip(f"xfrm policy add {POLICY} tmpl src 10.55.55.1 dst 10.66.66.1 proto esp reqid 7 mode tunnel")
send_a_packet()
ip(f"xfrm policy update {POLICY} limit time-hard 1 {TEMPLATE}")
ip(f"xfrm {LARVA}")
seen = {}
while not {"polexpire", "expire", "acquire", "delpolicy"} <= seen.keys():
    datagram = events.recv(65536)
    seen.setdefault(KINDS[struct.unpack_from("=H", datagram, 4)[0]], datagram)
ip(f"xfrm {LARVA}")
ip("xfrm state delete src fd00::1 dst fd00::2 proto esp spi 0x1000 mark 0x5 mask 0xf")
ip(f"xfrm {LARVA}")
ip("xfrm state flush")
ip("xfrm policy flush")
while "flushpolicy" not in seen:
    datagram = events.recv(65536)
    seen.setdefault(KINDS[struct.unpack_from("=H", datagram, 4)[0]], datagram)
release = platform.release().split("-")[0]
for name, datagram in seen.items():
    digits = datagram.hex()
    rows = "\n".join(digits[at:at + 64] for at in range(0, len(digits), 64))
    pathlib.Path(f"event_{name}.hex").write_text(f"# Linux {release}\n{rows}\n")
