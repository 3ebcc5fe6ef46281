"""
The services of a stack and where their tasks are, as tables.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import docker
import pandas as pd

from runbook_lib.cloud.instances import Instance
from runbook_lib.stacks.running.containers import STACK, find_services
from runbook_lib.stacks.running.convergence import convergence
from runbook_lib.swarm.nodes import address


def service_table(manager: docker.DockerClient, name: str) -> pd.DataFrame:
    """
    Return one row per service; columns: service, mode, running, starting, wanted, image.
    """
    rows = [asdict(convergence(manager, service)) for service in find_services(manager, name)]
    columns = ["service", "mode", "running", "starting", "wanted", "image"]
    return pd.DataFrame(rows, columns=columns).sort_values("service", ignore_index=True)


def placement_table(
    manager: docker.DockerClient, name: str, instances: Mapping[str, Instance]
) -> pd.DataFrame:
    """
    Count running tasks; one row per node's role, one column per service.
    """
    addresses = {i.private_ip: role for role, i in instances.items()}
    roles = {n.id: addresses.get(address(n.attrs), "?") for n in manager.nodes.list()}
    tasks = find_live_tasks(manager, name, **{"desired-state": "running"})
    services = {s.id: str(s.name).removeprefix(f"{name}_") for s in find_services(manager, name)}
    rows = [(roles.get(t.get("NodeID", ""), "?"), services[t["ServiceID"]]) for t in tasks]
    placed = pd.DataFrame(rows, columns=["role", "service"])
    return placed.groupby(["role", "service"]).size().unstack(fill_value=0)


def find_live_tasks(
    manager: docker.DockerClient, name: str, **filters: str
) -> list[dict[str, Any]]:
    """
    Find the tasks of a stack that have not ended, including those of removed services.
    """
    ended = ("shutdown", "complete", "failed", "rejected", "remove")
    alive = [t for t in manager.api.tasks(filters) if t["Status"]["State"] not in ended]
    labels = [task["Spec"].get("ContainerSpec", {}).get("Labels") or {} for task in alive]
    return [t for t, its in zip(alive, labels, strict=True) if its.get(STACK) == name]
