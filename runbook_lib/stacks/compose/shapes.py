"""
What Compose v3 allows under each key, so that all errors of a file are found at once.

Docker's own verdict comes later and is final: what is doubtful passes here.
"""

import difflib
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from runbook_lib.stacks.compose.documents import Keys
from runbook_lib.stacks.compose.scalars import Timestamp, kind

# a shape: a kind, a list of one shape, keys with their shapes, or a tuple of alternatives
Shape = str | list[Any] | dict[str, Any] | tuple[Any, ...]

_DURATION = re.compile(r"[-+]?(0|((\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h))+)")
_NAME = re.compile(r"[a-zA-Z0-9._-]+")
_WORDS = {
    "integer": "an integer",
    "boolean": "true or false",
    "duration": "a duration such as 10s",
    "date": "",
    "nothing": "",
}


def _each(names: str, shape: Shape) -> dict[str, Shape]:
    return dict.fromkeys(names.split(), shape)


_ANY = {"*": "anything"}
_OPTIONS = {"*": ("text", "number", "date")}
_PAIRS = (["text"], {"*": ("text", "number", "nothing", "date")})
_TEXTS = ("text", ["text"])
_FILES = [("text", {**_each("source target uid gid", "text"), "mode": "number", **_ANY})]
_EXTERNAL = ("boolean", {"name": "text", **_ANY})
_UPDATE = {
    **_each("failure_action order", "text"),
    **_each("delay monitor", "duration"),
    **_each("parallelism", "integer"),
    **_each("max_failure_ratio", "number"),
}
_DEPLOY = {
    **_each("mode endpoint_mode", "text"),
    **_each("update_config rollback_config", _UPDATE),
    "replicas": "integer",
    "labels": _PAIRS,
    "restart_policy": {
        "condition": "text",
        **_each("delay window", "duration"),
        "max_attempts": "integer",
    },
    "placement": {
        "constraints": ["text"],
        "preferences": [{"spread": "text"}],
        "max_replicas_per_node": "integer",
    },
    "resources": {
        "limits": {**_each("cpus memory", "text"), "pids": "integer"},
        "reservations": {
            **_each("cpus memory", "text"),
            "generic_resources": [{"discrete_resource_spec": {"kind": "text", "value": "number"}}],
        },
    },
}
_PORT = {**_each("target published", "integer"), **_each("mode protocol", "text")}
_MOUNT = {
    **_each("type source target consistency", "text"),
    "read_only": "boolean",
    "bind": {"propagation": "text", **_ANY},
    "volume": {"nocopy": "boolean", **_ANY},
    "tmpfs": {"size": "integer", **_ANY},
}
_AT_NETWORK = {
    "aliases": ["text"],
    "driver_opts": _OPTIONS,
    **_each("ipv4_address ipv6_address", "text"),
}
_HEALTH = {
    **_each("interval timeout start_period start_interval", "duration"),
    "disable": "boolean",
    "retries": "number",
    "test": _TEXTS,
}
_SERVICE: dict[str, Shape] = {
    **_each("cgroup_parent cgroupns_mode container_name domainname hostname image ipc", "text"),
    **_each("isolation mac_address network_mode restart stop_signal user userns_mode", "text"),
    **_each("working_dir", "text"),
    **_each("command entrypoint dns dns_search env_file tmpfs", _TEXTS),
    **_each("cap_add cap_drop depends_on devices external_links links security_opt", ["text"]),
    **_each("init privileged read_only stdin_open tty", "boolean"),
    **_each("environment extra_hosts labels sysctls", _PAIRS),
    **_each("configs secrets", _FILES),
    "build": ("text", _ANY),  # never sent to Docker
    "credential_spec": _each("config file registry", "text"),
    "deploy": ("nothing", _DEPLOY),
    "expose": [("text", "number")],
    "healthcheck": _HEALTH,
    "logging": {"driver": "text", "options": {"*": ("text", "number", "nothing", "date")}},
    "networks": (["text"], {"*": ("nothing", _AT_NETWORK)}),
    "oom_score_adj": "integer",
    "pid": ("text", "nothing"),
    "ports": [("number", "text", _PORT)],
    "shm_size": ("number", "text"),
    "stop_grace_period": "duration",
    "ulimits": {"*": ("integer", _each("hard soft", "integer"))},
    "volumes": [("text", _MOUNT)],
}
_FILE_OBJECT = {
    **_each("name file driver template_driver", "text"),
    "external": _EXTERNAL,
    "labels": _PAIRS,
    "driver_opts": _OPTIONS,
}
_SECTIONS: dict[str, Shape] = {
    "version": "text",
    "services": {"*": _SERVICE},
    **_each("secrets configs", {"*": _FILE_OBJECT}),
    "volumes": {
        "*": (
            "nothing",
            {**_each("name driver", "text"), "driver_opts": _OPTIONS, "external": _EXTERNAL}
            | {"labels": _PAIRS},
        )
    },
    "networks": {
        "*": (
            "nothing",
            {
                **_each("name driver", "text"),
                **_each("internal attachable", "boolean"),
                "driver_opts": _OPTIONS,
                "ipam": {"driver": "text", "config": [{"subnet": "text"}]},
                "external": _EXTERNAL,
                "labels": _PAIRS,
            },
        )
    },
}
_INSTEAD = {
    **_each("cpu_quota cpu_shares cpuset cpus", "deploy.resources.limits.cpus"),
    **_each("mem_limit memswap_limit", "deploy.resources.limits.memory"),
    **_each("extends", "a YAML anchor and <<"),
    **_each("volume_driver", "a volume with `driver`"),
    **_each("volumes_from", "a volume that both services name"),
    **_each("scale", "deploy.replicas"),
}


