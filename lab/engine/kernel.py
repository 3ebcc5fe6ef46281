"""
Try the kernel features that the lab needs, without leaving anything behind.

Runs as a process of its own (`python -m lab.engine.kernel FOLDER`), in network and mount
namespaces of its own: whatever it makes is gone when it ends. It prints the missing features as
JSON. A user who may not have namespaces gets none reported: a running engine is proof enough.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

LINKS = {
    "vxlan": "overlay networks of a Swarm (module vxlan)",
    "veth": "network of a container (module veth)",
    "bridge": "network of a container (module bridge)",
}
NFTABLES = "security groups (module nf_tables)"
OVERLAY = "image layers (module overlay, on the file system of the cache)"
CGROUPS = "limits of instance types (cgroup controllers cpu, memory and pids)"

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
MS_REC_PRIVATE = 0x4000 | 0x40000
REQUEST, ACK, CREATE_EXCLUSIVE = 1, 4, 0x600
RTM_NEWLINK, NLMSG_ERROR, NFT_MSG_GETGEN = 16, 2, (10 << 8) | 16
IFLA_IFNAME, IFLA_LINKINFO, IFLA_INFO_KIND, IFLA_INFO_DATA, IFLA_VXLAN_ID = 3, 18, 1, 2, 1
NETLINK_NETFILTER = 12


def missing_features(folder: Path) -> list[str]:
    """
    The features that the lab needs and this kernel lacks.
    """
    command = [sys.executable, "-m", "lab.engine.kernel", str(folder)]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    try:
        return [str(feature) for feature in json.loads(result.stdout)]
    except ValueError:
        lines = result.stderr.strip().splitlines()
        return [f"namespaces of its own ({lines[-1] if lines else 'no answer'})"]


def free_inotify_instances(most: int) -> int:
    """
    How many inotify instances this user may still open, up to `most`; opens and closes them.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    opened: list[int] = []
    try:
        while len(opened) < most and (descriptor := libc.inotify_init1(os.O_CLOEXEC)) >= 0:
            opened.append(descriptor)
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return len(opened)


def attribute(kind: int, data: bytes) -> bytes:
    """
    A netlink attribute: length, type, data, filled up to four bytes.
    """
    return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def new_link(kind: str) -> bytes:
    """
    The request to make a link of a kind, as `ip link add probe0 type KIND` sends it.
    """
    info = attribute(IFLA_INFO_KIND, kind.encode())
    if kind == "vxlan":
        info += attribute(IFLA_INFO_DATA, attribute(IFLA_VXLAN_ID, struct.pack("=I", 42)))
    body = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, 0, 0, 0)
    body += attribute(IFLA_IFNAME, b"probe0\0") + attribute(IFLA_LINKINFO, info)
    return message(RTM_NEWLINK, REQUEST | ACK | CREATE_EXCLUSIVE, body)


def message(kind: int, flags: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body


def _accepted(family: int, request: bytes) -> bool:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, family) as netlink:
        netlink.settimeout(5)
        netlink.send(request)
        answer = netlink.recv(8192)
    kind, error = struct.unpack_from("=4xH10xi", answer)
    return bool(kind != NLMSG_ERROR or error == 0)


def _can_link(kind: str) -> bool:
    pid = os.fork()  # a namespace each: they all make `probe0`
    if pid == 0:
        made = _unshare(CLONE_NEWNET) and _accepted(0, new_link(kind))
        os._exit(0 if made else 1)
    return os.waitpid(pid, 0)[1] == 0


def _has_nftables() -> bool:
    body = struct.pack("=BBH", socket.AF_UNSPEC, 0, 0)
    try:
        return _accepted(NETLINK_NETFILTER, message(NFT_MSG_GETGEN, REQUEST, body))
    except OSError:
        return False


def _can_overlay(folder: Path) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(None, b"/", None, MS_REC_PRIVATE, None):
        return False
    with tempfile.TemporaryDirectory(dir=folder, prefix="probe-") as name:
        parts = {part: Path(name) / part for part in ("lowerdir", "upperdir", "workdir", "merged")}
        for part in parts.values():
            part.mkdir()
        merged = str(parts.pop("merged")).encode()
        options = ",".join(f"{part}={path}" for part, path in parts.items()).encode()
        failed = libc.mount(b"overlay", merged, b"overlay", 0, options)
        if not failed:
            libc.umount2(merged, 0)
    return not failed


def _has_cgroups() -> bool:
    unified = Path("/sys/fs/cgroup/cgroup.controllers")
    if unified.exists():
        controllers = unified.read_text(encoding="ascii").split()
    else:
        controllers = [path.name for path in Path("/sys/fs/cgroup").glob("*")]
    return {"cpu", "memory", "pids"} <= set(controllers)


def _unshare(flags: int) -> bool:
    return bool(ctypes.CDLL(None).unshare(flags) == 0)


def main() -> None:
    """
    Try everything and print what is missing.
    """
    root = os.geteuid() == 0
    flags = CLONE_NEWNS | CLONE_NEWNET | (0 if root else CLONE_NEWUSER)
    missing = [] if _has_cgroups() else [CGROUPS]
    if _unshare(flags):
        missing += [use for kind, use in LINKS.items() if not _can_link(kind)]
        missing += [] if _has_nftables() else [NFTABLES]
        missing += [] if not root or _can_overlay(Path(sys.argv[1])) else [OVERLAY]
    elif root:
        missing.append("namespaces of its own (root may not unshare them here)")
    sys.stdout.write(json.dumps(missing))


if __name__ == "__main__":
    main()
