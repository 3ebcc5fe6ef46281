"""
The work stack switched over to a load test in place, and put back exactly as it was.

Not by `docker stack deploy`: the services' own specifications are changed and later restored, so
that what is tested is what is deployed, and putting it back takes one request a service. What was
there is kept as a Swarm config while the test lasts, so that the next run can put right what a
killed one left.
"""

import base64
import copy
import json
import math
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import docker
from docker.errors import APIError
from docker.models.configs import Config

from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import CommandError, NotFoundError
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.geodiff.management_api import ManagementApi
from runbook_lib.stacks.deploy import wait_for_stack
from runbook_lib.stacks.specs import Spec, find_specs, running, scale, set_spec

_EMPTY_LOOKS = 3
"""In a row: the broker counts once a second."""
SWITCHED = ("updater", "admin-worker", "worker", "dealer")
"""The services that a load test changes."""
_WORK = ("TASK_QUEUE", "RESULT_QUEUE")


def spec_for_load(spec: Spec, variables: Mapping[str, object], tiles: str) -> Spec:
    """
    A service's specification with other values for the variables that it has, and other tiles.

    Books that it is to keep (AUDIT) are kept beside the tiles, in a folder of the same name.
    """
    changed = copy.deepcopy(spec)
    container = changed["TaskTemplate"]["ContainerSpec"]
    pairs = [entry.partition("=")[::2] for entry in container.get("Env") or []]
    if pairs:
        container["Env"] = [f"{name}={variables.get(name, value)}" for name, value in pairs]
    container["Mounts"] = [
        {
            "Type": "bind",
            "Source": tiles,
            "Target": m["Target"],
            "ReadOnly": m.get("ReadOnly", False),
        }
        if m["Target"] == "/tiles"
        else m
        for m in container.get("Mounts") or []
    ]
    books = str(variables.get("AUDIT", "no"))
    if books != "no" and "AUDIT" in dict(pairs):
        book_mount = {"Type": "bind", "Source": f"{tiles}{books}", "Target": books}
        container["Mounts"].append(book_mount)
    return changed


def limited(spec: Spec, cpus: float) -> Spec:
    """
    A service's specification with another limit of CPU; its reservation cannot be more.
    """
    changed = copy.deepcopy(spec)
    resources = changed["TaskTemplate"].setdefault("Resources", {})
    for kind in ("Limits", "Reservations"):
        part = resources.setdefault(kind, {})
        there = part.get("NanoCPUs", 0) if kind == "Reservations" else math.inf
        part["NanoCPUs"] = min(there, int(cpus * 1e9))
    return changed


@contextmanager
def switched(
    manager: docker.DockerClient,
    api: ManagementApi,
    stack: str,
    variables: Mapping[str, object],
    tiles: str,
    worker_cpus: float = 0.0,
) -> Iterator[dict[str, Spec]]:
    """
    Run the stack on the tiles of a load test; in the end everything is as it was, whatever happens.

    Yields the specifications that were there before.

    Parameters
    ----------
    tiles
        The folder on the manager that takes the place of the guide's tiles.
    worker_cpus
        The CPU that each worker may use; 0 for what the stack file says.
    """
    before = find_specs(manager, stack)
    _keep(manager, stack, before)
    try:
        _stop_flow(manager, api, stack)
        for name in SWITCHED:
            wanted = spec_for_load(before[name], variables, tiles)
            if name == "worker" and worker_cpus:
                wanted = limited(wanted, worker_cpus)
            set_spec(manager, f"{stack}_{name}", wanted)
        wait_for_stack(manager, stack)
        yield before
    finally:
        with uninterrupted():
            _put_back(manager, api, stack, before)


