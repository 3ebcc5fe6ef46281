"""
RabbitMQ as its own command line sees it, inside its container: no password leaves the Swarm.
"""

import json
from collections.abc import Mapping

import docker
import pandas as pd

from runbook_lib.core.errors import CommandError, NotFoundError
from runbook_lib.core.wait import Pending, wait_for

_LIST = [
    "rabbitmqctl",
    "--quiet",
    "list_queues",
    "--formatter",
    "json",
    "name",
    "messages",
    "messages_ready",
    "messages_unacknowledged",
    "consumers",
]


def wait_until_idle(
    engine: docker.DockerClient, service: str, queues: list[str], timeout_s: float = 120
) -> pd.DataFrame:
    """
    Wait until the named queues hold no message, neither ready nor in somebody's hands.

    Without queues to wait for, nobody is asked, and the table is empty.
    """

    def probe() -> pd.DataFrame | Pending:
        table = _queue_table(engine, service)
        busy = table[table["name"].isin(queues) & (table["messages"] > 0)]
        if len(busy):
            return Pending(
                ", ".join(f"{r.name}: {r.messages}" for r in busy.itertuples(index=False))
            )
        return table

    if not queues:
        return pd.DataFrame(columns=["name", "messages"])
    return wait_for("Queues are empty", probe, timeout_s=timeout_s, poll_s=2)


def backlog(table: pd.DataFrame, queues: list[str]) -> int:
    """
    How many messages the named queues hold.
    """
    known = set(table["name"])
    if missing := [queue for queue in queues if queue not in known]:
        raise NotFoundError(
            f"expected the queues {', '.join(queues)}; the broker has no {', '.join(missing)}",
            evidence=f"it has {', '.join(sorted(known)) or 'none'}",
            next_step="correct `queues`",
        )
    return int(table[table["name"].isin(queues)]["messages"].sum())


def _queue_table(engine: docker.DockerClient, service: str) -> pd.DataFrame:
    """
    One row a queue; columns: name, messages, messages_ready, messages_unacknowledged, consumers.

    Parameters
    ----------
    engine
        The engine of the node on which the broker runs.
    service
        The Swarm service of the broker, for example `geo-diff-work_rabbitmq`.

    Raises
    ------
    NotFoundError
        Where the service has no running container on that node.
    """
    text = run_in(engine, service, _LIST)
    table = pd.DataFrame(json.loads(text[text.index("[") :]))
    return table.sort_values("name", ignore_index=True)


def run_in(
    engine: docker.DockerClient,
    service: str,
    command: list[str],
    environment: Mapping[str, str] | None = None,
) -> str:
    """
    Run a command in the container of a service on this engine's node; returns what it says.

    Raises
    ------
    NotFoundError
        Where the service has no running container on that node.
    CommandError
        Where the command fails.
    """
    label = f"com.docker.swarm.service.name={service}"
    containers = engine.containers.list(filters={"label": label, "status": "running"})
    if not containers:
        raise NotFoundError(
            f"expected a running container of {service} on this node, found none",
            next_step="run 06_work_stack",
        )
    result = containers[0].exec_run(command, environment=dict(environment or {}))
    text = bytes(result.output).decode()  # type: ignore[arg-type]  # bytes where it is no stream
    if result.exit_code:
        raise CommandError(
            f"expected {' '.join(command[:4])} to succeed in {service}; "
            f"exit code {result.exit_code}",
            evidence=text[-500:],
            next_step=f"docker service logs {service}  on the manager",
        )
    return text
