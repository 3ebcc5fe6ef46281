"""
The history of a stack: its deployments that converged, kept in the Swarm.

An entry is a Swarm config, so each manager has it and a new computer finds it. Whoever may inspect
the services may read it: it holds their specifications, and the files as they were deployed.
"""

import base64
import contextlib
import gzip
import io
import json
import shlex
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import docker
import pandas as pd

from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import ConflictError
from runbook_lib.stacks.compose.stack_file import StackFile
from runbook_lib.stacks.compose.variables import NOT_SHOWN
from runbook_lib.stacks.deployment.stack_specs import (
    differing_services,
    find_live_specs,
    networks_used,
)
from runbook_lib.stacks.running.containers import STACK, create_once, limited_name, remove_once
from runbook_lib.stacks.running.specs import Spec

HISTORY = "runbook.history"
KEPT = 10
_UNPACKED = 100_000_000
LARGEST = 500_000
"""Bytes of an entry, compressed; Swarm takes 500 kB, or twice as much since Docker 20.10."""


@dataclass(frozen=True)
class Deployment:
    """
    What a stack was once: the specifications by service, with the digests of the images.

    `networks` are the names of the networks that the specifications name by id; `left_out` is what
    had no room in the entry.
    """

    stack: str
    how: str
    documents: list[str]
    variables: list[list[str]]
    overlays: list[str]
    number: int
    time: str
    specs: dict[str, Spec]
    networks: dict[str, str]
    left_out: list[str]


def record(
    manager: docker.DockerClient, stack: StackFile, name: str, documents: Sequence[str] = ()
) -> Changes:
    """
    Keep what runs now as the newest entry, unless the last one has the same specifications.

    For a stack that has converged. Values that came from a file of values are not kept as such.

    Parameters
    ----------
    documents
        The files as they were deployed.
    """
    variables = [[v.name, v.value if v.shown else NOT_SHOWN, v.source] for v in stack.variables]
    its = "deployed", list(documents), variables, list(stack.overlays)
    return _store(manager, Deployment(name, *its, 0, "", {}, {}, []))


def record_rollback(manager: docker.DockerClient, to: Deployment) -> Changes:
    """
    Keep what runs after a rollback as the newest entry, as `record` does.
    """
    return _store(manager, replace(to, how=f"rolled back to {to.number}"))


def find_history(manager: docker.DockerClient, stack: str) -> list[Deployment]:
    """
    Find the deployments kept of a stack, the newest last.
    """
    entries = [_read(config) for config in _configs(manager, stack)]
    return sorted(entries, key=lambda entry: entry.number)


def find_last(manager: docker.DockerClient, stack: str) -> Deployment | None:
    """
    Find the newest deployment of a stack that converged.
    """
    return next(reversed(find_history(manager, stack)), None)


def history_table(manager: docker.DockerClient, stack: str) -> pd.DataFrame:
    """
    Return one row per deployment, the newest first; columns: number, time, how, services, changed,
    overlays, runs.

    `changed` names the services that differ from the deployment before; `runs` is yes for what
    runs now.
    """
    history, live = find_history(manager, stack), find_live_specs(manager, stack)
    rows, before = [], dict[str, Spec]()
    for entry in history:
        changed = differing_services(entry.specs, before)
        names = ", ".join(name.removeprefix(f"{stack}_") for name in changed)
        runs = "" if differing_services(entry.specs, live) else "yes"
        overlays = ", ".join(entry.overlays)
        rows.append((entry.number, entry.time, entry.how, len(entry.specs), names, overlays, runs))
        before = entry.specs
    columns = ["number", "time", "how", "services", "changed", "overlays", "runs"]
    return pd.DataFrame(rows[::-1], columns=columns)


def remove_history(manager: docker.DockerClient, stack: str) -> Changes:
    """
    Remove the history of a stack.
    """
    changes = Changes()
    for config in _configs(manager, stack):
        if remove_once(config.remove):
            changes.add("history", str(config.name), "removed")
    return changes


def _store(manager: docker.DockerClient, entry: Deployment) -> Changes:
    stack, changes, specs = entry.stack, Changes(), find_live_specs(manager, entry.stack)
    last = find_last(manager, stack)
    if not specs or (last and not differing_services(specs, last.specs)):
        return changes
    number = last.number + 1 if last else 1
    time = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
    used = {one["Target"] for spec in specs.values() for one in networks_used(spec)}
    networks = {str(n.id): str(n.name) for n in manager.networks.list() if n.id in used}
    entry = replace(entry, number=number, time=time, specs=specs, networks=networks, left_out=[])
    for part in ("", "documents", "variables"):  # these go, if the whole does not fit
        if part:
            parts: dict[str, Any] = {part: [], "left_out": [*entry.left_out, part]}
            entry = replace(entry, **parts)
        data = gzip.compress(json.dumps(asdict(entry)).encode(), mtime=0)
        if len(data) <= LARGEST:
            break
    else:
        seen = f"not recorded: its specifications take {len(data)} bytes, of {LARGEST}"
        changes.add("history", f"{stack} {number}", seen)
        return changes
    labels = {HISTORY: stack, "n": str(number), "time": time, "how": entry.how}
    name = limited_name(f"runbook.{stack}", f".{number}")
    if not create_once(partial(manager.configs.create, name=name, data=data, labels=labels)):
        return _store(manager, entry)  # after the one that another run has recorded meanwhile
    without = f" without its {' and '.join(entry.left_out)}: no room" if entry.left_out else ""
    changes.add("history", f"{stack} {number}", f"recorded{without}")
    for config in _configs(manager, stack):
        if int(config.attrs["Spec"]["Labels"]["n"]) <= number - KEPT:
            remove_once(config.remove)
    return changes


def _configs(manager: docker.DockerClient, stack: str) -> list[Any]:
    return manager.configs.list(filters={"label": f"{HISTORY}={stack}"})


def _read(config: Any) -> Deployment:  # noqa: ANN401 - the SDK's Config lacks attrs in the stubs
    with contextlib.suppress(
        OSError, EOFError, zlib.error, ValueError, TypeError, LookupError, AttributeError
    ):
        labels = config.attrs["Spec"]["Labels"]
        with gzip.open(io.BytesIO(base64.b64decode(config.attrs["Spec"]["Data"]))) as unpacked:
            entry = Deployment(**json.loads(unpacked.read(_UNPACKED)))
        if isinstance(entry.number, int) and _fits(entry, labels):
            return entry
    raise ConflictError(
        f"expected the config {config.name} to be a deployment in the history; it is none",
        next_step=f"docker config rm {shlex.quote(str(config.name))}  on the manager",
    )


def _fits(entry: Deployment, labels: Mapping[str, str]) -> bool:
    # whoever may write configs could have written it; a rollback creates what it says
    services = all(
        (spec["Name"], spec["Labels"][STACK]) == (name, entry.stack)
        and "Mode" in spec
        and "ContainerSpec" in spec["TaskTemplate"]
        for name, spec in entry.specs.items()
    )
    variables = all(len(variable) == 3 for variable in entry.variables)
    label = (labels[HISTORY], labels["n"]) == (entry.stack, str(entry.number))
    return services and variables and label
