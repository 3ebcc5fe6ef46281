"""
Stack deployment in place, and waiting until the stack runs.

Source: sections "Deploy - Work Stack" and "Deploy - Web Stack" of the guide. Its script removes
the stack first, which is downtime and a race (moby#29293); here `docker stack deploy` updates it.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import docker
import fabric
from IPython.display import display

from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import CommandError, ConflictError
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.hosts.clusters import Cluster
from runbook_lib.stacks.building.pulled import logins_of_stack
from runbook_lib.stacks.compose.rendering import render
from runbook_lib.stacks.compose.stack_file import StackFile
from runbook_lib.stacks.deployment.binds import ensure_binds
from runbook_lib.stacks.deployment.files import check_names, pack
from runbook_lib.stacks.deployment.history import find_last, record
from runbook_lib.stacks.deployment.plan import Plan, keep
from runbook_lib.stacks.deployment.planning import apply, make_plan
from runbook_lib.stacks.deployment.pruning import prune_binds, prune_unused
from runbook_lib.stacks.deployment.stack_specs import overlays_of
from runbook_lib.stacks.running.containers import STACK, find_services
from runbook_lib.stacks.running.convergence import NO_IMAGE, Convergence, convergence, lacks_image
from runbook_lib.stacks.running.specs import find_specs

_WATCHED_S = 5.0
"""How long a one-shot service that runs is watched: Docker's command line watches as long."""
_STUCK_S = 10.0
"""How long a reason that cannot go away by itself has to stay; Swarm retries every few seconds."""


def plan_stack(
    here: Cluster,
    manager: docker.DockerClient,
    stack: StackFile,
    name: str,
    *,
    images: Mapping[str, str],
    registry_auth_file: str = "",
    new_secrets: Sequence[str] = (),
) -> Plan:
    """
    Plan the deployment of a stack file: what changes in the Swarm, and what was changed by hand.

    Parameters
    ----------
    new_secrets
        Secrets that will be created before the deployment.

    Raises ParameterError if a file that the stack names is missing; CommandError with Docker's
    reason if it refuses the stack. Nothing is changed.
    """
    packed = pack(stack, name)
    check_names(manager, packed)
    last = find_last(manager, name)
    return make_plan(
        here.connections["manager"],
        manager,
        packed.stack,
        name,
        images=images,
        files=packed.files,
        registry_auth=logins_of_stack(stack, registry_auth_file),
        new_secrets=new_secrets,
        deployed=last.specs if last else {},
        former_networks=last.networks if last else {},
        hidden=stack.hidden,
    )


def ensure_stack(
    here: Cluster,
    manager: docker.DockerClient,
    stack: StackFile,
    name: str,
    *,
    images: Mapping[str, str],
    registry_auth_file: str = "",
) -> Changes:
    """
    Plan the deployment, show the plan, and do exactly what it says.

    A service that does not change is left alone, and an empty plan sends nothing to Docker.

    Raises what `plan_stack` raises.
    """
    plan = plan_stack(
        here, manager, stack, name, images=images, registry_auth_file=registry_auth_file
    )
    if plan.rows:
        display(plan)
    return apply_plan(here, manager, stack, plan)


def apply_plan(
    here: Cluster, manager: docker.DockerClient, stack: StackFile, plan: Plan
) -> Changes:
    """
    Do exactly what a plan of the stack file says. Bind mounts beside the file are copied to every
    instance first.

    Raises ConflictError if a bind mount is another than when the plan was made, and what
    `planning.apply` raises, before anything is changed.
    """
    keep(plan)
    changes = Changes()
    if not plan.is_empty and (binds := pack(stack, plan.stack).binds):
        # a path has the hash of what it holds
        planned = "\n".join(plan.request["documents"])
        if moved := [str(bind.source) for bind in binds if bind.target not in planned]:
            raise ConflictError(
                "expected the bind mounts as they were when the plan was made",
                evidence="\n".join(moved),
                next_step="plan again, and read what it says",
            )
        changes += ensure_binds(_everywhere(here), binds)
    changes += apply(here.connections["manager"], manager, plan)
    return changes


def settle(
    here: Cluster,
    manager: docker.DockerClient,
    stack: StackFile,
    name: str,
    *,
    images: Mapping[str, str],
) -> Changes:
    """
    Wait until a deployed stack runs as specified, keep it in the history, and remove the configs,
    secrets and bind mounts that only earlier deployments used.

    Raises what `wait_for_stack` raises.
    """
    wait_for_stack(manager, name)
    packed = pack(stack, name)
    changes = record(manager, stack, name, render(packed.stack, images, {}))
    changes += prune_unused(manager, name)
    if packed.binds:
        changes += prune_binds(_everywhere(here), manager, name)
    return changes


def _everywhere(here: Cluster) -> dict[str, fabric.Connection]:
    # a service may run on any instance that is a node, now or later
    return replace(here, roles=list(here.instances)).connections


def wait_for_stack(manager: docker.DockerClient, name: str, timeout_s: float = 300) -> None:
    """
    Wait until every service runs as specified.

    Raises CommandError if an update was rolled back or paused, or if a service cannot run as it
    is: a one-shot service failed, no node can ever run it, or no registry has its image.
    WaitTimeoutError if tasks stay pending, with the reason for each.
    """
    stuck: dict[str, tuple[str, float]] = {}
    done_since = math.inf

    def reason(state: Convergence) -> str:
        why, since = stuck.get(state.service, ("", 0.0))
        if why != state.stuck:
            stuck[state.service] = (state.stuck, time.monotonic())
        # a registry that does not answer may come back, as after a failover
        elif (
            why
            and time.monotonic() - since >= _STUCK_S
            and (NO_IMAGE not in why or lacks_image(manager, state.image))
        ):
            return why
        return state.failure

    def probe() -> bool | Pending:
        nonlocal done_since
        states = [convergence(manager, service) for service in find_services(manager, name)]
        if failed := {s.service: why for s in states if (why := reason(s))}:
            raise CommandError(
                f"expected stack {name} to converge; {len(failed)} service(s) did not",
                evidence="\n".join(f"{service}: {why}" for service, why in failed.items()),
                next_step=f"docker service ps --no-trunc {next(iter(failed))}  on the manager",
            )
        waiting = [str(s) for s in states if not s.done]
        if waiting or not states:
            done_since = math.inf
            return Pending("; ".join(waiting), len(states) - len(waiting), len(states))
        done_since = min(done_since, time.monotonic())
        begun = [s.service for s in states if s.may_end]
        if begun and time.monotonic() - done_since < _WATCHED_S:
            return Pending(f"{', '.join(begun)} has begun, and may fail", len(states), len(states))
        return True

    wait_for(
        f"Stack {name} converged",
        probe,
        timeout_s=timeout_s,
        next_step="docker service logs <service>  on the manager shows what the service reports",
    )


def find_stacks(manager: docker.DockerClient | None) -> list[str]:
    """
    Find the names of the deployed stacks; none without a manager.
    """
    services = manager.services.list() if manager else []
    return sorted({s.attrs["Spec"]["Labels"].get(STACK, "") for s in services} - {""})


def find_overlays(manager: docker.DockerClient, stack: str) -> list[str]:
    """
    Find the overlays of the deployed stack, in order.
    """
    return overlays_of(find_specs(manager, stack))
