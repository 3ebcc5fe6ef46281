"""
Tiles segmented in a process beside the worker, one at a time, with bounded memory and time.

A tile that kills its process, or makes it hang, is known by name: the worker lives on, counts, and
has a reason. Counting deliveries would not do: on a classic queue with a backlog, RabbitMQ does not
mark as redelivered what a killed worker had.
"""

import logging
import os
import struct
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from pathlib import Path

from geodiff.tiles import SURFACES

log = logging.getLogger(__name__)

# OpenCV and NumPy map 275 MiB, of which they use 45
LIMIT_BYTES = 512 * 1024 * 1024
# a tile takes 10 ms; a t2.micro without CPU credits needs 15 s to start the process
LIMIT_S, START_S, END_S = 20.0, 60.0, 5.0
MAX_ANSWER = 4 * 1024 * 1024
READY, RESULTS, REFUSED = b"y", b"s", b"n"
_HEAD = struct.Struct(">dI")


class BadTileError(ValueError):
    """
    The tile can never be segmented; the message is the reason.
    """


class ProcessEndedError(RuntimeError):
    """
    The process did not survive the tile, or was stopped; the message is how it ended.
    """


@dataclass(frozen=True)
class Surface:
    """
    One result: an RGBA PNG, transparent black outside the surface, and the share of it (0 to 1).
    """

    name: str
    png: bytes
    share: float


def packed(surfaces: Sequence[Surface]) -> bytes:
    """
    Results in the order of SURFACES as bytes; no pickle, as the reader has the broker's password.
    """
    parts = (_HEAD.pack(s.share, len(s.png)) + s.png for s in surfaces)
    return RESULTS + b"".join(parts)


def unpacked(answer: bytes) -> list[Surface]:
    """
    Read the answer to a tile; BadTileError if it was refused, struct.error if it is none.
    """
    if answer[:1] != RESULTS:
        raise BadTileError(answer[1:].decode(errors="replace"))
    surfaces, at = [], 1
    for name in SURFACES:
        share, length = _HEAD.unpack_from(answer, at)
        at += _HEAD.size + length
        surfaces.append(Surface(name, answer[at - length : at], share))
    return surfaces


class Segmenter:
    """
    Starts its process when it is needed. Not for several threads at once.
    """

    def __init__(self, attempts: int) -> None:
        self._attempts = attempts
        self._process: subprocess.Popen[bytes] | None = None

    def segment(self, data: bytes) -> list[Surface]:
        """
        Return the surfaces of a tile; BadTileError also if no process has survived it.
        """
        reason = ""
        for _ in range(self._attempts):
            try:
                return self._ask(data)
            except ProcessEndedError as exc:
                log.warning("a process that segments a tile %s", exc)
                reason = str(exc)
        raise BadTileError(f"{self._attempts} times, the process that segments it {reason}")

    def _ask(self, data: bytes) -> list[Surface]:
        if self._process is None or self._process.poll() is not None:
            self.start()
        try:
            self._link.send_bytes(data)
            if self._link.poll(LIMIT_S):
                return unpacked(self._link.recv_bytes(MAX_ANSWER))
            reason = f"had no result within {LIMIT_S:g} s"
        except (EOFError, ConnectionError) as exc:
            raise ProcessEndedError(self._end(END_S)) from exc
        except (struct.error, OSError):  # OSError: too long. More may be ready, for the next tiles
            reason = "gave an answer that is none"
        self._end()
        raise ProcessEndedError(reason)

    def start(self) -> None:
        """
        Start the process and wait until it can take a tile; RuntimeError if it cannot.
        """
        self._link, its_end = Pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "geodiff.segmentation", str(its_end.fileno())],
            pass_fds=[its_end.fileno()],
            cwd=Path(__file__).parents[1],
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # each thread maps another 60 MiB
            stdin=subprocess.DEVNULL,
        )
        its_end.close()
        try:
            ready = self._link.poll(START_S) and self._link.recv_bytes(1) == READY
        except (EOFError, OSError):
            ready = False
        if not ready:
            self.close()
            raise RuntimeError(f"the process that segments tiles is not ready after {START_S:g} s")

    def _end(self, within_s: float = 0) -> str:
        """
        Kill the process, unless it ends by itself; return how it ended.
        """
        self._link.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(within_s)
        self._process.kill()
        status = self._process.wait()
        self._process = None
        return f"ended with {status}"

    def close(self) -> None:
        if self._process is not None:
            self._end()
