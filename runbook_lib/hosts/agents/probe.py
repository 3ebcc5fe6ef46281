"""
The probe that `reachability` sends over SSH: it connects, sends, and listens on one machine.

Standard library only, for Python 3.8 (Ubuntu 20.04): the instance's own python3 runs the text
of this file as root, and nothing is left behind. The protocol is one line at a time: plan in,
"ready" out, "go" in, answers out, "stop" in, received rows out. The program ends when its input
does, and after `lifetime_s` at the latest.

A datagram contains a mark, the number of this measurement, and the row that it tests. A packet
socket receives it before any firewall or service of the machine itself: so the result shows what
the security groups allow, even on a port without a listener, or one used by the kernel (4789,
VXLAN).
"""

from __future__ import annotations

import ctypes
import errno
import json
import selectors
import signal
import socket
import struct
import sys
import time
from typing import TYPE_CHECKING

MARK = b"prbe"
"""Never a valid VXLAN header: the bit 0x08 of its first byte is not set."""
REPEATS = 3
_ETH_P_IP = 0x0800
_SO_ATTACH_FILTER = 26

if TYPE_CHECKING:  # Python 3.8 supports tuple[int] only in annotations
    Probe = tuple[int, str, str, int]  # row, protocol, address, port


def probe_tcp(probes: list[Probe], timeout_s: float) -> dict[int, str]:
    """
    Connect to every TCP port at once; by row "accepted", "refused", "unreachable" or "silence".

    A refusal comes from the target, so the packet has passed the firewall.
    """
    answers: dict[int, str] = {}
    waiting = selectors.DefaultSelector()
    for row, _, address, port in probes:
        knocking = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        knocking.setblocking(False)
        code = knocking.connect_ex((address, port))
        if code in (0, errno.EINPROGRESS):
            waiting.register(knocking, selectors.EVENT_WRITE, row)
        else:
            answers[row] = _answer(code)
            knocking.close()
    deadline = time.monotonic() + timeout_s
    while waiting.get_map() and time.monotonic() < deadline:
        for key, _ in waiting.select(max(0.0, deadline - time.monotonic())):
            done = key.fileobj
            assert isinstance(done, socket.socket)
            answers[key.data] = _answer(done.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            waiting.unregister(done)
            done.close()
    for key in list(waiting.get_map().values()):
        answers[key.data] = "silence"
        waiting.unregister(key.fileobj)
        assert isinstance(key.fileobj, socket.socket)
        key.fileobj.close()
    waiting.close()
    return answers


def _answer(code: int) -> str:
    return {0: "accepted", errno.ECONNREFUSED: "refused"}.get(code, "unreachable")


def send_all(probes: list[Probe], nonce: str) -> None:
    """
    Send one marked datagram per row.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for row, _, address, port in probes:
            try:
                sender.sendto(MARK + f"{nonce} {row}".encode(), (address, port))
            except OSError:
                continue  # no route, or a response to an earlier datagram: not received either way


def probe_all(probes: list[Probe], nonce: str, timeout_s: float) -> dict[int, str]:
    """
    Connect to the TCP ports of the plan, and send to its UDP ports three times.
    """
    tcp = [probe for probe in probes if probe[1] == "tcp"]
    udp = [probe for probe in probes if probe[1] == "udp"]
    for _ in range(REPEATS - 1):
        send_all(udp, nonce)
        time.sleep(0.1)
    answers = probe_tcp(tcp, timeout_s)
    send_all(udp, nonce)
    return answers


def open_ear() -> socket.socket:
    """
    Open a packet socket with a kernel filter that passes only marked datagrams.
    """
    ear = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_IP))
    program = [
        (0x30, 0, 0, 9),  # the protocol of the IP header
        (0x15, 0, 4, socket.IPPROTO_UDP),
        (0xB1, 0, 0, 0),  # the length of the IP header
        (0x40, 0, 0, 8),  # four bytes after the UDP header
        (0x15, 0, 1, int.from_bytes(MARK, "big")),
        (0x06, 0, 0, 0xFFFF),  # accept
        (0x06, 0, 0, 0),  # drop
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    ear.setsockopt(
        socket.SOL_SOCKET,
        _SO_ATTACH_FILTER,
        struct.pack("HP", len(program), ctypes.addressof(code)),
    )
    ear.setblocking(False)
    return ear


def heard_rows(ear: socket.socket, nonce: str) -> list[int]:
    """
    Return the rows whose datagrams have arrived since the socket was opened.
    """
    mark = MARK + nonce.encode() + b" "
    rows: set[int] = set()
    while True:
        try:
            packet = ear.recv(2048)
        except BlockingIOError:
            return sorted(rows)
        payload = packet[(packet[0] & 0xF) * 4 + 8 :]
        if payload.startswith(mark):
            rows.add(int(payload[len(mark) :].rstrip(b"\0")))


def _say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def _main() -> None:
    plan = json.loads(sys.stdin.readline())
    signal.alarm(plan["lifetime_s"])
    ear = open_ear()
    _say("ready")
    if not sys.stdin.readline():
        return
    _say(probe_all(plan["probes"], plan["nonce"], plan["timeout_s"]))
    if not sys.stdin.readline():
        return
    _say(heard_rows(ear, plan["nonce"]))


if __name__ == "__main__":
    _main()
