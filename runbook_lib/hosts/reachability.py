"""
Tests of the firewall by connecting from every node, from the operator and from outside.

A matrix is a DataFrame with one probe a row: `source`, `via` (the instance that probes; "" for this
machine), `target`, `address`, `protocol`, `port`, `open`. "outside" is the rest of the internet: a
packet from an instance to another's *public* address has a public source address, which matches no
group.
"""

import inspect
import json
import secrets
import shlex
import time
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network
from typing import Any

import fabric
import pandas as pd

from runbook_lib.cloud.firewall import Rule, Sender, allows
from runbook_lib.cloud.instances import Instance
from runbook_lib.cloud.roles import get_role
from runbook_lib.core.errors import CommandError, NotFoundError
from runbook_lib.core.parallel import for_each
from runbook_lib.core.progress import Progress
from runbook_lib.hosts.agents import probe

OPERATOR = "operator"
OUTSIDE = "outside"
_SSH = 22
_KEYS = ["source", "target", "protocol", "port"]
OPEN = ("accepted", "refused", "heard")
"""Answers for which the firewall lets the packet through; a refused connection is one too."""
SERVED = ("accepted",)
"""Answers for which a program listens, too."""
_START = "import json, sys; exec(json.loads(sys.stdin.readline()))"


def expected_matrix(
    instances: list[Instance], rules: list[Rule], operator_cidr: str
) -> pd.DataFrame:
    """
    Derive the expected matrix from the tables, for every source, target and port.
    """
    without = [i.role for i in instances if not (i.private_ip and i.public_ip)]
    if without:
        raise NotFoundError(
            f"expected a private and a public address of every instance; "
            f"missing: {', '.join(without)}",
            next_step="run 01_instances: it starts what is stopped",
        )
    ports = sorted({(rule.protocol, rule.port) for rule in rules})
    operator = Sender(str(IPv4Network(operator_cidr).network_address))
    rows = []
    for target in instances:
        others = [i for i in instances if i != target]
        ways = [
            (i.role, i.role, target.private_ip, Sender(i.private_ip, get_role(i.role).groups))
            for i in others
        ]
        ways.append((OPERATOR, "", target.public_ip, operator))
        for stranger in sorted(others, key=lambda i: not i.role.startswith("worker"))[:1]:
            ways.append((OUTSIDE, stranger.role, target.public_ip, Sender(stranger.public_ip)))
        for source, via, address, sender in ways:
            for protocol, port in ports:
                is_open = allows(rules, target.role, protocol, port, sender)
                rows.append((source, via, target.role, address, protocol, port, is_open))
    columns = ["source", "via", "target", "address", "protocol", "port", "open"]
    return pd.DataFrame(rows, columns=columns)


def expected_services(
    matrix: pd.DataFrame, served: set[tuple[str, int]], rules: Iterable[Rule] = ()
) -> pd.DataFrame:
    """
    Return the probes of `expected_matrix` from the internet, with the ports that should serve it.

    `served`: role and port of each public TCP service, which serves those that the firewall lets
    through. Left out are the operator's SSH, and what `rules` open beyond the guide: another stack
    may serve there, or not yet.
    """
    world = matrix["source"].isin([OPERATOR, OUTSIDE]) & (matrix["protocol"] == "tcp")
    more = {(r.group, r.port) for r in rules if r.listed_in != "guide" and "/" in r.source}
    asked = matrix[world & (matrix["port"] != _SSH)]
    known = [
        (row.target, row.port) in served
        or more.isdisjoint((group, row.port) for group in get_role(str(row.target)).groups)
        for row in asked.itertuples()
    ]
    asked = asked.loc[known]
    serves = [bool(row.open) and (row.target, row.port) in served for row in asked.itertuples()]
    return asked.assign(open=serves).reset_index(drop=True)


def measure_matrix(
    connections: Mapping[str, fabric.Connection],
    expected: pd.DataFrame,
    timeout_s: float = 1.5,
    pause_s: float = 2.0,
    *,
    counts: tuple[str, ...] = OPEN,
) -> pd.DataFrame:
    """
    Run every probe of `expected` in parallel; add the column `answer`.

    `counts` lists the answers that count as open: `OPEN`, or `SERVED` to find services.

    Probes that differ from `expected` are repeated once after a pause: a loaded machine may answer
    late, and EC2 takes a few seconds to apply changed rules everywhere.

    Raises CommandError if a probe could not run on an instance.
    """
    answers = _ask(connections, expected, timeout_s)
    differing = expected[answers.isin(counts) != expected["open"]]
    if not differing.empty:
        time.sleep(pause_s)
        answers.update(_ask(connections, differing, timeout_s))
    return expected.assign(open=answers.isin(counts), answer=answers)


