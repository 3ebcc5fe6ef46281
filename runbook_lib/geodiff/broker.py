"""
RabbitMQ as its own command line sees it, inside its container: no password leaves the Swarm.
"""

import json

import docker
import pandas as pd

from runbook_lib.core.errors import NotFoundError
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.stacks.containers import get_container, run_in

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
    container = get_container(engine, service, "run 06_work_stack")
    text = run_in(container, _LIST)
    table = pd.DataFrame(json.loads(text[text.index("[") :]))
    return table.sort_values("name", ignore_index=True)
