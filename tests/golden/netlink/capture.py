#!/usr/bin/env python3
"""Writes NAME.hex for each line `NAME: COMMAND` of commands.txt: the netlink message that iproute2 sends.

Run as `unshare --net ./capture.py` with strace and iproute2 installed. The kernel may refuse the message;
only what is sent counts. The sequence number is stored as zero.
"""
import pathlib
import re
import shlex
import struct
import subprocess

KINDS = {"XFRM_MSG_NEWSA": 0x10, "XFRM_MSG_DELSA": 0x11, "XFRM_MSG_NEWPOLICY": 0x13, "XFRM_MSG_DELPOLICY": 0x14,
         "XFRM_MSG_UPDPOLICY": 0x19, "XFRM_MSG_UPDSA": 0x1a, "XFRM_MSG_GETSA": 0x12, "XFRM_MSG_SETDEFAULT": 0x27,
         "XFRM_MSG_GETDEFAULT": 0x28}
FLAGS = {"NLM_F_REQUEST": 1, "NLM_F_ACK": 4}
MESSAGE = re.compile(r'nlmsg_len=(\d+), nlmsg_type=(\w+), nlmsg_flags=([\w|]+), nlmsg_seq=\d+, nlmsg_pid=(\d+)\}, "([^"]*)"')


def message(command):
    trace = ["strace", "-e", "trace=sendmsg", "-xx", "-s", "8192", *shlex.split(command)]
    seen = subprocess.run(trace, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, check=False).stderr
    length, kind, flags, pid, body = [found for found in MESSAGE.findall(seen) if found[1] in KINDS][0]
    flags = sum(FLAGS[flag] for flag in flags.split("|"))
    header = struct.pack("=IHHII", int(length), KINDS[kind], flags, 0, int(pid))
    data = header + bytes.fromhex(body.replace("\\x", ""))
    assert len(data) == int(length)
    return data


version = subprocess.run(["ip", "-V"], capture_output=True, text=True, check=True).stdout.strip()
for line in pathlib.Path("commands.txt").read_text().splitlines():
    name, command = line.split(": ", 1)
    digits = message(command).hex()
    rows = "\n".join(digits[at:at + 64] for at in range(0, len(digits), 64))
    pathlib.Path(f"{name}.hex").write_text(f"# {command}\n# {version}\n{rows}\n")
