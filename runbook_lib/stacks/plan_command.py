"""
`runbook plan`: what 06 would change in the Swarm; and a saved plan, applied if nothing has moved.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runbook_lib.cloud import aws, roles
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import ConflictError, ParameterError
from runbook_lib.hosts import clusters
from runbook_lib.stacks import deploy, images
from runbook_lib.stacks.building import builds
from runbook_lib.stacks.commands import read_values
from runbook_lib.stacks.compose import reading
from runbook_lib.stacks.deployment import secrets
from runbook_lib.stacks.deployment.plan import Plan
from runbook_lib.stacks.lint import linting
from runbook_lib.stacks.lint.problems import Problems
from runbook_lib.swarm.membership import get_manager

Values = Mapping[str, Any]

_SAVED: dict[str, tuple[type, type]] = {
    **dict.fromkeys(["parameters_file", "content", "fingerprint"], (str, str)),
    "given": (list, str),
    "steps": (list, dict),
}
"""What a saved plan has: its kind, and that of its items."""


class _Work:
    # the stack that the values name, and the cluster that it goes to, as 06 has them
    def __init__(self, values: Values) -> None:
        place = aws.Place(values["region"], values["endpoint_url"], values["credentials_file"])
        here = clusters.get_cluster(values["cluster"], values["key_file"], place)
        self.here = here.without(*roles.LATER)
        self.manager = get_manager(self.here.engines)
        self.name = str(values["stack_name"])
        self.stack = reading.read(
            values["stack_file"],
            deploy.find_overlays(self.manager, self.name),
            more=values["more_stack_files"],
            variables=values["stack_variables"],
            env_file=values["stack_env_file"],
            parameters=values,
        )
        self.builds = builds.builds(self.stack)
        registry = images.registry_address(self.here.instances["manager"])
        self.images = images.references(self.builds, registry)
        self.values_dir = str(values["values_dir"])
        self.registry_auth_file = str(values["registry_auth_file"])
        self.base_images = list(values["base_images"])

    def lint(self) -> Problems:
        return linting.lint_cluster(
            self.here,
            self.manager,
            self.stack,
            self.name,
            images=self.builds,
            values_dir=self.values_dir,
            registry_auth_file=self.registry_auth_file,
        )

    def plan(self) -> Plan:
        new = secrets.find_new_secrets(self.manager, self.stack, values_dir=self.values_dir)
        return deploy.plan_stack(
            self.here,
            self.manager,
            self.stack,
            self.name,
            images=self.images,
            registry_auth_file=self.registry_auth_file,
            new_secrets=new,
        )


def show_plan(
    parameters_file: Path, given: Sequence[str], notebooks: Path, save: Path | None = None
) -> Plan:
    """
    Print what the lint finds and the plan of the stack that the parameters name; return the plan.
    Nothing is changed.

    Parameters
    ----------
    save
        The file to save it in, for `apply_saved`. It holds no document and no secret.

    Raises ConflictError if the stack file does not fit the cluster.
    """
    work = _Work(read_values(parameters_file, given, notebooks))
    problems = work.lint()
    print(problems, end="\n\n")
    _refuse_errors(problems)
    plan = work.plan()
    print(plan)
    if save:
        source = {"parameters_file": str(parameters_file), "given": list(given)}
        save.write_text(json.dumps(source | plan.as_dict(), indent=1, ensure_ascii=False) + "\n")
        print(f"saved in {save}")
    return plan


def apply_saved(saved: Path, notebooks: Path) -> Changes:
    """
    Apply a saved plan: publish its images, create its secrets, deploy, wait, and record.

    Raises ParameterError if the file is no plan; ConflictError if the stack file does not fit the
    cluster, or if the Swarm, the stack file or a value is another than when it was made: nothing is
    changed then, but images may be published.
    """
    before = _read(saved)
    values = read_values(Path(before["parameters_file"]), before["given"], notebooks)
    work = _Work(values)
    _refuse_errors(work.lint())
    _refuse_another(before, work.plan(), saved)
    changes = images.ensure_published(
        work.here, work.builds, work.registry_auth_file, work.base_images
    )
    plan = work.plan()
    _refuse_another(before, plan, saved)
    changes += secrets.ensure_secrets(
        work.manager, work.stack, work.name, values_dir=work.values_dir
    )
    changes += deploy.apply_plan(work.here, work.manager, work.stack, plan)
    changes += deploy.settle(work.here, work.manager, work.stack, work.name, images=work.images)
    return changes


def _refuse_errors(problems: Problems) -> None:
    if problems.errors:
        raise ConflictError(
            "expected a stack file that fits the cluster",
            evidence="\n".join(map(str, problems.errors)),
            next_step="correct these lines, or the cluster; nothing was changed",
        )


def _read(saved: Path) -> dict[str, Any]:
    try:
        content: Any = json.loads(saved.read_text())
        missing = [
            key
            for key, (kind, item) in _SAVED.items()
            if not (
                isinstance(content.get(key), kind)
                and all(isinstance(each, item) for each in content[key])
            )
        ]
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise ParameterError(f"expected a saved plan in {saved}", evidence=str(error)) from error
    if missing:
        raise ParameterError(
            f"expected a saved plan in {saved}; it lacks {', '.join(sorted(missing))}",
            next_step=f"runbook plan params/<place>.yml --save {shlex.quote(str(saved))}",
        )
    return dict(content)


def _refuse_another(before: Mapping[str, Any], now: Plan, saved: Path) -> None:
    fresh = json.loads(json.dumps(now.as_dict()))
    reasons = {
        "fingerprint": "the stack in the Swarm has changed",
        "content": "the stack file, its files or a value has changed",
        "steps": "the steps differ",
    }
    seen = [reason for key, reason in reasons.items() if _fixed(before[key]) != _fixed(fresh[key])]
    if "the stack in the Swarm has changed" in seen:
        seen = seen[:1]  # the hash of the content depends on it
    if seen:
        file, to = shlex.quote(before["parameters_file"]), shlex.quote(str(saved))
        again = f"runbook plan {file} --save {to}"
        raise ConflictError(
            f"expected everything as it was when {saved} was made",
            evidence="\n".join(seen),
            next_step=f"{again}  and read it again",
        )


def _fixed(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    # a task may have failed since
    if isinstance(value, list):
        return [{k: v for k, v in step.items() if k != "tasks"} for step in value]
    return value
