"""
Several files of a stack merged into one, as Docker merges what it reads with several `-c`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

_PAIRS = ("environment", "labels", "sysctls", "args")
_REPLACED = ("command", "entrypoint", "ulimits")


def merge_files(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """
    Merge documents: maps are merged, other values of later documents win, lists are joined.

    Commands are replaced; mounts are joined by target, secrets and configs by source.
    """
    result: dict[str, Any] = {}
    for document in documents:
        result = _merged(result, document, "")
    return result


def as_mapping(value: Any, without: str | None = None) -> dict[str, Any]:  # noqa: ANN401
    """
    Return a mapping of `environment` or `labels`, which may be a list of KEY=value.
    """
    if isinstance(value, list):
        parts = [str(item).partition("=") for item in value]
        return {key: value if sign else without for key, sign, value in parts}
    return dict(value or {})


def _merged(under: Any, over: Any, key: str) -> Any:  # noqa: ANN401 - any YAML value
    if over is None or under is None:
        return under if over is None else over
    if key in _PAIRS:
        return {**as_mapping(under), **as_mapping(over)}
    if key == "networks" and isinstance(under, list) != isinstance(over, list):
        under, over = (dict.fromkeys(v) if isinstance(v, list) else v for v in (under, over))
    if key in _REPLACED:
        return over
    if isinstance(under, Mapping) and isinstance(over, Mapping):
        both = {k: _merged(under.get(k), v, k) for k, v in over.items()}
        return {**under, **both}
    if isinstance(under, list) and isinstance(over, list):
        identity = _IDENTITIES.get(key, repr)
        return list({identity(item): item for item in (*under, *over)}.values())
    return over


def _target(mount: Any) -> str:  # noqa: ANN401 - any YAML value
    if isinstance(mount, Mapping):
        return str(mount.get("target"))
    parts = str(mount).split(":")
    return parts[0] if len(parts) == 1 else parts[1]


def _source(item: Any) -> str:  # noqa: ANN401 - any YAML value
    return str(item.get("source") if isinstance(item, Mapping) else item)


_IDENTITIES: dict[str, Callable[[Any], str]] = {
    "volumes": _target,
    "secrets": _source,
    "configs": _source,
}
