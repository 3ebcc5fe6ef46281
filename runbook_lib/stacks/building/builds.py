"""
The images that a stack builds, each with a tag derived from all that it is built from.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from runbook_lib.core.errors import ParameterError, RunbookError
from runbook_lib.stacks.building import references
from runbook_lib.stacks.building.build_keys import (
    BuildOf,
    buildkit_only,
    read_options,
    read_sources,
)
from runbook_lib.stacks.building.contexts import Hashed, write_context
from runbook_lib.stacks.building.references import Reference
from runbook_lib.stacks.compose.stack_file import StackFile, image_name


@dataclass(frozen=True)
class Build:
    """
    An image to build: its name, what it is built from, and a tag derived from that.

    `names` are all texts by which the stack names it, and `options` are arguments of the SDK's
    `build`. A Dockerfile without a file of its own is in `inline`.
    """

    name: str
    context: Path
    dockerfile: str
    tag: str = ""
    inline: str = field(default="", repr=False)
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    names: tuple[str, ...] = ()

    @property
    def dockerfile_source(self) -> tuple[Path, bytes]:
        """
        The Dockerfile's path and its text; an inline one is as if it stood outside the context.
        """
        if self.inline:
            return self.context / "..", self.inline.encode()
        path = (self.context / self.dockerfile).resolve()
        return path, path.read_bytes()


def builds(stack: StackFile) -> dict[str, Build]:
    """
    Return the images to build, by name; services that share an image share its build.

    Raises ParameterError, or NotFoundError if nothing but files is missing, with all that is wrong.
    """
    built: dict[Reference, tuple[str, Build]] = {}
    texts: dict[Reference, list[str]] = {}
    pulled: dict[Reference, str] = {}
    problems: list[RunbookError] = []
    for service, spec in stack.services.items():
        text = image_name(service, spec)
        if not (spec.get("build") or spec.get("image")):
            continue  # Docker says so itself
        try:
            reference = _reference(stack, service, text)
            texts.setdefault(reference, []).append(text)
            if not spec.get("build"):
                pulled[reference] = service
                continue
            build = _build(stack, service, reference)
            other, same = built.setdefault(reference, (service, build))
            if build != same:
                raise ParameterError(
                    f"services {other!r} and {service!r} both build the image {build.name}, but "
                    f"not from the same ({stack.where('services', service, 'build')})",
                    evidence=_differences(other, same, service, build),
                    next_step="give each an `image:` of its own",
                )
        except RunbookError as error:
            problems.append(error)
    problems += [*_unnamed(stack, built, pulled), *_upon_others(stack, built)]
    _raise(stack, problems)
    return {build.name: _tagged(build, texts[key]) for key, (_, build) in built.items()}


def sources_hash(folder: Path, dockerfile: Path | None = None, text: bytes = b"") -> str:
    """
    Hash a build context and its Dockerfile (see `write_context`); return twelve hex digits.
    """
    hashed = Hashed()
    write_context(folder, dockerfile or folder / "Dockerfile", text, hashed)
    return hashed.digest.hexdigest()[:12]


def bases_of(build: Build) -> list[Reference]:
    """
    Return the images that the Dockerfile names, each once: not its stages, nor what is in an ARG.
    """
    froms = _froms(build)
    stages = {stage for _, stage in froms} | {"scratch"}
    bases: list[Reference] = []
    for base, _ in froms:
        try:
            bases += [] if base.lower() in stages else [references.read_reference(base)]
        except ParameterError:
            continue
    return list(dict.fromkeys(bases))


def _tagged(build: Build, texts: list[str]) -> Build:
    path, text = build.dockerfile_source
    sources = sources_hash(build.context, path, text)
    # the name too: no two images have the same reference, however their names are shortened
    everything = json.dumps([build.name, sources, build.dockerfile, build.options], sort_keys=True)
    tag = hashlib.sha256(everything.encode()).hexdigest()[:12]
    return replace(build, tag=tag, names=tuple(dict.fromkeys(texts)))


def _reference(stack: StackFile, service: str, text: str) -> Reference:
    spec = stack.services[service]
    where = stack.where("services", service, "image")
    try:
        reference = references.read_reference(text)
    except ParameterError as error:
        raise ParameterError(f"{where}: service {service!r}: {error}") from None
    if spec.get("build") and reference.digest:
        raise ParameterError(
            f"{where}: service {service!r} builds its image, so nobody knows its digest yet",
            evidence=f"image: {text}",
            next_step=f"image: {text.partition('@')[0]}",
        )
    return reference


def _build(stack: StackFile, service: str, reference: Reference) -> Build:
    build = stack.services[service]["build"]
    build = build if isinstance(build, Mapping) else {"context": build}
    place = BuildOf(stack, service)
    options, problems = read_options(place, build)
    context, dockerfile, inline = Path(), "", ""
    try:
        context, dockerfile, inline = read_sources(place, build)
    except RunbookError as error:
        problems.append(error)
    _raise(stack, problems)
    wanted = Build(reference.name, context, dockerfile, inline=inline, options=options)
    path, text = wanted.dockerfile_source
    if found := buildkit_only(text.decode(errors="replace"), options.get("buildargs", {})):
        file = "`dockerfile_inline`" if inline else str(path)
        raise place.error(
            "dockerfile_inline" if inline else "dockerfile",
            f"needs BuildKit, which is not used: {file}, line {found[0]}",
            "write the line without it, or build the image elsewhere",
            found[1],
        )
    stages = [stage for _, stage in _froms(wanted) if stage]
    target = str(options.get("target", "0"))
    if target.lower() not in stages and not target.isdigit():
        step = f"name one of its stages: {', '.join(stages) or 'it has none'}"
        raise place.error("target", f"is {target!r}, no stage of {dockerfile or 'it'}", step)
    return wanted


def _unnamed(
    stack: StackFile, built: Mapping[Reference, tuple[str, Build]], pulled: Mapping[Reference, str]
) -> Iterator[ParameterError]:
    for reference in built.keys() & pulled.keys():
        service, build = built[reference]
        if not stack.services[service].get("image"):
            # Compose names such an image for the project too, so the other one is from a registry
            yield ParameterError(
                f"{stack.where('services', service, 'build')}: service {service!r} builds an image "
                f"without a name, and service {pulled[reference]!r} runs the image {build.name!r}: "
                "are they the same?",
                next_step=f"give {service!r} an `image:`",
            )


def _upon_others(
    stack: StackFile, built: Mapping[Reference, tuple[str, Build]]
) -> Iterator[ParameterError]:
    for service, build in built.values():
        for base in bases_of(build):
            if base in built:
                yield ParameterError(
                    f"{stack.where('services', service, 'build')}: the image of service "
                    f"{service!r} is built upon {base.name}, which this stack builds too: images "
                    "are built side by side",
                    next_step="make both from one Dockerfile, with `target`",
                )


def _froms(build: Build) -> list[tuple[str, str]]:
    # each FROM of the Dockerfile: its base, and the stage's name in lower case
    _, text = build.dockerfile_source
    pattern = r"(?im)^[ \t]*FROM[ \t]+(?:--\S+[ \t]+)*(\S+)(?:[ \t]+AS[ \t]+(\S+))?"
    found = re.findall(pattern, text.decode(errors="replace"))
    return [(base, stage.lower()) for base, stage in found]


def _differences(first: str, one: Build, second: str, two: Build) -> str:
    lines = []
    for part in ("context", "dockerfile", "inline", "options"):
        a, b = getattr(one, part), getattr(two, part)
        if a != b:
            lines += [f"{first}: {part} {a}", f"{second}: {part} {b}"]
    return "\n".join(lines)


def _raise(stack: StackFile, problems: list[RunbookError]) -> None:
    for problem in problems:
        problem.args = (stack.hide(str(problem)),)  # one may name a value that is not shown
    if len(problems) == 1:
        raise problems[0]
    if problems:
        kinds = {type(problem) for problem in problems}
        kind = kinds.pop() if len(kinds) == 1 else ParameterError
        raise kind(
            f"{stack.path}: {len(problems)} images cannot be built as written",
            evidence="\n".join(map(str, problems)),
            next_step="correct each in the stack file",
        )