def compare(expected: pd.DataFrame, measured: pd.DataFrame) -> pd.DataFrame:
    """
    Return the probes with an unexpected answer.

    Columns: source, target, protocol, port, expected, seen, likely_cause.
    """
    differing = measured[measured["open"] != expected["open"]]
    table = differing[_KEYS].copy()
    table["expected"] = ["closed" if seen else "open" for seen in differing["open"]]
    table["seen"] = [
        f"{'open' if row.open else 'closed'} ({row.answer})" for row in differing.itertuples()
    ]
    table["likely_cause"] = [
        _likely_cause(str(row.source), str(row.target), str(row.protocol), str(row.answer))
        for row in differing.itertuples()
    ]
    return table.reset_index(drop=True)


def explain(differences: pd.DataFrame, most: int = 3) -> str:
    """
    Describe the first differences, for the next step of a failed check.
    """
    lines = [
        f"{d.source} to {d.target} {d.protocol}/{d.port}: expected {d.expected}, saw {d.seen}; "
        f"{d.likely_cause}"
        for d in differences.head(most).itertuples()
    ]
    more = len(differences) - len(lines)
    return "\n        ".join([*lines, *([f"and {more} more in the table above"] if more else [])])


def _likely_cause(source: str, target: str, protocol: str, answer: str) -> str:
    if answer in OPEN:
        return f"{target} is in an extra group, or a group has a rule that no table has"
    if answer == "unreachable":
        return f"no route to {target}: is it running, and does its network work?"
    if source == OPERATOR:
        return "your address has changed (operator_cidr), or your own network blocks the port"
    if protocol == "udp":  # received below the target's own firewall
        return f"{source} or {target} is not in its groups, or a rule is missing"
    return f"{source} or {target} is not in its groups, or {target} has a firewall of its own"


class _Agent:
    """
    A running probe on an instance; each line sent or received is a JSON value.
    """

    def __init__(self, connection: fabric.Connection, plan: dict[str, Any]) -> None:
        self._host = connection.host
        self._channel = connection.create_session()
        self._channel.settimeout(plan["lifetime_s"])
        self._lines = self._channel.makefile("r")
        self._channel.exec_command(f"sudo -n python3 -c {shlex.quote(_START)}")
        self.say(inspect.getsource(probe))
        self.say(plan)
        self.hear()

    def say(self, value: object) -> None:
        try:
            self._channel.sendall((json.dumps(value) + "\n").encode())
        except OSError as error:
            raise self._lost() from error

    def hear(self) -> Any:  # noqa: ANN401 - any JSON value
        try:
            line = self._lines.readline()
        except TimeoutError as error:
            raise self._lost() from error
        if not line:
            raise self._lost()
        return json.loads(line)

    def _lost(self) -> CommandError:
        try:
            errors = str(self._channel.makefile_stderr("rb").read(), errors="replace")
        except OSError:
            errors = "it printed nothing and is still running"
        return CommandError(
            f"expected an answer from the probe on {self._host}; there was none",
            evidence="\n".join(errors.strip().splitlines()[-8:]),
            next_step=f"make  sudo -n python3 -V  work on {self._host}, then run this again",
        )

    def close(self) -> None:
        self._channel.close()


def _ask(
    connections: Mapping[str, fabric.Connection], questions: pd.DataFrame, timeout_s: float
) -> "pd.Series[str]":
    """
    Return by row of `questions`: accepted, refused, heard (open); silence, unreachable (closed).
    """
    nonce = secrets.token_hex(8)
    asked = questions.assign(row=questions.index)

    def probes(via: str) -> "list[probe.Probe]":
        mine = asked.loc[asked["via"] == via, ["row", "protocol", "address", "port"]]
        return [tuple(row) for row in mine.to_numpy().tolist()]

    def start(name: str) -> _Agent:
        plan = {"probes": probes(name), "nonce": nonce, "timeout_s": timeout_s, "lifetime_s": 15}
        return _Agent(connections[name], plan)

    answers: dict[int, str] = {}
    needed = sorted({*questions["via"], *questions["target"]} - {""})
    agents = for_each("Probes started", {name: name for name in needed}, start)
    try:
        with Progress(f"{len(questions)} probes sent"):
            for agent in agents.values():
                agent.say("go")
            answers |= probe.probe_all(probes(""), nonce, timeout_s)
            for agent in agents.values():
                answers |= {int(row): answer for row, answer in agent.hear().items()}
            for agent in agents.values():
                agent.say("stop")
            for agent in agents.values():
                answers |= dict.fromkeys(agent.hear(), "heard")
    finally:
        for agent in agents.values():
            agent.close()
    return pd.Series({row: answers.get(row, "silence") for row in questions.index}, dtype=str)