def shape_problems(document: Mapping[str, Any]) -> list[tuple[Keys, str]]:
    """
    Find what a Compose v3 file must not have; keys and text of each problem.
    """
    problems = list(_problems(document, _SECTIONS, ()))
    version = document.get("version", "3")
    if isinstance(version, str) and not re.fullmatch(r"(3(\.([0-9]|1[0-3]))?)?", version):
        problems.append((("version",), f"expected version 3 to 3.13, saw {version!r}"))
    for section in ("services", "networks", "volumes", "secrets", "configs"):
        names = document.get(section)
        for name in names if isinstance(names, Mapping) else ():
            if not _NAME.fullmatch(name):
                text = f"expected a name of letters, digits and . _ - in {section}, saw {name!r}"
                problems.append(((section, name), text))
    return problems


def _problems(value: Any, shape: Shape, keys: Keys) -> Iterator[tuple[Keys, str]]:  # noqa: ANN401
    alternatives = shape if isinstance(shape, tuple) else (shape,)
    # the alternative of the value's own kind says what is wrong inside of it
    its = next((each for each in alternatives if _fits(value, each)), None)
    if its is None:
        wanted = " or ".join(w for w in map(_word, alternatives) if w)
        yield keys, f"expected {wanted} as {_path(keys)}, saw {kind(value)}"
    elif isinstance(its, list):
        for number, item in enumerate(value):
            yield from _problems(item, its[0], (*keys, number))
    elif isinstance(its, dict):
        for key, item in value.items():
            if key in its or "*" in its:
                yield from _problems(item, its[key] if key in its else its["*"], (*keys, key))
            elif not key.startswith("x-"):
                yield (*keys, key), _unknown(keys, key, its)


def _fits(value: object, shape: Shape) -> bool:
    if isinstance(shape, (list, dict)):
        return isinstance(value, Mapping if isinstance(shape, dict) else list)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    fits = {
        "anything": True,
        "nothing": value is None,
        "boolean": isinstance(value, bool),
        "date": isinstance(value, Timestamp),
        "text": isinstance(value, str) and not isinstance(value, Timestamp),
        "number": number and math.isfinite(value),  # type: ignore[arg-type]
        "integer": number and value % 1 == 0,  # type: ignore[operator]
        "duration": isinstance(value, str)
        and len(value) < 100
        and bool(_DURATION.fullmatch(value)),
    }
    return fits[str(shape)]


def _word(shape: Shape) -> str:
    if isinstance(shape, (list, dict)):
        return "a list" if isinstance(shape, list) else "a mapping"
    return _WORDS.get(str(shape), f"a {shape}")


def _unknown(keys: Keys, key: str, known: Mapping[str, Shape]) -> str:
    close = difflib.get_close_matches(key, known, 1)
    instead = _INSTEAD.get(key) if len(keys) == 2 and keys[0] == "services" else None
    hint = f"; use {instead}" if instead else f"; did you mean {close[0]}?" if close else ""
    return f"expected a key of Compose v3 in {_path(keys) or 'the file'}, saw {key}{hint}"


def _path(keys: Keys) -> str:
    return ".".join(map(str, keys))
