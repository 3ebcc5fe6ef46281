"""
A deployed stack as tables: its services, and where their tasks run.
"""

from collections.abc import Mapping
from dataclasses import asdict

import docker
import pandas as pd

from runbook_lib.cloud.instances import Instance
from runbook_lib.stacks.containers import find_services
from runbook_lib.stacks.convergence import convergence
from runbook_lib.stacks.deploy import find_live_tasks
from runbook_lib.swarm.membership import address


def service_table(manager: docker.DockerClient, name: str) -> pd.DataFrame:
    """
    One row a service; columns: service, mode, running, starting, wanted, image.
    """
    rows = [asdict(convergence(manager, service)) for service in find_services(manager, name)]
    columns = ["service", "mode", "running", "starting", "wanted", "image"]
    return pd.DataFrame(rows, columns=columns).sort_values("service", ignore_index=True)


def placement_table(
    manager: docker.DockerClient, name: str, instances: Mapping[str, Instance]
) -> pd.DataFrame:
    """
    Running tasks; one row a node's role, one column a service.
    """
    addresses = {i.private_ip: role for role, i in instances.items()}
    roles = {n.id: addresses.get(address(n.attrs), "?") for n in manager.nodes.list()}
    tasks = find_live_tasks(manager, name, **{"desired-state": "running"})
    services = {s.id: str(s.name).removeprefix(f"{name}_") for s in find_services(manager, name)}
    rows = [(roles.get(t.get("NodeID", ""), "?"), services[t["ServiceID"]]) for t in tasks]
    placed = pd.DataFrame(rows, columns=["role", "service"])
    return placed.groupby(["role", "service"]).size().unstack(fill_value=0)
