"""
A file system on a recorded disk, and what is on the disk if the power is cut at a given moment.
"""

import itertools
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tests.places import ROOT
from tests.power_cut.recorder import ENTRY

BLOCK = 4096
"""Bytes that a disk writes whole; of a longer write, some may arrive and others not."""


@dataclass(frozen=True)
class Entry:
    """
    One operation: `data` is empty for a flush, after which all writes before it are safe.
    """

    time_ns: int
    offset: int
    data: bytes
    is_flush: bool


def command(*words: object) -> str:
    """
    Run a program; its output. Raises RuntimeError with what it said.
    """
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{words}: {done.stderr.strip()}")
    return done.stdout


@contextmanager
def recorded(folder: Path, size: int) -> Iterator[Path]:
    """
    Mount a new ext4 on a recorded disk of `size` bytes; yield where. The log stays in the folder.
    """
    behind, place = folder / "mount", folder / "files"
    behind.mkdir()
    arguments = [sys.executable, "-m", "tests.power_cut.recorder", str(folder), str(size)]
    with subprocess.Popen(arguments, cwd=ROOT) as recorder:
        try:
            deadline = time.monotonic() + 30
            while not (behind / "disk").exists():
                if recorder.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("the recorded disk is not there")
                time.sleep(0.05)
            command("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,nodiscard", behind / "disk")
            with mounted(behind / "disk", place):
                yield place
        finally:
            command("fusermount3", "-u", behind)


@contextmanager
def mounted(image: Path, place: Path) -> Iterator[None]:
    place.mkdir()
    command("mount", "-o", "loop", image, place)
    try:
        yield
    finally:
        command("umount", place)
        place.rmdir()


def entries(folder: Path) -> Iterator[Entry]:
    """
    The history of a disk, oldest first.
    """
    with (folder / "log").open("rb") as log:
        while head := log.read(ENTRY.size):
            kind, time_ns, offset, length = ENTRY.unpack(head)
            yield Entry(time_ns, offset, log.read(length), kind == b"F")


def cut(folder: Path, point: int, image: Path, seed: int) -> int:
    """
    Make the disk as it is when the power is cut after `point` operations; the time then, in ns.

    All writes before the last flush are there; of those after it, each block is with a chance of a
    half, as a disk reorders what it has not been told to keep.
    """
    waiting: list[Entry] = []
    with image.open("wb") as file:
        file.truncate((folder / "content").stat().st_size)
        for entry in itertools.islice(entries(folder), point):
            waiting.append(entry)
            if entry.is_flush:
                _apply(file, waiting)
                waiting = []
        _apply(file, waiting, random.Random(f"{seed}-{point}"))
    return entry.time_ns


def _apply(file: BinaryIO, writes: list[Entry], chance: random.Random | None = None) -> None:
    for write in writes:
        for start in range(0, len(write.data), BLOCK):
            if chance is None or chance.random() < 0.5:
                file.seek(write.offset + start)
                file.write(write.data[start : start + BLOCK])
