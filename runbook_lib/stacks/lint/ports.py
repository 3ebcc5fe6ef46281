"""
Published ports: clashes on the nodes, and the security groups in front of them.
"""

from collections.abc import Sequence

from runbook_lib.cloud.firewall import INTERNET, Permission
from runbook_lib.core.words import in_words
from runbook_lib.stacks.lint.declared import Declared, Port
from runbook_lib.stacks.lint.facts import ClusterFacts
from runbook_lib.stacks.lint.problems import Report

_OF_HOST = {
    "tcp/22": "SSH",
    "tcp/2377": "the management of the Swarm",
    "tcp/7946": "the Swarm",
    "udp/7946": "the Swarm",
    "udp/4789": "the overlay networks",
}
_OF_REGISTRY = dict.fromkeys(["tcp/5001", "tcp/5002"], "the registry on the manager")


def check_ports(
    report: Report, name: str, services: Sequence[Declared], others: Sequence[Declared],
    facts: ClusterFacts,
) -> None:  # fmt: skip
    """
    Report ports that another service, or the host, has on a node where they are published.
    """
    taken = _OF_HOST | ({} if name == "registry" else _OF_REGISTRY)
    every = [(service, port) for service in (*services, *others) for port in service.ports]
    own = every[: sum(len(service.ports) for service in services)]
    told: set[str] = set()
    for service, port in own:
        keys, step = ("services", service.name, "ports", port.index), "publish another port"
        same = [pair for pair in every if str(pair[1]) == str(port)]
        others_too = [pair for pair in same if pair != (service, port)]
        clash = [s.name for s, its in others_too if not (its.is_host and port.is_host)]
        if user := taken.get(str(port)):
            report.error(keys, f"a port that is free, not {port}", f"{user} has it", step)
        elif str(port) in told:
            continue
        elif clash:
            expected = f"one service for {port}: ingress takes it on every node"
            report.error(keys, expected, f"{in_words(clash)} publishes it, too", step)
        elif seen := _crowd(service, same, facts):
            expected = f"a node for each task that publishes {port} in host mode"
            report.error(keys, expected, seen, f"{step}, or run fewer replicas")
        else:
            continue
        told.add(str(port))
    for service, port in own:
        nodes = facts.find_nodes(service.constraints)
        is_full = service.replicas is None or service.replicas >= len(nodes)
        if port.is_host and service.starts_first and nodes and is_full:
            # moby#36934: the new task is pending for ever
            report.error(
                ("services", service.name, "deploy", "update_config", "order"),
                f"a free node for the task that an update starts first: it publishes {port}",
                f"{len(nodes)} nodes, all in use",
                "set order: stop-first",
            )


def _crowd(service: Declared, same: list[tuple[Declared, Port]], facts: ClusterFacts) -> str:
    """
    Count the tasks that can publish the port only on the nodes of a service; "" if each has one.
    """
    nodes = {node["ID"] for node in facts.find_nodes(service.constraints)}
    tasks: dict[str, int] = {}
    for other, _ in same:
        places = {node["ID"] for node in facts.find_nodes(other.constraints)}
        if places and places <= nodes:
            count = len(places) if other.replicas is None else other.replicas
            tasks[other.name] = tasks.get(other.name, 0) + count
    if sum(tasks.values()) <= len(nodes):
        return ""
    return f"{len(nodes)} for {in_words([f'{count} of {name}' for name, count in tasks.items()])}"


def check_firewall(report: Report, services: Sequence[Declared], facts: ClusterFacts) -> None:
    """
    Report published ports that no security group opens on any node that serves them.
    """
    for service, port in [(each, port) for each in services for port in each.ports]:
        # ingress serves a port on every node, whatever the placement
        nodes = facts.find_nodes(service.constraints if port.is_host else (), now=False)
        groups = {group for node in nodes for group in facts.groups.get(node["ID"], ())}
        opened = [rule for rule in facts.rules if _opens(rule, port)]
        if not groups or any(rule.group in groups for rule in opened):
            continue
        group = "web" if "web" in groups else min(groups)
        (report.warn if opened else report.error)(
            ("services", service.name, "ports", port.index),
            f"a rule that opens {port} on a node that serves it",
            f"only {in_words(list(map(str, opened)))}" if opened else "no security group opens it",
            f"add to open_ports of 02_security_groups:  {group}: {port} from {INTERNET}",
        )


def _opens(rule: Permission, port: Port) -> bool:
    is_in = rule.protocol == port.protocol and rule.from_port <= port.published <= rule.to_port
    return is_in or rule.protocol == "-1"
