"""
The lab's server as a process: started detached, found by its command line, health checked.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request

from lab.core.config import LabConfig
from lab.core.errors import LabError
from lab.core.processes import command_line, find_processes, stop_process

COMMAND = "-m lab serve --name"


def server_pids(name: str) -> list[int]:
    """
    The processes that serve a lab, including those that do not answer yet.
    """
    return [
        pid for pid in find_processes(COMMAND) if command_line(pid).endswith(f"{COMMAND} {name}")
    ]


def is_healthy(config: LabConfig) -> bool:
    """
    Whether the endpoint answers, with the name of this lab.
    """
    try:
        with urllib.request.urlopen(f"{config.endpoint_url}/lab/health", timeout=5) as response:
            return bool(json.load(response)["name"] == config.name)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def ensure_server(config: LabConfig, *, timeout_s: float = 90) -> bool:
    """
    Start the server detached and wait until it answers; False if it was running.

    Replaces a process that does not answer. The instances stay.
    """
    if server_pids(config.name) and is_healthy(config):
        return False
    stop_server(config)
    config.save()
    log = config.state_dir / "lab.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *COMMAND.split(), config.name],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + timeout_s
    while not is_healthy(config):
        if process.poll() is not None or time.monotonic() > deadline:
            last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
            raise LabError(
                f"expected the lab to answer at {config.endpoint_url}, but it does not",
                evidence="; ".join(line.strip() for line in last) or "its log is empty",
                next_step=f"read {log}",
            )
        time.sleep(0.1)
    return True


def stop_server(config: LabConfig) -> bool:
    """
    Stop the server, which saves its state first; whether there was one.
    """
    pids = server_pids(config.name)
    for pid in pids:
        stop_process(pid, COMMAND, timeout_s=20)
    return bool(pids)
