"""
RabbitMQ's command line inside the container: the current messages, on any broker.

`management_api` has the counters for load tests, which are up to a second old.
"""

import json
import re
from typing import Any

import docker
import pandas as pd

from runbook_lib.core.errors import NotFoundError
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.stacks.running.containers import get_container, run_in

_DEPTHS = ("name", "messages", "messages_ready", "messages_unacknowledged", "consumers")


def rabbitmqctl(engine: docker.DockerClient, service: str, *command: str) -> Any:  # noqa: ANN401 - any JSON value
    """
    Run a command in the broker's container on this engine's node, and parse its JSON output.
    """
    container = get_container(engine, service, "run 06_work_stack")
    text = run_in(container, ["rabbitmqctl", "--quiet", "--formatter", "json", *command])
    return json.loads(re.sub(r"^[^\[{]*", "", text))  # skip warnings


def wait_until_idle(
    engine: docker.DockerClient, service: str, queues: list[str], timeout_s: float = 120
) -> pd.DataFrame:
    """
    Wait until the named queues have no messages, ready or unacknowledged.

    Columns: name, messages, messages_ready, messages_unacknowledged, consumers. Without queues to
    wait for, no request is sent, and the table is empty.
    """

    def probe() -> pd.DataFrame | Pending:
        table = pd.DataFrame(rabbitmqctl(engine, service, "list_queues", *_DEPTHS), columns=_DEPTHS)
        busy = table[table["name"].isin(queues) & (table["messages"] > 0)]
        if len(busy):
            depths = zip(busy["name"], busy["messages"], strict=True)
            return Pending(", ".join(f"{name}: {messages}" for name, messages in depths))
        return table.sort_values("name", ignore_index=True)

    if not queues:
        return pd.DataFrame(columns=_DEPTHS)
    return wait_for("Queues are empty", probe, timeout_s=timeout_s, poll_s=2)


def backlog(depths: pd.DataFrame, queues: list[str]) -> int:
    """
    Return the number of messages in the named queues.

    Raises NotFoundError if the broker has no queue of that name.
    """
    known = set(depths["name"])
    if missing := [queue for queue in queues if queue not in known]:
        raise NotFoundError(
            f"expected the queues {', '.join(queues)}; the broker has no {', '.join(missing)}",
            evidence=f"it has {', '.join(sorted(known)) or 'none'}",
            next_step="correct `queues`",
        )
    return int(depths[depths["name"].isin(queues)]["messages"].sum())
