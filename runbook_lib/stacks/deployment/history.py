"""
The history of a stack: its deployments that converged, kept in the Swarm, and the way back to one.

An entry is a Swarm config, so each manager has it and a new computer finds it. Whoever may inspect
the services may read it: it holds their specifications, and the files as they were deployed.
"""

import base64
import contextlib
import gzip
import io
import json
import re
import shlex
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import docker
import pandas as pd

from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import ConflictError, NotFoundError
from runbook_lib.core.words import in_words
from runbook_lib.notebook.declarations import SECRET_NAME
from runbook_lib.stacks.compose.rendering import LIVE_REPLICAS, OVERLAYS
from runbook_lib.stacks.compose.stack_file import StackFile
from runbook_lib.stacks.compose.variables import NOT_SHOWN
from runbook_lib.stacks.deployment.spec_fields import Tree, canonical, differences
from runbook_lib.stacks.running.containers import STACK, find_services, limited_name
from runbook_lib.stacks.running.specs import Spec, create_service, set_spec

HISTORY = "runbook.history"
KEPT = 10
_LONGEST = 120
_ITEMS = ("Configs", "Secrets", "Mounts")
_PLAIN = re.compile(r"^$|\.Image$|^Mode\.")
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


def get_deployment(manager: docker.DockerClient, stack: str, number: int = 0) -> Deployment:
    """
    Return the deployment of a number; 0 for the newest one that differs from what runs.

    After a rollback, 0 is where that went: a second one changes nothing.

    Raises NotFoundError if it is not kept; ConflictError if it has other overlays than what runs:
    their notebooks carry data over, which a rollback does not.
    """
    history, live = find_history(manager, stack), _live(manager, stack)
    last = history[-1] if history else None
    if number:
        found = next((entry for entry in history if entry.number == number), None)
    elif last and last.how != "deployed" and not _differing(last.specs, live):
        found = last
    else:
        found = next((e for e in reversed(history) if _differing(e.specs, live)), None)
    if found is None:
        what = f"deployment {number}" if number else "a deployment that differs from what runs"
        numbers = ", ".join(str(entry.number) for entry in history)
        raise NotFoundError(
            f"expected {what} in the history of {stack}; there is none",
            evidence=f"kept: {numbers or 'none'}",
            next_step="set to_deployment to a number that is kept, or deploy another stack file",
        )
    if live and (running := overlays_of(live)) != (then := overlays_of(found.specs)):
        raise ConflictError(
            f"expected deployment {found.number} of {stack} to have the overlays that run now: "
            f"{in_words(running)}; it had {in_words(then)}",
            next_step="remove or add the solution with its own notebook (30 to 37), then run this",
        )
    return found


def roll_back(manager: docker.DockerClient, to: Deployment) -> Changes:
    """
    Set every service of the stack to the specification of a deployment.

    A service that is gone is created again, one that was not there is removed; one with the label
    `runbook.replicas: live` keeps its number of replicas.

    Raises NotFoundError, before anything changes, with every network, config and secret that the
    specifications name and the Swarm has no more.
    """
    wanted, live = _resolved(manager, to), _live(manager, to.stack)
    changes = Changes()
    # those that leave go first: they may hold a port
    for service in sorted(live.keys() - wanted.keys()):
        manager.api.remove_service(service)
        changes.add("service", service, "removed")
    for service, spec in sorted(wanted.items()):
        if service not in live:
            create_service(manager, spec)
            changes.add("service", service, "created")
        elif spec["Mode"].keys() != live[service]["Mode"].keys():  # Swarm does not change the mode
            manager.api.remove_service(service)
            create_service(manager, spec)
            changes.add("service", service, "replaced")
        elif spec != live[service]:
            set_spec(manager, service, spec)
            changes.add("service", service, "updated")
    return changes


def find_differences(
    manager: docker.DockerClient, to: Deployment
) -> list[tuple[str, str, object, object]]:
    """
    Find what a rollback would change: service, field, value now, value then; None for no value.
    """
    wanted, live = _resolved(manager, to), _live(manager, to.stack)
    networks = {str(one.id): str(one.name) for one in manager.networks.list()}
    found: list[tuple[str, str, object, object]] = []
    for service in sorted(wanted.keys() | live.keys()):
        now, then = live.get(service), wanted.get(service)
        if now is None or then is None:
            found.append((service, "", now and "runs", then and "runs"))
        elif now != then:
            # without a field: the same in other words, of an older Docker for example
            trees = canonical(now, networks), canonical(then, networks)
            _shorten(*trees)
            changes = differences(*trees)
            found += [(service, *change) for change in changes or [("", None, None)]]
    return found


def rollback_table(manager: docker.DockerClient, to: Deployment) -> pd.DataFrame:
    """
    Return what a rollback will change; columns: service, field, now, then.

    Values are not shown if the stack was deployed with variables whose values are not; only the
    images and the replicas are.
    """
    entries = [to, find_last(manager, to.stack) or to]
    hides = any(value == NOT_SHOWN for entry in entries for _, value, _ in entry.variables)
    rows = []
    for service, path, *values in find_differences(manager, to):
        if path.endswith(("SecretID", "ConfigID")):  # its name says more
            continue
        is_secret = ".Env." in path and SECRET_NAME.search(path.partition(".Env.")[2])
        hidden = is_secret or (hides and not _PLAIN.search(path))
        texts = [NOT_SHOWN if hidden and value is not None else _short(value) for value in values]
        rows.append((service, path, *texts))
    return pd.DataFrame(rows, columns=["service", "field", "now", "then"])


