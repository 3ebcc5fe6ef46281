"""
Build contexts: the files that an image is built from, as Docker's command line sends them.

Source: https://docs.docker.com/build/concepts/context/ for `.dockerignore`.
"""

import hashlib
import io
import os
import posixpath
import re
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from runbook_lib.core.errors import ParameterError

LIMIT_MIB = 512
_CACHES = {"__pycache__", ".mypy_cache", ".ruff_cache"}


class Hashed(io.RawIOBase):
    """
    A file that keeps only the hash of what is written to it.
    """

    def __init__(self) -> None:
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.digest.update(data)
        return len(data)


def write_context(
    folder: Path, dockerfile: Path, text: bytes, into: io.RawIOBase | IO[bytes]
) -> str:
    """
    Write a build context as a tar whose bytes depend only on the sources.

    Return the Dockerfile's name in it. A Dockerfile outside of the context, ignored, or without a
    file of its own (`text` is what it says) gets a name that the engine removes before `COPY`.

    Raises ParameterError if the context is too large, or a file in it cannot be read.
    """
    files = source_files(folder, dockerfile)
    name = os.path.relpath(dockerfile, folder)
    extra: dict[str, bytes] = {}
    if name not in files:
        name = f".dockerfile.{hashlib.sha256(text).hexdigest()[:12]}"
        kept = ".dockerignore" in files
        ignored = (folder / ".dockerignore").read_bytes() if kept else b".dockerignore"
        extra = {name: text, ".dockerignore": ignored + f"\n{name}\n".encode()}
    with tarfile.open(fileobj=into, mode="w|") as tar:
        for file in files:
            if file not in extra:
                _add(tar, folder / file, file)
        for file, content in sorted(extra.items()):
            info = tarfile.TarInfo(file)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return name


def source_files(folder: Path, dockerfile: Path | None = None) -> list[str]:
    """
    Return the sorted paths of a build context: files, links, and folders, without what its
    `.dockerignore` names and without caches of Python and its tools.

    The file `<dockerfile>.dockerignore` goes before `.dockerignore`. No link is followed.

    Raises ParameterError if they are larger than 512 MiB.
    """
    patterns = _patterns(folder, dockerfile or folder / "Dockerfile")
    found: dict[str, int] = {}
    for current, folders, files in os.walk(folder, onerror=_unreadable):
        at = os.path.relpath(current, folder)
        links = [name for name in folders if (Path(current) / name).is_symlink()]
        kept = []
        for name in set(folders) - _CACHES - {*links}:
            path = posixpath.normpath(f"{at}/{name}")
            if not is_ignored(path, patterns):
                found[path] = 0
            elif not any(kept_again for _, kept_again in patterns):
                continue
            kept.append(name)
        folders[:] = kept
        for name in files + links:
            path = posixpath.normpath(f"{at}/{name}")
            if not is_ignored(path, patterns):
                found[path] = (folder / path).lstat().st_size
    if (size := sum(found.values())) > LIMIT_MIB << 20:
        raise _too_large(folder, found, size)
    return sorted(found)


def is_ignored(path: str, patterns: Sequence[tuple[re.Pattern[str], bool]]) -> bool:
    """
    Check a path against the patterns of a `.dockerignore`; the last that fits it, or a folder above
    it, decides.
    """
    parts = path.split("/")
    above = ["/".join(parts[:n]) for n in range(len(parts), 0, -1)]
    for pattern, kept_again in reversed(patterns):
        if any(pattern.fullmatch(p) for p in above):
            return not kept_again
    return False


def ignore_patterns(text: str) -> list[tuple[re.Pattern[str], bool]]:
    """
    Read a `.dockerignore`: each pattern, and whether it keeps again (`!`) what was ignored.

    The SDK has such a function (`docker.utils.build`), but it reads `[^a]` and `**/.git` with an
    exception differently from Docker.
    """
    patterns = []
    for line in text.removeprefix("\ufeff").splitlines():
        again = line.strip().startswith("!")
        pattern = line.strip().removeprefix("!").strip()
        if line.startswith("#") or not pattern:
            continue
        pattern = posixpath.normpath(pattern).lstrip("/")
        patterns.append((re.compile(_expression(pattern)), again))
    return patterns


def _expression(pattern: str) -> str:
    # Go's filepath.Match, and ** for any number of folders
    tokens = re.findall(r"\*\*+/?|\*|\?|\[\^?\]?[^\]]*\]|\\.|.", pattern, re.DOTALL)
    result = ""
    for place, token in enumerate(tokens):
        if token.startswith("**"):
            result += ".*" if place == len(tokens) - 1 else "(?:.*/)?"
        elif token in ("*", "?"):
            result += "[^/]" + token.replace("?", "")
        elif token.startswith("[") and len(token) > 1:
            result += token.replace("[", "\\[").replace("\\[", "[", 1)
        else:
            result += re.escape(token.removeprefix("\\") or token)
    return result


def _patterns(folder: Path, dockerfile: Path) -> list[tuple[re.Pattern[str], bool]]:
    for file in (dockerfile.with_name(f"{dockerfile.name}.dockerignore"), folder / ".dockerignore"):
        if file.is_file():
            try:
                return ignore_patterns(file.read_text())
            except (re.error, UnicodeDecodeError) as error:
                message = f"expected patterns in {file}: {error}"
                raise ParameterError(message, next_step=f"correct {file}") from error
    return []


def _add(tar: tarfile.TarFile, file: Path, name: str) -> None:
    tar.inodes = {}  # type: ignore[attr-defined] # a second hard link is a file like the first
    info = tar.gettarinfo(file, name)
    if info is None:  # a socket
        return
    info.mtime, info.uid, info.gid, info.uname, info.gname = 0, 0, 0, "", ""
    if not info.isreg():
        tar.addfile(info)
        return
    try:
        with file.open("rb") as content:
            tar.addfile(info, content)
    except OSError as error:
        _unreadable(error)


def _unreadable(error: OSError) -> None:
    message = f"expected to read {error.filename}, a part of a build context: {error.strerror}"
    raise ParameterError(message, next_step="change its mode, or ignore it") from error


def _too_large(folder: Path, found: dict[str, int], size: int) -> ParameterError:
    tops: dict[str, int] = {}
    for path, bytes_ in found.items():
        top = path.split("/")[0]
        tops[top] = tops.get(top, 0) + bytes_
    largest = sorted(tops, key=lambda top: -tops[top])[:3]
    return ParameterError(
        f"expected a build context of at most {LIMIT_MIB} MiB in {folder}; it has {size >> 20} MiB",
        evidence="\n".join(f"{tops[top] >> 20} MiB in {top}" for top in largest),
        next_step=f"write what the image does not need into {folder}/.dockerignore",
    )
