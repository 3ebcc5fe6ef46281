"""
The images that a stack builds, each with a tag derived from its sources.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from runbook_lib.core.errors import NotFoundError
from runbook_lib.stacks.compose.stack_file import StackFile, image_name


@dataclass(frozen=True)
class Build:
    """
    An image to build: its name, its folder, and a tag derived from its sources.
    """

    name: str
    context: Path
    dockerfile: str
    tag: str


def builds(stack: StackFile) -> dict[str, Build]:
    """
    Return the images to build, by name; services that share an image share its build.
    """
    images: dict[str, Build] = {}
    for service, spec in stack.services.items():
        if not spec.get("build"):
            continue
        build = spec["build"] if isinstance(spec["build"], dict) else {"context": spec["build"]}
        context = (stack.path.parent / build["context"]).resolve()
        dockerfile = build.get("dockerfile", "Dockerfile")
        if not (context / dockerfile).is_file():
            raise NotFoundError(
                f"service {service!r} of {stack.path} builds from {context}; "
                f"there is no {dockerfile}",
                next_step="correct `build` in the stack file",
            )
        name = image_name(service, spec)
        images[name] = Build(name, context, dockerfile, sources_hash(context))
    return images


def sources_hash(folder: Path) -> str:
    """
    Hash names, modes and bytes of all files in a folder; return twelve hex digits.
    """
    digest = hashlib.sha256()
    for file in source_files(folder):
        digest.update(f"{file.relative_to(folder)}\0{file.stat().st_mode & 0o111}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]


def source_files(folder: Path) -> list[Path]:
    """
    Return the sorted files of a build context, without caches of Python and its tools.
    """
    caches = {"__pycache__", ".mypy_cache", ".ruff_cache"}
    return sorted(p for p in folder.rglob("*") if p.is_file() and caches.isdisjoint(p.parts))