def history_table(manager: docker.DockerClient, stack: str) -> pd.DataFrame:
    """
    Return one row per deployment, the newest first; columns: number, time, how, services, changed,
    overlays, runs.

    `changed` names the services that differ from the deployment before; `runs` is yes for what
    runs now.
    """
    history, live = find_history(manager, stack), _live(manager, stack)
    rows, before = [], dict[str, Spec]()
    for entry in history:
        changed = _differing(entry.specs, before)
        names = ", ".join(name.removeprefix(f"{stack}_") for name in changed)
        runs = "" if _differing(entry.specs, live) else "yes"
        overlays = ", ".join(entry.overlays)
        rows.append((entry.number, entry.time, entry.how, len(entry.specs), names, overlays, runs))
        before = entry.specs
    columns = ["number", "time", "how", "services", "changed", "overlays", "runs"]
    return pd.DataFrame(rows[::-1], columns=columns)


def overlays_of(specs: Mapping[str, Spec]) -> list[str]:
    """
    Return the overlays of the deployed services, in order.
    """
    # an interrupted deployment reached only some services: the longer list is the newer one
    labels = [(spec.get("Labels") or {}).get(OVERLAYS, "") for spec in specs.values()]
    return list(filter(None, max(labels, key=len, default="").split(",")))


def remove_history(manager: docker.DockerClient, stack: str) -> Changes:
    """
    Remove the history of a stack.
    """
    changes = Changes()
    for config in _configs(manager, stack):
        config.remove()
        changes.add("history", str(config.name), "removed")
    return changes


def _store(manager: docker.DockerClient, entry: Deployment) -> Changes:
    stack, changes, specs = entry.stack, Changes(), _live(manager, entry.stack)
    last = find_last(manager, stack)
    if not specs or (last and not _differing(specs, last.specs)):
        return changes
    number = last.number + 1 if last else 1
    time = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
    used = {one["Target"] for spec in specs.values() for one in _networks(spec)}
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
    manager.configs.create(name=name, data=data, labels=labels)
    without = f" without its {' and '.join(entry.left_out)}: no room" if entry.left_out else ""
    changes.add("history", f"{stack} {number}", f"recorded{without}")
    for config in _configs(manager, stack):
        if int(config.attrs["Spec"]["Labels"]["n"]) <= number - KEPT:
            config.remove()
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


def _live(manager: docker.DockerClient, stack: str) -> dict[str, Spec]:
    return {str(s.name): s.attrs["Spec"] for s in find_services(manager, stack)}


def _differing(one: Mapping[str, Spec], other: Mapping[str, Spec]) -> list[str]:
    """
    Return the services that differ, apart from the replicas that an autoscaler sets.
    """
    names = sorted(one.keys() | other.keys())
    return [n for n in names if _settled(one.get(n)) != _settled(other.get(n))]


def _settled(spec: Spec | None) -> Spec | None:
    return {**spec, "Mode": "live"} if spec and _scales(spec) else spec


def _scales(spec: Spec) -> bool:
    return "Replicated" in spec["Mode"] and LIVE_REPLICAS.items() <= spec["Labels"].items()


def _shorten(one: Tree, other: Tree) -> None:
    """
    Replace a mount, file or network that only one of them has by "yes": one line, not six.
    """
    tasks = [tree["TaskTemplate"] for tree in (one, other)]
    containers = [task.get("ContainerSpec") or {} for task in tasks]
    for (left, right), names in ((tasks, ["Networks"]), (containers, _ITEMS)):
        for name in names:
            mine, theirs = left.get(name) or {}, right.get(name) or {}
            for key in mine.keys() ^ theirs.keys():
                (mine if key in mine else theirs)[key] = "yes"


def _networks(spec: Spec) -> list[dict[str, Any]]:
    # those of a service were in the specification itself until API 1.25
    return [*(spec["TaskTemplate"].get("Networks") or []), *(spec.get("Networks") or [])]


def _short(value: object) -> str:
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


def _resolved(manager: docker.DockerClient, to: Deployment) -> dict[str, Spec]:
    """
    Return the specifications with the ids of today and with the replicas that are kept.

    What was removed and made again under its name has another id.
    """
    live = _live(manager, to.stack)
    kinds: dict[str, Any] = {
        "network": manager.networks,
        "secret": manager.secrets,
        "config": manager.configs,
    }
    found = {
        kind: {str(one.id): str(one.name) for one in collection.list()}
        for kind, collection in kinds.items()
    }
    gone = set()

    def current(kind: str, identity: str, name: str) -> str:
        its = found[kind]
        if identity not in its and name not in its.values():
            gone.add(f"{kind} {name}")
        return identity if identity in its else next((i for i in its if its[i] == name), identity)

    wanted: dict[str, Spec] = json.loads(json.dumps(to.specs))
    for service, spec in wanted.items():
        for network in _networks(spec):
            target = network["Target"]
            network["Target"] = current("network", target, to.networks.get(target, target))
        container = spec["TaskTemplate"]["ContainerSpec"]
        for kind, key in [("secret", "Secret"), ("config", "Config")]:
            for used in container.get(f"{key}s") or []:
                used[f"{key}ID"] = current(kind, used[f"{key}ID"], used[f"{key}Name"])
        if _scales(spec) and service in live and _scales(live[service]):
            spec["Mode"] = live[service]["Mode"]
    if gone:
        raise NotFoundError(
            f"expected what deployment {to.number} of {to.stack} uses; "
            f"no longer in the Swarm: {', '.join(sorted(gone))}",
            next_step="create it again under its name, or deploy a stack file with 06_work_stack",
        )
    return wanted
