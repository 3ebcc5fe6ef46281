"""
A cluster of three brokers: its nodes, what it lacks, and the change to it and back.

Source: section "Falla RabbitMQ" of the guide, which names a cluster behind a proxy as the solution.
The change loses no data because nothing is converted: the single broker keeps its data, and runs
alongside the cluster until its last message has been moved.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

import docker
import pandas as pd
from docker.errors import APIError
from markupsafe import Markup

from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import CommandError, NotFoundError, ParameterError
from runbook_lib.core.tables import frame_html
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.geodiff.broker import rabbitmqctl
from runbook_lib.stacks.running.containers import get_container, run_in
from runbook_lib.swarm.membership import Clients, ensure_label, node_id
from runbook_lib.swarm.nodes import change_spec, hostname, labels

CLUSTER = "stacks/geo-diff/rabbitmq-cluster.yml"
BEFORE = "stacks/geo-diff/rabbitmq-cluster-before.yml"
AFTER = "stacks/geo-diff/rabbitmq-cluster-after.yml"
NODES = ("rabbit@rabbitmq-1", "rabbit@rabbitmq-2", "rabbit@rabbitmq-3")
VOLUMES = ("rabbitmq-1-data", "rabbitmq-2-data", "rabbitmq-3-data")
_LABEL = "broker"


@dataclass(frozen=True)
class ClusterQueue:
    """
    A queue, its number of members, and how many of them are up to date and online.
    """

    queue: str
    type: str
    members: int
    online: int


@dataclass(frozen=True)
class BrokerCluster:
    running: tuple[str, ...]
    queues: tuple[ClusterQueue, ...]

    @property
    def lacking(self) -> list[str]:
        """
        The conditions still missing before it can lose a node, in words.
        """
        lacking = [f"{node} does not run" for node in NODES if node not in self.running]
        lacking += [
            f"{q.queue} is {q.type} with {q.online} of {q.members} members online"
            for q in self.queues
            if q.type != "quorum" or q.online < len(NODES)
        ]
        return lacking if self.queues else [*lacking, "no client has declared its queues yet"]

    def _repr_html_(self) -> Markup:
        table = frame_html(pd.DataFrame([asdict(queue) for queue in self.queues]))
        return Markup("<p>running: {}</p>{}").format(", ".join(self.running), table)


def overlays_to_cluster(deployed: Sequence[str]) -> list[str]:
    """
    Return the overlays for the change to the cluster, given the deployed ones.

    The single broker runs alongside it, unless it is already gone.
    """
    alone = CLUSTER in deployed and BEFORE not in deployed and AFTER not in deployed
    return overlays_of_cluster(deployed) + ([] if alone else [BEFORE])


def overlays_of_cluster(deployed: Sequence[str]) -> list[str]:
    """
    Return the overlay of the cluster, with those of other solutions.
    """
    return [*overlays_without_cluster(deployed), CLUSTER]


def overlays_from_cluster(deployed: Sequence[str]) -> list[str]:
    """
    Return the overlays for the change back from the cluster to a single broker.
    """
    others = overlays_without_cluster(deployed)
    return others if others == list(deployed) else [*others, CLUSTER, AFTER]


def overlays_without_cluster(deployed: Sequence[str]) -> list[str]:
    """
    Return the overlays of other solutions.
    """
    return [overlay for overlay in deployed if overlay not in (CLUSTER, BEFORE, AFTER)]


def ensure_broker_labels(
    manager: docker.DockerClient, engines: Clients, roles: Sequence[str]
) -> Changes:
    """
    Label the nodes of the second and third broker; the first runs on the manager.

    Raises ParameterError if these are not two different nodes other than the manager.
    """
    if len(set(roles) - {"manager"}) != 2 or not set(roles) <= set(engines):
        raise ParameterError(
            f"expected two different worker nodes for brokers 2 and 3, got {list(roles)}",
            evidence=f"there are {', '.join(role for role in engines if role != 'manager')}",
            next_step="set broker_nodes",
        )
    wanted = {node_id(engines[role]): str(n) for n, role in enumerate(roles, start=2)}
    changes = remove_broker_labels(manager, keep=wanted)
    for node, number in wanted.items():
        changes.extend(ensure_label(manager, node, _LABEL, number))
    return changes


def remove_broker_labels(manager: docker.DockerClient, keep: Collection[str] = ()) -> Changes:
    """
    Remove the brokers' labels from the nodes, except from those with the ids in `keep`.
    """
    changes = Changes()
    for node in manager.nodes.list():
        existing = labels(node.attrs)
        if existing.pop(_LABEL, None) is not None and node.id not in keep:
            change_spec(node, {"Labels": existing})
            changes.add("node label", hostname(node.attrs), f"{_LABEL} removed")
    return changes


def wait_for_cluster(engine: docker.DockerClient, service: str) -> BrokerCluster:
    """
    Wait until all three nodes run, and every queue has a member on each of them.
    """

    def probe() -> BrokerCluster | Pending:
        try:
            brokers = _read(engine, service)
        except (CommandError, NotFoundError, APIError) as error:  # still booting
            return Pending(str(error).splitlines()[0])
        return Pending("; ".join(brokers.lacking)) if brokers.lacking else brokers

    return wait_for("The brokers are one cluster", probe, timeout_s=240, poll_s=2)


def move_messages(engine: docker.DockerClient, service: str, source: str) -> Changes:
    """
    Move the messages from the broker `source` to the one that the clients now use.

    A container of the client `service` moves them: it has the password and the network. After a
    failure, repeat the call.
    """
    changes = Changes()
    command = ["timeout", "600", "python", "-m", "geodiff", "carry"]
    container = get_container(engine, service, "run 06_work_stack")
    output = run_in(container, command, {"CARRY_FROM": source})
    records = (json.loads(line) for line in output.splitlines() if line.startswith("{"))
    moved = next((r for r in records if r.pop("record", "") == "carried"), None)
    if moved is None:
        raise CommandError("expected the number of messages moved", evidence=output[-500:])
    for queue, count in moved.items():
        if count:
            changes.add("queue", queue, f"{count} messages moved")
    return changes


def kill_broker(engine: docker.DockerClient, service: str) -> str:
    """
    Kill a broker's container with SIGKILL; Swarm starts another one.
    """
    step = "run 32_rabbitmq_cluster again: it waits until all three run"
    container = get_container(engine, service, step)
    container.kill("SIGKILL")
    return str(container.name)


def _read(engine: docker.DockerClient, service: str) -> BrokerCluster:
    running = rabbitmqctl(engine, service, "cluster_status")["running_nodes"]
    queues = rabbitmqctl(engine, service, "list_queues", "name", "type", "members", "online")
    members = (
        ClusterQueue(q["name"], q["type"], len(q["members"]), len(q["online"])) for q in queues
    )
    return BrokerCluster(tuple(sorted(running)), tuple(sorted(members, key=lambda q: q.queue)))
