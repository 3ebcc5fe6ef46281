"""
What a stack expects to exist already: networks, volumes, secrets and configs.
"""

from collections.abc import Collection

from runbook_lib.core.words import in_words
from runbook_lib.stacks.compose.merging import read_mount
from runbook_lib.stacks.lint.declared import Declared
from runbook_lib.stacks.lint.facts import ClusterFacts
from runbook_lib.stacks.lint.problems import Report
from runbook_lib.swarm.nodes import hostname

_LOCAL = ("bridge", "host", "none", "null", "macvlan", "ipvlan")


def check_existing(report: Report, facts: ClusterFacts, made: Collection[str]) -> None:
    """
    Report external secrets, configs and networks that do not exist, and networks of one node.

    `made` are the secrets that the deployment will create.
    """
    stack = report.stack
    made = {*made, *stack.generated_secrets}
    exist = {"secret": {*facts.secrets, *made}, "config": facts.configs}
    for kind, names in exist.items():
        for key, name in stack.external(f"{kind}s").items():
            if name not in names and not (kind == "secret" and key in made):
                step = f"docker {kind} create {name} FILE"
                report.error(
                    (f"{kind}s", key), f"the external {kind} {name}", "there is none", step
                )
    used = {key for spec in stack.services.values() for key in spec.get("networks") or ["default"]}
    live = {network["Name"]: network for network in facts.networks}
    external = stack.external("networks")
    for key in stack.networks.keys() & used:
        name, driver = external.get(key, ""), str(stack.networks[key].get("driver", ""))
        create = f"docker network create --driver overlay --attachable {name}"
        if not name and driver in _LOCAL:
            expected, seen = (
                "a network of the whole Swarm",
                f"{driver} makes one on the manager alone",
            )
            report.error(("networks", key, "driver"), expected, seen, "set driver: overlay")
        elif name in _LOCAL or not name:
            continue  # Docker's own network of that name is on every node
        elif name not in live:
            report.error(("networks", key), f"the external network {name}", "there is none", create)
        elif live[name].get("Scope") != "swarm":
            seen = f"its driver is {live[name].get('Driver')}: it is on one node"
            expected, step = f"{name} as a network of the whole Swarm", f"docker network rm {name}"
            report.error(("networks", key), expected, seen, f"{step} && {create}")


def check_volumes(report: Report, service: Declared, facts: ClusterFacts) -> None:
    """
    Report external volumes that a node lacks: Docker would create an empty one there.
    """
    external = report.stack.external("volumes")
    nodes = facts.find_nodes(service.constraints)
    for index, mount in enumerate(report.stack.services[service.name].get("volumes") or []):
        name = external.get(read_mount(mount)[0], "")
        lack = [n for n in nodes if name not in facts.volumes.get(n["ID"], [name])]
        if name and lack:
            (report.error if len(lack) == len(nodes) else report.warn)(
                ("services", service.name, "volumes", index),
                f"the external volume {name} wherever {service.name} may run",
                f"{in_words(list(map(hostname, lack)))} lacks it and would get an empty one",
                f"docker volume create {name}  there, or a constraint to the node that has it",
            )
