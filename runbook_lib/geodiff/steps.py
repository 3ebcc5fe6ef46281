"""
The live state of every step, found again from EC2, the engines and the Swarm; nothing is stored.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import docker
import pandas as pd

from runbook_lib.cloud.firewall import guide_rules, rule_changes
from runbook_lib.cloud.instances import Instance, Wanted, find_instances
from runbook_lib.cloud.security_group_rules import find_permissions
from runbook_lib.cloud.security_groups import find_groups
from runbook_lib.core.errors import RunbookError
from runbook_lib.geodiff import web
from runbook_lib.geodiff.tiles import VOLUME
from runbook_lib.hosts.docker_ssh import find_docker_clients
from runbook_lib.hosts.ssh import connect_all
from runbook_lib.stacks.containers import find_services
from runbook_lib.stacks.convergence import convergence

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

DONE, NOT_YET, DIFFERS = "done", "not yet", "differs"
MARKS = {DONE: "🟢", NOT_YET: "⚪", DIFFERS: "🟠"}


@dataclass(frozen=True)
class Step:
    """
    One notebook's effect as it is now.
    """

    notebook: str
    state: str
    detail: str


def find_steps(
    ec2: "EC2Client",
    cluster: str,
    wanted: list[Wanted],
    *,
    key_file: str,
    operator_cidr: str,
    stack_name: str,
    web_stack_name: str,
) -> list[Step]:
    """
    Look at the cluster from the outside inwards; a step behind a closed door is "not yet".
    """
    found = find_instances(ec2, cluster)
    steps = [_instances(found, wanted), _groups(ec2, cluster, operator_cidr)]
    running = [i for i in found if i.state == "running" and i.public_ip]
    names = ["03_install", "04_tiles", "05_swarm", "06_work_stack", "07_web_stack"]
    if not running or steps[1].state == NOT_YET:
        return [*steps, *(Step(name, NOT_YET, "no instance to look into") for name in names)]
    try:
        connections = connect_all(running, key_file, timeout_s=10)
    except RunbookError as error:
        reason = str(error).splitlines()[0]
        return [*steps, *(Step(name, NOT_YET, reason) for name in names)]
    both = connections.keys() >= {"manager", "admin-web"}
    addresses = web.addresses({i.role: i for i in running}) if both else None
    clients = find_docker_clients(connections)
    return [
        *steps,
        *inner_steps(clients, len(wanted), stack_name, web_stack_name, addresses),
    ]


def inner_steps(
    clients: Mapping[str, docker.DockerClient],
    count: int,
    stack_name: str,
    web_stack_name: str,
    addresses: web.Addresses | None,
) -> list[Step]:
    """
    The steps whose effect lies on the instances, as the engines of `count` instances tell it.

    Parameters
    ----------
    addresses
        Those that the web stack should tell; None where one of its nodes does not run.
    """
    looks: dict[str, Callable[[docker.DockerClient], Step]] = {
        "04_tiles": _tiles,
        "05_swarm": lambda client: _swarm(client, count - 1),
        "06_work_stack": lambda client: _stack(client, "06_work_stack", stack_name),
        "07_web_stack": lambda client: _web(client, web_stack_name, addresses),
    }
    manager = clients.get("manager")
    steps = [_install(clients, count)]
    for name, look in looks.items():
        steps.append(look(manager) if manager else Step(name, NOT_YET, "no engine on the manager"))
    return steps


def step_table(steps: list[Step]) -> pd.DataFrame:
    """
    One row a step; columns: state (with its light), notebook, detail.
    """
    rows = [(f"{MARKS[s.state]} {s.state}", s.notebook, s.detail) for s in steps]
    return pd.DataFrame(rows, columns=["state", "notebook", "detail"])


def next_step(steps: list[Step]) -> str:
    """
    The first notebook whose effect is not there; "" where all are.
    """
    return next((s.notebook for s in steps if s.state != DONE), "")


def _instances(found: list[Instance], wanted: list[Wanted]) -> Step:
    running = sum(i.state == "running" for i in found)
    detail = f"{running} of {len(wanted)} run"
    if not found:
        return Step("01_instances", NOT_YET, detail)
    return Step("01_instances", DONE if running == len(wanted) else DIFFERS, detail)


def _groups(ec2: "EC2Client", cluster: str, operator_cidr: str) -> Step:
    groups = find_groups(ec2, cluster)
    if not groups:
        return Step("02_security_groups", NOT_YET, "no group")
    ids = {group.name: group.group_id for group in groups}
    changes = rule_changes(find_permissions(ec2, ids), guide_rules(operator_cidr))
    extra, missing = len(changes.revoke), len(changes.authorize)
    state = DIFFERS if extra or missing else DONE
    return Step("02_security_groups", state, f"{missing} rules missing, {extra} too many")


def _install(clients: Mapping[str, docker.DockerClient], count: int) -> Step:
    state = DONE if len(clients) == count else (DIFFERS if clients else NOT_YET)
    return Step("03_install", state, f"Docker on {len(clients)} of {count}")


def _tiles(manager: docker.DockerClient) -> Step:
    names = [v.name for v in manager.volumes.list(filters={"name": VOLUME})]
    there = VOLUME in names
    return Step(
        "04_tiles", DONE if there else NOT_YET, f"volume {VOLUME}" if there else "no volume"
    )


def _swarm(manager: docker.DockerClient, count: int) -> Step:
    if missing := _no_swarm(manager, "05_swarm"):
        return missing
    states = [node.attrs["Status"]["State"] for node in manager.nodes.list()]
    ready = states.count("ready")
    state = DONE if count <= ready == len(states) else DIFFERS
    return Step("05_swarm", state, f"{ready} of {len(states)} nodes ready")


def _stack(manager: docker.DockerClient, step: str, name: str) -> Step:
    if missing := _no_swarm(manager, step):
        return missing
    states = [convergence(manager, service) for service in find_services(manager, name)]
    if not states:
        return Step(step, NOT_YET, f"no stack {name}")
    done = sum(s.done for s in states)
    state = DONE if done == len(states) else DIFFERS
    return Step(step, state, f"{done} of {len(states)} services as wanted")


def _web(manager: docker.DockerClient, name: str, addresses: web.Addresses | None) -> Step:
    """
    Public addresses change when an instance was stopped; the services still tell the old ones.
    """
    step = _stack(manager, "07_web_stack", name)
    if step.state != DONE or addresses is None:
        return step
    wanted = addresses.variables
    told = [
        variable.split("=", 1)
        for service in find_services(manager, name)
        for variable in service.attrs["Spec"]["TaskTemplate"]["ContainerSpec"].get("Env", [])
    ]
    old = [value for key, value in told if key in wanted and value != wanted[key]]
    return Step(step.notebook, DIFFERS, f"it still tells {', '.join(old)}") if old else step


def _no_swarm(manager: docker.DockerClient, step: str) -> Step | None:
    swarm = manager.info()["Swarm"]
    if not swarm.get("ControlAvailable"):
        return Step(step, NOT_YET, "no Swarm")
    error = str(swarm.get("Error", ""))
    return Step(step, DIFFERS, error) if error else None
