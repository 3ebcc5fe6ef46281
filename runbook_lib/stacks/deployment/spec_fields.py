"""
Specifications compared field by field: what the Swarm stores with what Docker's CLI sends.

The two differ without a change: the Swarm fills in defaults, names networks by their ids, and
leaves out what is empty. `canonical` brings both into one form.
"""

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any

Tree = dict[str, Any]
Spec = Mapping[str, Any]

_DEFAULTS: Tree = {
    "Mode": {"Replicated": {"Replicas": 1}},
    "EndpointSpec": {"Mode": "vip"},
    "TaskTemplate": {"Runtime": "container", "ForceUpdate": 0},
}
# values that mean the same as none, by the last name of their path
_NONE_BY_NAME: dict[str, tuple[object, ...]] = {
    "Isolation": ("default",),
    "Consistency": ("default",),
    "Propagation": ("rprivate",),
    "Condition": ("any",),
    "FailureAction": ("pause",),
    "Order": ("stop-first",),
    "Protocol": ("tcp",),
    "PublishMode": ("ingress",),
}
# here 0 or false says something else than nothing
_ZERO_COUNTS = {"Replicas", "Parallelism", "Delay", "StopGracePeriod", "Init", "TotalCompletions"}
_SETS = {"Constraints", "CapabilityAdd", "CapabilityDrop", "Aliases", "Hosts", "Groups"}
_IMAGE_LABEL = "com.docker.stack.image"


def canonical(spec: Spec, networks: Mapping[str, str]) -> Tree:
    """
    Return the specification of a service in the form that compares: nested dictionaries by name.

    Parameters
    ----------
    networks
        The names of the Swarm's networks by their ids.
    """
    task = dict(spec.get("TaskTemplate") or {})
    attached = task.pop("Networks", None) or spec.get("Networks") or []
    task["Networks"] = [{**n, "Target": networks.get(n["Target"], n["Target"])} for n in attached]
    placement = dict(task.get("Placement") or {})
    placement.pop("Platforms", None)  # of the image, by its digest
    whole = {**spec, "TaskTemplate": {**task, "Placement": placement}}
    whole.pop("Networks", None)
    # Docker's own copy of the image's name in the file
    labels = dict(spec.get("Labels") or {})
    labels.pop(_IMAGE_LABEL, None)
    tree = _tidy("", {**whole, "Labels": labels})
    for name, default in _DEFAULTS.items():
        tree[name] = _with_defaults(tree.get(name), default)
    # an update without a delay is the default, a restart without one is not
    for policy in ("UpdateConfig", "RollbackConfig"):
        if policy in tree and not tree[policy].get("Delay", 1):
            del tree[policy]["Delay"]
    return dict(tree)


def differences(old: Tree, new: Tree, path: str = "") -> list[tuple[str, Any, Any]]:
    """
    Return the dotted path, the old and the new value of each difference; None for no value.
    """
    found = []
    for name in [*old, *(n for n in new if n not in old)]:
        here, before, after = f"{path}.{name}".strip("."), old.get(name), new.get(name)
        if before == after:
            continue
        if isinstance(before, dict) or isinstance(after, dict):
            found += differences(_as_tree(before), _as_tree(after), here)
        else:
            found.append((here, before, after))
    return found


def restarts(changed: Iterable[str]) -> bool:
    """
    Check whether a change of these paths makes the Swarm replace the tasks of a service.
    """
    return any(
        path.startswith(("TaskTemplate.", "EndpointSpec."))
        and not path.startswith("TaskTemplate.Placement.Constraints")
        for path in changed
    )


def _as_tree(value: Any) -> Tree:  # noqa: ANN401 - any JSON value
    return value if isinstance(value, dict) else {} if value is None else {"": value}


def _with_defaults(value: Any, default: Any) -> Any:  # noqa: ANN401 - any JSON value
    if not isinstance(default, dict):
        return default if value is None else value
    mine = dict(value or {})
    if "Replicated" in default and mine and "Replicated" not in mine:
        return mine  # another mode
    return mine | {name: _with_defaults(mine.get(name), default[name]) for name in default}


def _tidy(name: str, value: Any) -> Any:  # noqa: ANN401 - any JSON value; a kind each
    if isinstance(value, dict):
        tidied = {key: _tidy(key, inner) for key, inner in value.items()}
        # user-defined names keep empty values: labels, options, sysctls
        own = name in ("Labels", "Options", "DriverOpts", "Sysctls")
        return tidied if own else {k: v for k, v in tidied.items() if not _is_none(k, v)}
    if not isinstance(value, list):
        return value
    if name == "Env":
        return dict(_variable(str(item)) for item in value)
    if name in _SETS:
        return sorted(value)
    if name in _KEYS:
        tidied = {_KEYS[name](item): _tidy("", item) for item in value}
        return {key: item or {"": "yes"} for key, item in tidied.items()}
    return [_tidy("", item) for item in value]


def _is_none(name: str, value: object) -> bool:
    if isinstance(value, int | float) and not value:
        return name not in _ZERO_COUNTS
    return value in (None, "", [], {}) or value in _NONE_BY_NAME.get(name, ())


def _variable(item: str) -> tuple[str, str]:
    name, equals, value = item.partition("=")
    return name, value if equals else "(unset)"


def _port(item: Spec) -> str:
    return f"{item.get('PublishedPort', 0)}:{item['TargetPort']}/{item.get('Protocol', 'tcp')}"


def _file(item: Spec) -> str:
    # by its place in the container, so that another name of a changed file is a change of it
    name = item.get("SecretName") or item.get("ConfigName")
    return str((item.get("File") or {}).get("Name") or name)


_KEYS: dict[str, Callable[[Spec], str]] = {
    "Networks": itemgetter("Target"),
    "Mounts": itemgetter("Target"),
    "Ulimits": itemgetter("Name"),
    "Ports": _port,
    "Secrets": _file,
    "Configs": _file,
}
"""Lists whose items have a name, so that their order does not matter."""
