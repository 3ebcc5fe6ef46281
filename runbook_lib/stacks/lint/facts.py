"""
The facts about a cluster that a stack file is checked against.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import docker

from runbook_lib.cloud.firewall import Permission
from runbook_lib.cloud.security_groups import find_members, find_rules
from runbook_lib.core.parallel import for_each
from runbook_lib.hosts.clusters import Cluster
from runbook_lib.stacks.running.containers import STACK
from runbook_lib.stacks.running.placement import Node, find_matching, is_open
from runbook_lib.swarm.nodes import address

Json = Mapping[str, Any]


@dataclass(frozen=True)
class ClusterFacts:
    """
    Plain records of a Swarm and of the firewall in front of it.

    Parameters
    ----------
    nodes, services, networks
        As the Engine API describes them.
    secrets, configs
        Their names.
    volumes
        The names of the volumes on a node, by the node's id; a node that was not asked is missing.
    rules
        The ingress rules of the security groups.
    groups
        The security groups of a node, by the node's id; a node that is no instance is missing.
    """

    nodes: Sequence[Node]
    services: Sequence[Json] = ()
    networks: Sequence[Json] = ()
    secrets: Collection[str] = ()
    configs: Collection[str] = ()
    volumes: Mapping[str, Collection[str]] = field(default_factory=dict)
    rules: Collection[Permission] = ()
    groups: Mapping[str, Collection[str]] = field(default_factory=dict)

    def find_nodes(self, constraints: Collection[str], *, now: bool = True) -> list[Node]:
        """
        Find the nodes that meet constraints; with `now`, only those that take tasks now.
        """
        return [n for n in find_matching(self.nodes, constraints) if not now or is_open(n)]

    def others(self, stack: str) -> list[Json]:
        """
        Find the specifications of the services that do not belong to a stack.
        """
        specs = [service["Spec"] for service in self.services]
        return [spec for spec in specs if (spec.get("Labels") or {}).get(STACK) != stack]

    def find_live(self, service: str) -> Json:
        """
        Find the specification of a deployed service by its full name; empty if there is none.
        """
        specs = [live["Spec"] for live in self.services if live["Spec"]["Name"] == service]
        return specs[0] if specs else {}


def find_facts(here: Cluster, manager: docker.DockerClient) -> ClusterFacts:
    """
    Find the facts about a cluster: from its manager, its engines and the security groups.
    """
    nodes = manager.api.nodes()
    roles = {instance.private_ip: role for role, instance in here.instances.items()}
    ids = {roles[ip]: node["ID"] for node in nodes if (ip := address(node)) in roles}
    members = find_members(here.ec2, here.name, list(here.instances.values()))
    asked = {ids[role]: engine for role, engine in here.engines.items() if role in ids}
    # only the engines know their volumes: the Swarm does not list them
    volumes = for_each("Volumes of the nodes", asked, lambda engine: engine.api.volumes())
    return ClusterFacts(
        nodes,
        manager.api.services(),
        manager.api.networks(),
        {secret.name for secret in manager.secrets.list()},
        {config.name for config in manager.configs.list()},
        {its: {v["Name"] for v in found["Volumes"] or ()} for its, found in volumes.items()},
        find_rules(here.ec2, here.name),
        {ids[role]: groups for role, groups in members.items() if role in ids},
    )