def _put_back(
    manager: docker.DockerClient, api: ManagementApi, stack: str, before: Mapping[str, Spec]
) -> Changes:
    """
    Let the work in hand run out, then restore every service.
    """
    changes = Changes()
    _stop_flow(manager, api, stack)
    now = find_specs(manager, stack)
    for name in ("admin-worker", "worker", "updater", "dealer"):
        if now[name] != before[name]:
            set_spec(manager, f"{stack}_{name}", before[name])
            changes.add("service", f"{stack}_{name}", "put back")
    _forget(manager, stack)
    return changes


def _stop_flow(manager: docker.DockerClient, api: ManagementApi, stack: str) -> None:
    """
    Stop dealing and storing, and throw away what is under way.

    No result of the load may reach the guide's tiles, and a rolling update would let old and new
    updaters take from one queue. A tile of the guide that is thrown away is dealt again.
    """
    ends = [f"{stack}_dealer", f"{stack}_updater"]
    for service in ends:
        scale(manager, service, 0)
    empty = 0

    def stopped() -> bool | Pending:
        nonlocal empty
        left = sum(running(manager, service) for service in ends)
        try:
            for queue in _WORK:
                api.purge(queue)
            messages = waiting(api)
        except CommandError as error:  # the broker may be on its way back
            return Pending(str(error).splitlines()[0])
        empty = 0 if left or messages else empty + 1
        return empty == _EMPTY_LOOKS or Pending(f"{left} tasks run, {messages} messages")

    wait_for(
        "Nothing of the load under way",
        stopped,
        timeout_s=60,
        poll_s=0.6,
        next_step="run this notebook again: it puts right what was left",
    )


def ensure_put_back(manager: docker.DockerClient, api: ManagementApi, stack: str) -> Changes:
    """
    Put right what a killed load test left; nothing to do where none was.

    A deployment of 06 since then has put it right already: what was kept is then forgotten.
    """
    kept = find_kept(manager, stack)
    if not kept:
        return Changes()
    specs = find_specs(manager, stack)
    if any(_is_switched(specs[name]) for name in SWITCHED if name in specs):
        before = json.loads(base64.b64decode(kept[0].attrs["Spec"]["Data"]))
        return _put_back(manager, api, stack, before)
    changes = Changes()
    _forget(manager, stack)
    changes.add("config", _config(stack), "removed")
    return changes


def find_kept(manager: docker.DockerClient, stack: str) -> list[Config]:
    """
    What a load test keeps while it lasts, to be put back; after it, a killed one has left it.
    """
    return [c for c in manager.configs.list() if c.name == _config(stack)]


def _is_switched(spec: Spec) -> bool:
    """
    Whether a load test has stopped the service, or given it other tiles.
    """
    mounts = spec["TaskTemplate"]["ContainerSpec"].get("Mounts") or []
    on_others = any(m["Target"] == "/tiles" and m["Type"] == "bind" for m in mounts)
    return on_others or not spec["Mode"]["Replicated"]["Replicas"]


def waiting(api: ManagementApi) -> int:
    """
    The messages that wait in the queues of tasks and results, or are in somebody's hands.
    """
    return sum(q.messages for q in api.queues() if q.name in _WORK)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """
    Hold back interrupts while something is put back, which would leave it half done.

    One that comes meanwhile is raised in the end: whoever asked for it is not forgotten.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _frame: asked.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if asked:
        raise KeyboardInterrupt


def _config(stack: str) -> str:
    return f"{stack}.before-load-test"


def _keep(manager: docker.DockerClient, stack: str, specs: Mapping[str, Spec]) -> None:
    missing = set(SWITCHED) - specs.keys()
    if missing:
        raise NotFoundError(
            f"expected the work stack {stack} with dealer, worker, updater and admin-worker",
            evidence=f"missing: {', '.join(sorted(missing))}",
            next_step="run 06_work_stack",
        )
    manager.configs.create(name=_config(stack), data=json.dumps(specs).encode())


def _forget(manager: docker.DockerClient, stack: str) -> None:
    for config in find_kept(manager, stack):
        try:
            config.remove()
        except APIError as error:
            raise CommandError(f"expected to remove the config {config.name}") from error
