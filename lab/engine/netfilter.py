"""
Remove what a Docker daemon leaves in the host's packet filter and interfaces.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

PROGRAMS = ("iptables", "ip6tables")
TABLES = ("filter", "nat", "raw", "mangle")
IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
DOCKER_RULE = re.compile(r"\bDOCKER|\bdocker0\b")


def forward_policies() -> dict[str, str]:
    """
    What Docker changes permanently: whether the host forwards, and the policies of FORWARD.
    """
    policies = {IP_FORWARD.name: IP_FORWARD.read_text(encoding="ascii").strip()}
    for program in PROGRAMS:
        for line in _saved(program, "filter"):
            if line.startswith(":FORWARD "):
                policies[program] = line.split()[1]
    return policies


def removal_commands(program: str, table: str, saved: list[str]) -> list[list[str]]:
    """
    The commands that remove Docker's rules and chains from a table that `iptables-save` printed.
    """
    base = [program, "--wait", "--table", table]
    rules = [line for line in saved if line.startswith("-A ") and DOCKER_RULE.search(line)]
    chains = [line.split()[0][1:] for line in saved if line.startswith(":DOCKER")]
    deletions = [[*base, "--delete", *_words(line)[1:]] for line in rules]
    return deletions + [[*base, "--delete-chain", chain] for chain in chains]


def remove_docker_rules(policies: dict[str, str]) -> None:
    """
    Remove Docker's rules and chains, and restore what `forward_policies` returned before.
    """
    if policies.get(IP_FORWARD.name) == "0":
        IP_FORWARD.write_text("0\n", encoding="ascii")
    for program in PROGRAMS:
        for table in TABLES:
            for command in removal_commands(program, table, _saved(program, table)):
                subprocess.run(command, check=False, capture_output=True)
        if program in policies:
            command = [program, "--wait", "--policy", "FORWARD", policies[program]]
            subprocess.run(command, check=False, capture_output=True)


def remove_bridge(name: str) -> None:
    """
    Remove a bridge of a daemon that has stopped; happy if there is none.
    """
    if shutil.which("ip"):
        command = ["ip", "link", "delete", name, "type", "bridge"]
        subprocess.run(command, check=False, capture_output=True)


def _saved(program: str, table: str) -> list[str]:
    save = f"{program}-save"
    if not shutil.which(save):
        return []
    result = subprocess.run([save, "--table", table], check=False, capture_output=True, text=True)
    return result.stdout.splitlines()


def _words(rule: str) -> list[str]:
    return [word.strip('"') for word in rule.split()]
