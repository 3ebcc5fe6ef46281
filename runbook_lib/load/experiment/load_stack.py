"""
The work stack switched to a load test in place, and restored exactly.

Instead of `docker stack deploy`, the services' own specifications are changed and later restored,
so that the test uses what is deployed, and the restore takes one request per service. A Swarm
config keeps the original specifications during the test, so that the next run can repair the stack
after a killed one.
"""

import base64
import copy
import json
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import docker
from docker.models.configs import Config

from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import CommandError, ConflictError, NotFoundError
from runbook_lib.core.findings import first_line
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.geodiff.management_api import ManagementApi
from runbook_lib.stacks.deploy import wait_for_stack
from runbook_lib.stacks.running.containers import create_once
from runbook_lib.stacks.running.specs import Spec, find_specs, running, scale, set_spec

SWITCHED = ("updater", "admin-worker", "worker", "dealer")
"""The services that a load test changes."""
_WORK = ("TASK_QUEUE", "RESULT_QUEUE")


def spec_for_load(spec: Spec, variables: Mapping[str, object], tiles: str) -> Spec:
    """
    Return a service's specification with other tiles, and other values for its variables.

    A service with an audit trail (AUDIT) writes it next to the tiles, in a folder of the same name.
    """
    changed = copy.deepcopy(spec)
    container = changed["TaskTemplate"]["ContainerSpec"]
    mounts = container["Mounts"] = container.get("Mounts") or []
    for mount in mounts:
        if mount["Target"] == "/tiles":
            read_only = mount.get("ReadOnly", False)
            mount.clear()
            mount |= {"Type": "bind", "Source": tiles, "Target": "/tiles", "ReadOnly": read_only}
    given = dict(entry.partition("=")[::2] for entry in container.get("Env") or [])
    if given:
        container["Env"] = [f"{name}={variables.get(name, given[name])}" for name in given]
    audit = str(variables.get("AUDIT", "no"))
    if audit != "no" and "AUDIT" in given:
        mounts.append({"Type": "bind", "Source": f"{tiles}{audit}", "Target": audit})
    return changed


def limited(spec: Spec, cpus: float) -> Spec:
    """
    Return a service's specification with another CPU limit, and no higher reservation.
    """
    changed = copy.deepcopy(spec)
    resources = changed["TaskTemplate"].setdefault("Resources", {})
    limits, reservations = (resources.setdefault(k, {}) for k in ("Limits", "Reservations"))
    limits["NanoCPUs"] = int(cpus * 1e9)
    reservations["NanoCPUs"] = min(reservations.get("NanoCPUs", 0), limits["NanoCPUs"])
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
    Run the stack on the tiles of a load test, and always restore it at the end.

    Yields the original specifications.

    Parameters
    ----------
    tiles
        The folder on the manager that replaces the guide's tiles.
    worker_cpus
        The CPU limit of each worker; 0 for the stack file's value.
    """
    before = find_specs(manager, stack)
    if missing := set(SWITCHED) - before.keys():
        raise NotFoundError(
            f"expected the work stack {stack} with {', '.join(sorted(SWITCHED))}; some are missing",
            evidence=f"missing: {', '.join(sorted(missing))}",
            next_step="run 06_work_stack",
        )
    data = json.dumps(before).encode()
    if not create_once(partial(manager.configs.create, name=_config(stack), data=data)):
        raise ConflictError(
            f"expected no other load test of the stack {stack}; one has just begun",
            evidence=f"the config {_config(stack)} keeps the stack that it restores",
            next_step="wait until it ends, then run this notebook again",
        )
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
    changes = Changes()
    _stop_flow(manager, api, stack)
    now = find_specs(manager, stack)
    for name in ("admin-worker", "worker", "updater", "dealer"):
        if now[name] != before[name]:
            set_spec(manager, f"{stack}_{name}", before[name])
            changes.add("service", f"{stack}_{name}", "put back")
    for config in find_kept(manager, stack):
        config.remove()
    return changes


def _stop_flow(manager: docker.DockerClient, api: ManagementApi, stack: str) -> None:
    # No result of the load may reach the guide's tiles, and in a rolling update old and new
    # updaters would consume from one queue. Discarded tiles of the guide are dealt again.
    ends = [f"{stack}_dealer", f"{stack}_updater"]
    for service in ends:
        scale(manager, service, 0)

    def count() -> tuple[int, float]:
        left = sum(running(manager, service) for service in ends)
        for queue in _WORK:
            api.purge(queue)
        return left, waiting(api)

    step = "run this notebook again: it first puts the stack back"
    what = "Dealer and updaters stopped, queues empty"
    wait_until_empty(what, count, timeout_s=60, poll_s=0.6, next_step=step)


def wait_until_empty(
    what: str,
    count: Callable[[], tuple[int, float]],
    *,
    timeout_s: float,
    poll_s: float,
    next_step: str = "",
) -> None:
    """
    Wait until there are no publishing tasks and no messages; `count` returns both numbers.

    They must be zero in three polls in a row, as the broker updates its counts once a second.
    """
    empty = 0

    def probe() -> bool | Pending:
        nonlocal empty
        try:
            left, messages = count()
        except CommandError as error:  # the broker may be restarting
            return Pending(first_line(error))
        empty = 0 if left or messages else empty + 1
        return empty >= 3 or Pending(f"{left} tasks run, {messages} messages")

    wait_for(what, probe, timeout_s=timeout_s, poll_s=poll_s, next_step=next_step)


def ensure_put_back(manager: docker.DockerClient, api: ManagementApi, stack: str) -> Changes:
    """
    Restore the stack after a killed load test; without one there is nothing to do.

    If 06 has deployed the stack since then, only the config is removed.
    """
    changes = Changes()
    for kept in find_kept(manager, stack):
        specs = find_specs(manager, stack)
        if any(_is_switched(specs[name]) for name in SWITCHED if name in specs):
            before = json.loads(base64.b64decode(kept.attrs["Spec"]["Data"]))
            return _put_back(manager, api, stack, before)
        kept.remove()
        changes.add("config", _config(stack), "removed")
    return changes


def find_kept(manager: docker.DockerClient, stack: str) -> list[Config]:
    """
    Find the config with the original specifications; if no load test is running, it is from a
    killed one.
    """
    return [c for c in manager.configs.list() if c.name == _config(stack)]


def _is_switched(spec: Spec) -> bool:
    # a load test stopped the service, or gave it other tiles
    mounts = spec["TaskTemplate"]["ContainerSpec"].get("Mounts") or []
    on_others = any(m["Target"] == "/tiles" and m["Type"] == "bind" for m in mounts)
    return on_others or not spec["Mode"]["Replicated"]["Replicas"]


def waiting(api: ManagementApi) -> float:
    """
    Count the messages in the queues of tasks and results, ready or unacknowledged; NaN if unknown.
    """
    return sum(q.messages for q in api.queues() if q.name in _WORK)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """
    Delay interrupts until a restore is complete.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    interrupts: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _frame: interrupts.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if interrupts:
        raise KeyboardInterrupt


def _config(stack: str) -> str:
    return f"{stack}.before-load-test"
