"""
A stack as the Swarm has it now, in the form that a plan compares.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import docker

from runbook_lib.stacks.deployment.spec_fields import Spec, Tree, canonical
from runbook_lib.stacks.running.containers import find_services, in_stack
from runbook_lib.stacks.running.placement import constraints_of, find_matching


class LiveStack:
    """
    The services, networks, secrets and configs of a stack, read once.
    """

    def __init__(self, manager: docker.DockerClient, name: str) -> None:
        self.name = name
        self.services = {str(s.id): s.attrs["Spec"] for s in find_services(manager, name)}
        own = in_stack(name)
        self.secrets = {str(s.id): s.attrs["Spec"] for s in manager.secrets.list(filters=own)}
        self.configs = {str(c.id): c.attrs["Spec"] for c in manager.configs.list(filters=own)}
        # in the middle of an update, some are only about to run
        tasks = manager.api.tasks(filters={"desired-state": ["accepted", "ready", "running"]})
        # Swarm has ids of its own for each node's network `host`, which only its tasks tell
        attached = [its["Network"] for t in tasks for its in t.get("NetworksAttachments") or []]
        self.networks = {str(n["ID"]): str(n["Spec"]["Name"]) for n in attached}
        self.networks |= {str(n.id): str(n.name) for n in manager.networks.list()}
        self.tasks = Counter(str(task["ServiceID"]) for task in tasks)
        self._places = [(str(task["ServiceID"]), task.get("NodeID", "")) for task in tasks]
        self._nodes = manager.api.nodes()
        networks = [str(n.id) for n in manager.networks.list(filters=own)]
        self._others = sorted([*networks, *self.secrets, *self.configs])

    def tree(self, spec: Spec, networks: Mapping[str, str] | None = None) -> Tree:
        """
        Return a service's specification as it compares; `networks` are names of former networks.
        """
        return canonical(spec, {**(networks or {}), **self.networks})

    def misplaced(self, service_id: str, template: Spec) -> int:
        """
        Count the tasks of a service on nodes that the constraints of a new template exclude.
        """
        fitting = {node["ID"] for node in find_matching(self._nodes, constraints_of(template))}
        return sum(s == service_id and bool(n) and n not in fitting for s, n in self._places)

    def find(self, service: str) -> Spec | None:
        """
        Find a service's specification by its name in the stack.
        """
        name = f"{self.name}_{service}"
        return next((spec for spec in self.services.values() if spec["Name"] == name), None)

    def fingerprint(self, scaled: Collection[str]) -> str:
        """
        Hash what the Swarm has: ids and specifications, without the replicas of `scaled` services.

        Not by Docker's versions: the progress of an update counts them up without a change.
        """
        specs = {}
        for key, spec in self.services.items():
            tree = self.tree(spec)
            if spec["Name"].removeprefix(f"{self.name}_") in scaled:
                tree.pop("Mode")
            specs[key] = tree
        text = json.dumps([specs, self._others], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def replicas(spec: Spec) -> Any:  # noqa: ANN401 - a number, or None for other modes
    """
    Return the number of replicas of a replicated service; None for the other modes.
    """
    return (spec["Mode"].get("Replicated") or {}).get("Replicas")
