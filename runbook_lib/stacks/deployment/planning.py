"""
What a deployment would do to the Swarm, field by field, before anything is touched.

Docker's own command line deploys the stack on the manager, but its calls are recorded and not made.
So a plan compares exactly what Docker would send with what the Swarm has.
"""

import base64
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import docker
import fabric

from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import ConflictError, NotFoundError
from runbook_lib.stacks.building.digests import is_pinned, pinned
from runbook_lib.stacks.compose.rendering import keeps_replicas, render
from runbook_lib.stacks.compose.stack_file import StackFile, image_name
from runbook_lib.stacks.deployment.changed_fields import changed_fields
from runbook_lib.stacks.deployment.docker_cli import stack_deploy
from runbook_lib.stacks.deployment.live_stack import LiveStack, replicas
from runbook_lib.stacks.deployment.plan import (
    CREATED,
    DRIFTED,
    REMOVED,
    RESTARTED,
    UPDATED,
    Plan,
    Step,
)
from runbook_lib.stacks.deployment.spec_fields import Spec, Tree, restarts
from runbook_lib.stacks.running.containers import slow_hash

_ORDER = ["secret", "config", "network", "service"]


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
        The reference to run for each built image name; the manager's engine says its digest.
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
    exact = pinned(manager, images)
    request = {
        "name": name,
        "documents": render(stack, exact, running),
        "files": {path: base64.b64encode(data).decode() for path, data in (files or {}).items()},
        "docker_config": registry_auth,
        # `always` pins each image by its digest; local images of the manager have none
        "resolve": "always" if all("/" in image for image in images.values()) else "never",
        "existing": {"secrets": list(new_secrets)},
    }
    steps = [Step("secret", secret, CREATED) for secret in new_secrets]
    wanted: dict[str, Tree] = {}
    found: dict[str, str] = {}
    unchanged = []
    for call in stack_deploy(connection, request, hidden, stack.explain):
        item = call["path"].strip("/").removesuffix("/update")
        step = _step(call["method"], item, call["body"], live, hidden)
        if step is None:
            unchanged.append(item)
        else:
            steps.append(step)
        if item.startswith("services/") and call["body"]:  # a removal has none
            service = call["body"]["Name"]
            wanted[service] = live.tree(call["body"])
            found[service] = str(call["body"]["TaskTemplate"]["ContainerSpec"]["Image"])
    drift = []
    for service, spec in (deployed or {}).items():
        if now := live.find(service):
            then = live.tree(spec, former_networks)
            changed = changed_fields(then, live.tree(now), hidden, skip_replicas=service in scaled)
            drift += [Step("service", f"{name}_{service}", DRIFTED, fields=changed)] * bool(changed)
    fingerprint = live.fingerprint(scaled)
    # without the running replicas, which the autoscaler moves, and without digests: nobody knows
    # that of an image before it is built, and its tag has all that it is built from
    content = json.dumps(request | {"documents": render(stack, images, {})}, sort_keys=True)
    # what is deployed is what the plan shows, also if a tag means another image by then
    pulled = {
        image_name(service, spec): found[f"{name}_{service}"]
        for service, spec in stack.services.items()
        if f"{name}_{service}" in found
    }
    request["documents"] = render(stack, pulled | exact, running)
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
        unpublished=tuple(image for image in exact.values() if not is_pinned(image)),
    )


def apply(connection: fabric.Connection, manager: docker.DockerClient, plan: Plan) -> Changes:
    """
    Do what the plan says; nothing is sent to Docker if it is empty.

    Services that do not change are left alone: Docker's command line would update them too, which
    resets the specification that they roll back to.

    Raises NotFoundError if an image that is built here has not been pushed; ConflictError if the
    stack in the Swarm has changed since the plan was made.
    """
    changes = Changes()
    if plan.is_empty:
        return changes
    if plan.unpublished:
        raise NotFoundError(
            f"expected the digest of each image that is built for stack {plan.stack}; the manager "
            f"has pushed none of: {', '.join(plan.unpublished)}",
            evidence="what their tags mean in the registry is not trusted",
            next_step="run the notebook that deploys the stack from its beginning: it pushes them",
        )
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
        changed = changed_fields(spec.get("Labels") or {}, body.get("Labels") or {}, hidden)
        return Step(what, body["Name"], UPDATED, fields=changed) if changed else None
    spec = live.services[key]
    tasks = live.tasks[key]
    if method == "DELETE":
        return Step(what, str(spec["Name"]), REMOVED, tasks)
    new = live.tree(body)
    changed = changed_fields(live.tree(spec), new, hidden)
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
    fields = changed_fields({}, {"Image": image}, hidden)
    return Step(what, body["Name"], CREATED, replicas(tree) or 0, fields)
