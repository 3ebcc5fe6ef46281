"""
The live state of every step, from EC2, the engines and the Swarm; nothing is stored.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import docker
import pandas as pd

from runbook_lib.cloud.firewall import INTERNET, Rule, rule_changes, wanted_rules
from runbook_lib.cloud.instances import Instance, Wanted, find_instances
from runbook_lib.cloud.roles import MANAGER, WEB
from runbook_lib.cloud.security_group_rules import find_permissions
from runbook_lib.cloud.security_groups import find_groups
from runbook_lib.core.errors import RunbookError
from runbook_lib.geodiff import web
from runbook_lib.geodiff.tiles import VOLUME, find_volume
from runbook_lib.hosts.docker_ssh import find_docker_clients
from runbook_lib.hosts.ssh import connect_all
from runbook_lib.stacks.running.containers import find_services
from runbook_lib.stacks.running.convergence import convergence

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

DONE, NOT_YET, DIFFERS = "done", "not yet", "differs"
MARKS = {DONE: "✓", NOT_YET: "○", DIFFERS: "✗"}
_INNER = ("03_install", "04_tiles", "05_swarm", "06_work_stack", "07_web_stack")


@dataclass(frozen=True)
class StepState:
    """
    The current state of one notebook's effect.
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
    open_ports: Sequence[str] = (),
    web_cidr: str = INTERNET,
    tiles_url: str,
    stack_name: str,
    web_stack_name: str,
) -> list[StepState]:
    """
    Inspect the cluster from EC2 to the services; a step that cannot be inspected is "not yet".
    """
    instances = find_instances(ec2, cluster)
    groups = _groups(ec2, cluster, wanted_rules(operator_cidr, open_ports, web_cidr))
    outer = [_instances(instances, wanted), groups]
    running = {i.role: i for i in instances if i.state == "running" and i.public_ip}
    if not running or groups.state == NOT_YET:
        return outer + [StepState(name, NOT_YET, "no instance to connect to") for name in _INNER]
    try:
        connections = connect_all(list(running.values()), key_file, timeout_s=10)
    except RunbookError as error:
        reason = str(error).splitlines()[0]
        return outer + [StepState(name, NOT_YET, reason) for name in _INNER]
    addresses = web.addresses(running) if connections.keys() >= {MANAGER, WEB} else None
    clients = find_docker_clients(connections)
    return outer + inner_steps(
        clients, len(wanted), stack_name, web_stack_name, addresses, has_tiles=bool(tiles_url)
    )


def inner_steps(
    clients: Mapping[str, docker.DockerClient],
    count: int,
    stack_name: str,
    web_stack_name: str,
    addresses: web.Addresses | None,
    *,
    has_tiles: bool = True,
) -> list[StepState]:
    """
    Return the steps with effects on the `count` instances, as reported by their engines.

    `addresses`: the web stack's expected addresses; None if one of its nodes is not running. An
    application without tiles needs neither 04 nor the map of 07.
    """
    install, manager = _install(clients, count), clients.get(MANAGER)
    if manager is None:
        return [install, *(StepState(n, NOT_YET, "no engine on the manager") for n in _INNER[1:])]
    return [
        install,
        _tiles(manager, has_tiles),
        _swarm(manager, count - 1),
        _stack(manager, "06_work_stack", stack_name),
        _web(manager, web_stack_name, addresses, has_tiles),
    ]


def state_table(steps: list[StepState]) -> pd.DataFrame:
    """
    Return one row per step; columns: state (with its mark), notebook, detail.
    """
    rows = [(f"{MARKS[s.state]} {s.state}", s.notebook, s.detail) for s in steps]
    return pd.DataFrame(rows, columns=["state", "notebook", "detail"])


def next_step(steps: list[StepState]) -> str:
    """
    Return the first notebook whose effect is missing or differs; "" if there is none.
    """
    return next((s.notebook for s in steps if s.state != DONE), "")


def _instances(instances: list[Instance], wanted: list[Wanted]) -> StepState:
    running = sum(i.state == "running" for i in instances)
    state = DONE if running == len(wanted) else DIFFERS if instances else NOT_YET
    return StepState("01_instances", state, f"{running} of {len(wanted)} run")


def _groups(ec2: "EC2Client", cluster: str, rules: list[Rule]) -> StepState:
    groups = find_groups(ec2, cluster)
    if not groups:
        return StepState("02_security_groups", NOT_YET, "no group")
    ids = {group.name: group.group_id for group in groups}
    missing, extra = rule_changes(find_permissions(ec2, ids), rules)
    detail = f"{len(missing)} rules missing, {len(extra)} too many"
    return StepState("02_security_groups", DIFFERS if missing or extra else DONE, detail)


def _install(clients: Mapping[str, docker.DockerClient], count: int) -> StepState:
    state = DONE if len(clients) == count else (DIFFERS if clients else NOT_YET)
    return StepState("03_install", state, f"Docker on {len(clients)} of {count}")


def _tiles(manager: docker.DockerClient, has_tiles: bool) -> StepState:
    if find_volume(manager):
        return StepState("04_tiles", DONE, f"volume {VOLUME}")
    if not has_tiles:
        return StepState("04_tiles", DONE, "no tiles: tiles_url is empty")
    return StepState("04_tiles", NOT_YET, "no volume")


def _swarm(manager: docker.DockerClient, count: int) -> StepState:
    if missing := _no_swarm(manager, "05_swarm"):
        return missing
    states = [node.attrs["Status"]["State"] for node in manager.nodes.list()]
    ready = states.count("ready")
    state = DONE if count <= ready == len(states) else DIFFERS
    return StepState("05_swarm", state, f"{ready} of {len(states)} nodes ready")


def _stack(manager: docker.DockerClient, step: str, name: str) -> StepState:
    if missing := _no_swarm(manager, step):
        return missing
    states = [convergence(manager, service) for service in find_services(manager, name)]
    if not states:
        return StepState(step, NOT_YET, f"no stack {name}")
    done = sum(s.done for s in states)
    state = DONE if done == len(states) else DIFFERS
    return StepState(step, state, f"{done} of {len(states)} services as wanted")


def _web(
    manager: docker.DockerClient, name: str, addresses: web.Addresses | None, has_tiles: bool
) -> StepState:
    # after a stop, an instance has a new public address; its services may still use the old one
    step = _stack(manager, "07_web_stack", name)
    if step.state == NOT_YET and not has_tiles:
        return StepState(step.notebook, DONE, "no map: tiles_url is empty")
    if step.state != DONE or addresses is None:
        return step
    wanted = addresses.variables
    variables = [
        variable.split("=", 1)
        for service in find_services(manager, name)
        for variable in service.attrs["Spec"]["TaskTemplate"]["ContainerSpec"].get("Env", [])
    ]
    old = [value for key, value in variables if key in wanted and _is_old(value, wanted[key])]
    return StepState(step.notebook, DIFFERS, f"it still has {', '.join(old)}") if old else step


def _is_old(url: str, wanted: str) -> bool:
    # a name leads where a person has it lead
    host = urlsplit(url).hostname or ""
    return bool(re.fullmatch(r"[\d.]+", host)) and host != urlsplit(wanted).hostname


def _no_swarm(manager: docker.DockerClient, step: str) -> StepState | None:
    swarm = manager.info()["Swarm"]
    if not swarm.get("ControlAvailable"):
        return StepState(step, NOT_YET, "no Swarm")
    return StepState(step, DIFFERS, str(swarm["Error"])) if swarm.get("Error") else None
