"""
Several files of a stack merged into one, as Docker merges what it reads with several `-c`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

_PAIRS = ("environment", "labels", "sysctls", "args")
_REPLACED = ("command", "entrypoint")


def merge_files(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """
    Merge documents: what a service maps is merged, other values of later documents win, lists are
    joined. Commands are replaced; ports are joined by what is published, mounts by target, secrets
    and configs by source.

    A network, volume, secret or config of a later document replaces that of an earlier one.
    """
    result: dict[str, Any] = {}
    for document in documents:
        for section, items in document.items():
            if section == "services":
                result[section] = _merged(result.get(section), items, section)
            elif isinstance(items, Mapping):
                before = result.get(section, {})
                said = {key: spec for key, spec in items.items() if spec or key not in before}
                result[section] = {**before, **said}
            else:
                result[section] = items
    return result


def as_mapping(value: Any, without: str | None = None) -> dict[str, Any]:  # noqa: ANN401
    """
    Return a mapping of `environment` or `labels`, which may be a list of KEY=value.
    """
    if isinstance(value, list):
        parts = [str(item).partition("=") for item in value]
        return {key: value if sign else without for key, sign, value in parts}
    return dict(value or {})


def read_mount(mount: object) -> tuple[str, str]:
    """
    Return the source of an entry of `volumes`, "" if it has none, and its target.
    """
    if isinstance(mount, Mapping):
        return str(mount.get("source") or ""), str(mount.get("target") or "")
    source, sign, rest = str(mount).partition(":")
    return (source, rest.split(":")[0]) if sign else ("", source)


def _merged(under: Any, over: Any, key: str) -> Any:  # noqa: ANN401 - any YAML value
    if over is None or under is None:
        return under if over is None else over
    if key in _PAIRS:
        return {**as_mapping(under), **as_mapping(over)}
    if key == "networks" and isinstance(under, list) != isinstance(over, list):
        under, over = (dict.fromkeys(v) if isinstance(v, list) else v for v in (under, over))
    if key in _REPLACED or (key == "logging" and _other_driver(under, over)):
        return over
    if isinstance(under, Mapping) and isinstance(over, Mapping):
        return {**under, **{k: _merged(under.get(k), v, k) for k, v in over.items()}}
    if isinstance(under, list) or isinstance(over, list):
        both = [*_listed(under), *_listed(over)]
        identity = _IDENTITIES.get(key)
        over = list({identity(item): item for item in both}.values()) if identity else both
    return over


def _other_driver(under: Mapping[str, Any], over: Mapping[str, Any]) -> bool:
    both = under.get("driver"), over.get("driver")
    return all(both) and len(set(both)) > 1


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 - any YAML value
    return value if isinstance(value, list) else [value]


def _published(port: Any) -> str:  # noqa: ANN401 - any YAML value
    # without the protocol, as Docker: of 53:53 and 53:53/udp only the last is left
    if isinstance(port, Mapping):
        return str(port.get("published") or 0)
    parts = str(port).partition("/")[0].rsplit(":", 2)
    return (parts[-2] if len(parts) > 1 else "") or "0"


def _source(item: Any) -> str:  # noqa: ANN401 - any YAML value
    return str(item.get("source") if isinstance(item, Mapping) else item)


_IDENTITIES: dict[str, Callable[[Any], str]] = {
    "ports": _published,
    "volumes": lambda mount: read_mount(mount)[1],
    "secrets": _source,
    "configs": _source,
}
