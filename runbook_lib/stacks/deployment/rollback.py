"""
The way back to a deployment of the history: what it would change, and every service set to it.
"""

import json
import re
from typing import Any

import docker
import pandas as pd

from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import ConflictError, NotFoundError
from runbook_lib.core.words import in_words
from runbook_lib.notebook.declarations import SECRET_NAME
from runbook_lib.stacks.compose.variables import NOT_SHOWN
from runbook_lib.stacks.deployment.history import Deployment, find_history, find_last
from runbook_lib.stacks.deployment.spec_fields import Tree, canonical, differences
from runbook_lib.stacks.deployment.stack_specs import (
    differing_services,
    find_live_specs,
    is_autoscaled,
    networks_used,
    overlays_of,
)
from runbook_lib.stacks.running.specs import Spec, create_service, set_spec

_LONGEST = 120
_ITEMS = ("Configs", "Secrets", "Mounts")
_PLAIN = re.compile(r"^$|\.Image$|^Mode\.")


def get_deployment(manager: docker.DockerClient, stack: str, number: int = 0) -> Deployment:
    """
    Return the deployment of a number; 0 for the newest one that differs from what runs.

    After a rollback, 0 is where that went: a second one changes nothing.

    Raises NotFoundError if it is not kept; ConflictError if it has other overlays than what runs:
    their notebooks carry data over, which a rollback does not.
    """
    history, live = find_history(manager, stack), find_live_specs(manager, stack)
    last = history[-1] if history else None
    if number:
        found = next((entry for entry in history if entry.number == number), None)
    elif last and last.how != "deployed" and not differing_services(last.specs, live):
        found = last
    else:
        found = next((e for e in reversed(history) if differing_services(e.specs, live)), None)
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
            next_step="run the notebook of that overlay (32, 37, or 07 for web_tls), then this one",
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
    wanted, live = _resolved(manager, to), find_live_specs(manager, to.stack)
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
    wanted, live = _resolved(manager, to), find_live_specs(manager, to.stack)
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


def _short(value: object) -> str:
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


def _resolved(manager: docker.DockerClient, to: Deployment) -> dict[str, Spec]:
    """
    Return the specifications with the ids of today and with the replicas that are kept.

    What was removed and made again under its name has another id.
    """
    live = find_live_specs(manager, to.stack)
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
        for network in networks_used(spec):
            target = network["Target"]
            network["Target"] = current("network", target, to.networks.get(target, target))
        container = spec["TaskTemplate"]["ContainerSpec"]
        for kind, key in [("secret", "Secret"), ("config", "Config")]:
            for used in container.get(f"{key}s") or []:
                used[f"{key}ID"] = current(kind, used[f"{key}ID"], used[f"{key}Name"])
        if is_autoscaled(spec) and service in live and is_autoscaled(live[service]):
            spec["Mode"] = live[service]["Mode"]
    if gone:
        raise NotFoundError(
            f"expected what deployment {to.number} of {to.stack} uses; "
            f"no longer in the Swarm: {', '.join(sorted(gone))}",
            next_step="create it again under its name, or deploy a stack file with 06_work_stack",
        )
    return wanted
