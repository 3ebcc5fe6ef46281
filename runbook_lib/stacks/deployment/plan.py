"""
What a deployment would do to the Swarm, field by field, before anything is touched.

Docker's own command line deploys the stack on the manager, but its calls are recorded and not made.
So a plan compares exactly what Docker would send with what the Swarm has.
"""

import base64
import json
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import docker
import fabric

from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import ConflictError
from runbook_lib.core.project import FOLDER_VARIABLE, run_folder
from runbook_lib.core.tables import html_table
from runbook_lib.core.words import count_of, printable
from runbook_lib.notebook.declarations import SECRET_NAME
from runbook_lib.stacks.compose.rendering import keeps_replicas, render
from runbook_lib.stacks.compose.stack_file import StackFile
from runbook_lib.stacks.compose.variables import NOT_SHOWN, SHORT
from runbook_lib.stacks.deployment.docker_cli import Request, stack_deploy
from runbook_lib.stacks.deployment.live_stack import LiveStack, replicas
from runbook_lib.stacks.deployment.spec_fields import Spec, Tree, differences, restarts
from runbook_lib.stacks.running.containers import slow_hash

CREATED, UPDATED, RESTARTED, REMOVED = "created", "updated in place", "restarted", "removed"
DRIFTED = "changed by hand since the last deployment"
_LONGEST = 1000
_ENV = "TaskTemplate.ContainerSpec.Env."
_IMAGE = "TaskTemplate.ContainerSpec.Image"
PLANNED = "planned-"
"""How the recorder's ids begin."""
_ORDER = ["secret", "config", "network", "service"]


@dataclass(frozen=True)
class Field:
    """
    One field of a specification: its dotted path, and its values as text.
    """

    path: str
    old: str
    new: str


@dataclass(frozen=True)
class Step:
    """
    What happens to one service, network, secret or config.

    `tasks`: how many tasks start, restart or end.
    """

    what: str
    name: str
    action: str
    tasks: int = 0
    fields: tuple[Field, ...] = ()

    def __str__(self) -> str:
        tasks = f" ({count_of(self.tasks, 'task')})" if self.tasks else ""
        reason = ": the file does not have it" if self.action == REMOVED else ""
        return f"{self.action}{tasks}{reason}"


@dataclass(frozen=True)
class Plan:
    """
    What a deployment does, as a table; empty if nothing changes.

    Parameters
    ----------
    drift
        Services changed by hand since the last deployment: each field as deployed, and as it is.
    fingerprint
        A hash of what the plan found in the Swarm.
    content
        A hash of what is deployed, slow to compute, so that no password can be guessed from it.
    wanted
        The planned specification of every service, as it compares.
    """

    stack: str
    steps: tuple[Step, ...]
    drift: tuple[Step, ...]
    fingerprint: str
    content: str
    wanted: dict[str, Tree] = field(default_factory=dict, repr=False, compare=False)
    request: Request = field(default_factory=dict, repr=False, compare=False)
    unchanged: tuple[str, ...] = field(default=(), repr=False, compare=False)
    scaled: tuple[str, ...] = field(default=(), repr=False, compare=False)
    hidden: tuple[str, ...] = field(default=(), repr=False, compare=False)

    @property
    def is_empty(self) -> bool:
        """
        Whether the deployment changes nothing.
        """
        return not self.steps

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """
        One row per field; columns: what, name, change, field, before, after.
        """
        rows: list[tuple[str, ...]] = []
        for step in (*self.steps, *self.drift):
            head: tuple[str, ...] = (step.what, step.name, str(step))
            for each in step.fields or (Field("", "", ""),):
                rows.append((*head, each.path, each.old, each.new))
                head = ("", "", "")
        return rows

    def __repr__(self) -> str:
        lines = [] if self.steps else [f"{self.stack}: no changes"]
        for what, name, change, path, old, new in self.rows:
            lines += [f"{what} {name}: {change}"] if what else []
            lines += [f"    {path}: {old} → {new}"] if path else []
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        same = "<p>✓ <b>no changes</b>: everything is as the file says</p>"
        head = ["what", "name", "change", "field", "before", "after"]
        return same * self.is_empty + (html_table(head, self.rows) if self.rows else "")

    def as_dict(self) -> dict[str, Any]:
        """
        Return the plan for a JSON file, without the documents and values that it deploys.
        """
        return {
            "stack": self.stack,
            "fingerprint": self.fingerprint,
            "content": self.content,
            "steps": [asdict(step) for step in self.steps],
            "drift": [asdict(step) for step in self.drift],
        }


