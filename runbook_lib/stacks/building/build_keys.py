"""
The keys of `build` in a stack file, read for the SDK's `build`; others are refused.

Source: https://docs.docker.com/reference/compose-file/build/.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.errors import DockerException
from docker.utils import parse_bytes

from runbook_lib.core.errors import NotFoundError, ParameterError, RunbookError
from runbook_lib.stacks.building import references
from runbook_lib.stacks.compose.merging import as_mapping
from runbook_lib.stacks.compose.stack_file import StackFile

_REMOTE = ("http://", "https://", "git://", "git@", "ssh://", "github.com/", "docker-image://")
_SPACE = r"(?:[ \t]|\\\r?\n)+"
_PLATFORM = "(?:TARGET|BUILD)(?:PLATFORM|OS|ARCH|VARIANT)"
_BUILDKIT = re.compile(
    rf"""^[ \t]*(?:
    RUN{_SPACE}(?:--\S+{_SPACE})*--(?:mount|network|security)=
    |(?:COPY|ADD){_SPACE}(?:--\S+{_SPACE})*--(?:chmod|link|parents|exclude|checksum|unpack|keep-git-dir)\b
    |(?:RUN|COPY|ADD)[ \t](?:.*[ \t])?\d*<<-?["']?[a-z_]\w*
    |FROM{_SPACE}--platform=\$\{{?{_PLATFORM}
    |ARG{_SPACE}(?P<arg>{_PLATFORM})[ \t]*$
    )""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_NOTHING: tuple[object, ...] = (None, False, "", [], {})


@dataclass(frozen=True)
class BuildOf:
    """
    The `build` of a service, where something may be wrong.
    """

    stack: StackFile
    service: str

    def error(self, key: str, what: str, next_step: str, evidence: str = "") -> ParameterError:
        where = self.stack.where("services", self.service, "build", key)
        message = f"{where}: `build.{key}` of service {self.service!r} {what}"
        return ParameterError(message, evidence=evidence, next_step=next_step)


def read_options(
    place: BuildOf, build: Mapping[str, Any]
) -> tuple[dict[str, Any], list[RunbookError]]:
    """
    Return the arguments of the SDK's `build`, and what is wrong.
    """
    problems: list[RunbookError] = [
        place.error(key, "is not supported", f"remove `{key}`, or build the image elsewhere")
        for key, value in build.items()
        if key not in _KEYS and not str(key).startswith("x-") and value not in _NOTHING
    ]
    options: dict[str, Any] = {}
    for key, (option, read) in _OPTIONS.items():
        if build.get(key) in _NOTHING:
            continue
        try:
            options[option] = read(place, build[key])
        except ParameterError as error:
            problems.append(error)
    return options, problems


def read_sources(place: BuildOf, build: Mapping[str, Any]) -> tuple[Path, str, str]:
    """
    Return the context, the Dockerfile relative to it, and the Dockerfile's text if it is inline.
    """
    text = str(build.get("context") or ".")
    if text.startswith(_REMOTE):
        step = "clone it beside the stack file, and name the folder"
        raise place.error("context", f"is {text!r}, not a folder", step)
    context = (place.stack.path.parent / Path(text).expanduser()).resolve()
    inline = str(build.get("dockerfile_inline") or "")
    if inline and build.get("dockerfile"):
        raise place.error("dockerfile_inline", "stands beside `dockerfile`", "keep one of them")
    wanted = str(build.get("dockerfile") or "Dockerfile")
    path = context / Path(wanted).expanduser()
    if not (build.get("dockerfile") or path.exists()) and (context / "dockerfile").is_file():
        path = context / "dockerfile"  # as Docker does
    missing = "folder" if not context.is_dir() else wanted if not path.is_file() else ""
    if missing and (missing == "folder" or not inline):
        where = place.stack.where("services", place.service, "build")
        raise NotFoundError(
            f"{where}: service {place.service!r} of {place.stack.path} builds from {context}; "
            f"there is no {'such folder' if missing == 'folder' else missing}",
            next_step="correct `build` in the stack file",
        )
    return context, "" if inline else os.path.relpath(path, context), inline


def buildkit_only(dockerfile: str, given: Mapping[str, str]) -> tuple[int, str] | None:
    """
    Return the first line of a Dockerfile that only BuildKit builds, with its number; `given` are
    arguments with a value.

    The SDK builds with the engine's own builder. It refuses such a line after minutes of building,
    or, for an `ARG TARGETARCH`, builds with an empty value.
    """
    for match in _BUILDKIT.finditer(dockerfile):
        if not (match["arg"] and match["arg"] in given):
            line = dockerfile.count("\n", 0, match.start()) + 1
            return line, dockerfile.splitlines()[line - 1].strip()
    return None


def _pairs(place: BuildOf, key: str, value: Any) -> dict[str, str | None]:  # noqa: ANN401
    if not isinstance(value, (Mapping, list)):
        step = f"{key}: {{NAME: value}}"
        raise place.error(key, f"is {value!r}, neither a mapping nor a list", step)
    pairs = as_mapping(value).items()
    return {str(name): None if item is None else _word(place, item) for name, item in pairs}


def _args(place: BuildOf, value: Any) -> dict[str, str | None]:  # noqa: ANN401 - any YAML value
    args = _pairs(place, "args", value)
    for name in [name for name, text in args.items() if text is None]:
        what = f"gives no value to {name}"
        raise place.error("args", what, f"give {name}=value in stack_variables")
    return args


def _labels(place: BuildOf, value: Any) -> dict[str, str]:  # noqa: ANN401 - any YAML value
    return {name: text or "" for name, text in _pairs(place, "labels", value).items()}


def _hosts(place: BuildOf, value: Any) -> list[str]:  # noqa: ANN401 - any YAML value
    if isinstance(value, Mapping):
        addresses = {name: a if isinstance(a, list) else [a] for name, a in value.items()}
        return [f"{name}:{address}" for name, many in addresses.items() for address in many]
    entries = [str(entry).replace("=", ":", 1) for entry in _list(place, "extra_hosts", value)]
    if wrong := [entry for entry in entries if ":" not in entry]:
        raise place.error("extra_hosts", f"has {wrong[0]!r}", "write  host=address")
    return entries


def _cache_from(place: BuildOf, value: Any) -> list[str]:  # noqa: ANN401 - any YAML value
    images = [str(entry) for entry in _list(place, "cache_from", value)]
    for image in images:
        if "type=" in image:
            raise place.error("cache_from", f"has {image!r}, no image", "name an image")
        references.read_reference(image)
    return images


def _list(place: BuildOf, key: str, value: Any) -> list[Any]:  # noqa: ANN401 - any YAML value
    if not isinstance(value, list):
        raise place.error(key, f"is {value!r}, not a list", f"write a list of `{key}`")
    return value


def _shm_size(place: BuildOf, value: Any) -> int:  # noqa: ANN401 - any YAML value
    try:
        return int(parse_bytes(value))
    except DockerException as error:
        raise place.error("shm_size", f"is {value!r}, not a size", "shm_size: 128m") from error


def _word(_place: BuildOf, value: Any) -> str:  # noqa: ANN401 - any YAML value
    return str(value).lower() if isinstance(value, bool) else str(value)


_OPTIONS: Mapping[str, tuple[str, Callable[[BuildOf, Any], Any]]] = {
    "target": ("target", _word),
    "args": ("buildargs", _args),
    "labels": ("labels", _labels),
    "network": ("network_mode", _word),
    "shm_size": ("shmsize", _shm_size),
    "extra_hosts": ("extra_hosts", _hosts),
    "cache_from": ("cache_from", _cache_from),
}
_KEYS = {"context", "dockerfile", "dockerfile_inline", *_OPTIONS}