def make_plan(
    connection: fabric.Connection,
    manager: docker.DockerClient,
    stack: StackFile,
    name: str,
    *,
    images: Mapping[str, str],
    files: Mapping[str, bytes] | None = None,
    registry_auth: Mapping[str, Any] | None = None,
    new_secrets: Sequence[str] = (),
    deployed: Mapping[str, Spec] | None = None,
    former_networks: Mapping[str, str] | None = None,
    hidden: Collection[str] = (),
) -> Plan:
    """
    Compare a stack file with the Swarm; nothing is changed.

    Parameters
    ----------
    images
        The reference to run for each built image name.
    files
        The files that the stack reads, by their path relative to its folder.
    registry_auth
        A Docker `config.json` with the credentials of private registries.
    new_secrets
        Secrets that will be created before the deployment.
    deployed, former_networks
        The specifications of the last deployment by service, and the names of its networks.
    hidden
        Values that are not shown.

    Raises CommandError with Docker's reason if it refuses the stack.
    """
    live = LiveStack(manager, name)
    scaled = [service for service, spec in stack.services.items() if keeps_replicas(spec)]
    running = {s: replicas(spec) for s in scaled if (spec := live.find(s)) is not None}
    request = {
        "name": name,
        "documents": render(stack, images, running),
        "files": {path: base64.b64encode(data).decode() for path, data in (files or {}).items()},
        "docker_config": registry_auth,
        # `always` pins each image by its digest; local images of the manager have none
        "resolve": "always" if all("/" in image for image in images.values()) else "never",
        "existing": {"secrets": list(new_secrets)},
    }
    steps = [Step("secret", secret, CREATED) for secret in new_secrets]
    wanted: dict[str, Tree] = {}
    unchanged = []
    for call in stack_deploy(connection, request, hidden, stack.explain):
        item = call["path"].strip("/").removesuffix("/update")
        step = _step(call["method"], item, call["body"], live, hidden)
        if step is None:
            unchanged.append(item)
        else:
            steps.append(step)
        if item.startswith("services/") and call["body"]:  # a removal has none
            wanted[call["body"]["Name"]] = live.tree(call["body"])
    drift = []
    for service, spec in (deployed or {}).items():
        if now := live.find(service):
            then = live.tree(spec, former_networks)
            changed = _fields(then, live.tree(now), hidden, skip_replicas=service in scaled)
            drift += [Step("service", f"{name}_{service}", DRIFTED, fields=changed)] * bool(changed)
    fingerprint = live.fingerprint(scaled)
    # without the running replicas, which the autoscaler moves
    content = json.dumps(request | {"documents": render(stack, images, {})}, sort_keys=True)
    return Plan(
        stack=name,
        steps=tuple(sorted(steps, key=lambda step: (_ORDER.index(step.what), step.name))),
        drift=tuple(drift),
        fingerprint=fingerprint,
        content=slow_hash(content.encode(), fingerprint),
        wanted=wanted,
        request=request,
        unchanged=tuple(unchanged),
        scaled=tuple(scaled),
        hidden=tuple(hidden),
    )


def apply(connection: fabric.Connection, manager: docker.DockerClient, plan: Plan) -> Changes:
    """
    Do what the plan says; nothing is sent to Docker if it is empty.

    Services that do not change are left alone: Docker's command line would update them too, which
    resets the specification that they roll back to.

    Raises ConflictError if the stack in the Swarm has changed since the plan was made.
    """
    changes = Changes()
    if plan.is_empty:
        return changes
    if LiveStack(manager, plan.stack).fingerprint(plan.scaled) != plan.fingerprint:
        raise ConflictError(
            f"expected stack {plan.stack} as it was when the plan was made; it has changed since",
            evidence="its services, networks, secrets or configs differ",
            next_step="plan again, and read what it says",
        )
    stack_deploy(connection, {**plan.request, "unchanged": list(plan.unchanged)}, plan.hidden)
    for step in plan.steps:
        action = "updated" if step.action in (UPDATED, RESTARTED) else step.action
        changes.add(step.what, step.name, action)
    return changes


def keep(plan: Plan) -> None:
    """
    Save a plan with changes beside the headless run that made it.
    """
    if FOLDER_VARIABLE in os.environ and not plan.is_empty:
        folder = run_folder()
        number = len(list(folder.glob("plan-*.json"))) + 1
        file = folder / f"plan-{number}-{plan.stack}.json"
        file.write_text(json.dumps(plan.as_dict(), indent=1, ensure_ascii=False))


def _step(
    method: str, item: str, body: dict[str, Any], live: LiveStack, hidden: Collection[str]
) -> Step | None:
    # the step of a recorded call, or None if it changes nothing
    kind, _, key = item.partition("/")
    what = kind.removesuffix("s")
    if key == "create":
        return _creation(what, body, live, hidden)
    if what != "service":
        spec = {"secret": live.secrets, "config": live.configs}[what].get(key, {})
        changed = _fields(spec.get("Labels") or {}, body.get("Labels") or {}, hidden)
        return Step(what, body["Name"], UPDATED, fields=changed) if changed else None
    spec = live.services[key]
    tasks = live.tasks[key]
    if method == "DELETE":
        return Step(what, str(spec["Name"]), REMOVED, tasks)
    new = live.tree(body)
    changed = _fields(live.tree(spec), new, hidden)
    if not changed:
        return None
    # a job runs again at every update
    if restarts(each.path for each in changed) or any("Job" in mode for mode in new["Mode"]):
        return Step(what, body["Name"], RESTARTED, tasks, changed)
    # other constraints only move the tasks that are on the wrong nodes
    return Step(what, body["Name"], UPDATED, live.misplaced(key, body["TaskTemplate"]), changed)


def _creation(what: str, body: dict[str, Any], live: LiveStack, hidden: Collection[str]) -> Step:
    if what != "service":
        return Step(what, body["Name"], CREATED)
    tree = live.tree(body)
    image = str(tree["TaskTemplate"]["ContainerSpec"].get("Image", "")).partition("@")[0]
    fields = _fields({}, {"Image": image}, hidden)
    return Step(what, body["Name"], CREATED, replicas(tree) or 0, fields)


def _fields(
    old: Tree, new: Tree, hidden: Collection[str], *, skip_replicas: bool = False
) -> tuple[Field, ...]:
    fields = []
    for path, *values in differences(old, new):
        if skip_replicas and path.startswith("Mode.Replicated"):
            continue
        if str(values[1]).startswith(PLANNED):  # the id of a new secret or config, after its name
            continue
        before, after = (_text(value) for value in values)
        if path == _IMAGE and before.split("@")[0] != after.split("@")[0]:
            # the digest is shown only if nothing else changed
            before, after = before.split("@")[0], after.split("@")[0]
        name = path.removeprefix(_ENV) if path.startswith(_ENV) else ""
        # a variable that goes may hold an earlier value of the file
        secret = SECRET_NAME.search(name) or (name and hidden and not after)
        if secret or any(_holds(value, hidden) for value in values):
            before, after = (NOT_SHOWN if value is not None else "" for value in values)
        fields.append(Field(printable(path), *map(_short, (before, after))))
    return tuple(fields)


def _holds(shown: object, hidden: Collection[str]) -> bool:
    if isinstance(shown, list):
        # Docker splits a command that is a text at its spaces, and takes the quotes away
        parts = [p for value in hidden for p in re.split(r"[\s\"'\\]+", value) if len(p) >= SHORT]
        return any(_holds(item, {*hidden, *parts}) for item in shown)
    if isinstance(shown, dict):
        return any(_holds(item, hidden) for pair in shown.items() for item in pair)
    text = _text(shown)
    return any(
        value and (text == value or (len(value) >= SHORT and value in text)) for value in hidden
    )


def _short(text: str) -> str:
    return printable(text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …")


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
