"""
A log file that somebody else wrote: gzipped or not, whole or cut, in bounded memory.
"""

import codecs
import gzip
import shlex
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, TextIOWrapper
from pathlib import Path

from runbook_lib.core.errors import IntegrityError

LONGEST_LINE = 64 * 1024
"""Bytes; a line without an end, zipped, would otherwise fill the memory from a small file."""


@contextmanager
def opened(path: Path, what: str) -> Iterator["gzip.GzipFile | BufferedReader | Utf8"]:
    """
    Open a log, unzipped if its first bytes say so.

    Raises IntegrityError if it cannot be read to the end; `what` are its lines, in words.
    """
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if zipped else path.open("rb") as file:
            first = file.read(2)
            file.seek(0)
            # PowerShell's > writes UTF-16
            wide = first in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
            yield Utf8(TextIOWrapper(file, "utf-16", "replace", newline="")) if wide else file
    except (OSError, EOFError, zlib.error) as error:
        raise unlike(path, what, "it cannot be read", str(error)) from error


class Utf8:
    """
    A text of another encoding, as bytes of UTF-8.
    """

    def __init__(self, text: TextIOWrapper) -> None:
        self._text = text

    def read(self, characters: int) -> bytes:
        return self._text.read(characters).encode()

    def readline(self, characters: int) -> bytes:
        return self._text.readline(characters).encode()


def unlike(path: Path, what: str, why: str, evidence: str, next_step: str = "") -> IntegrityError:
    """
    Return the error of a file that is not the log that its name promises.
    """
    return IntegrityError(
        f"expected {what} in {path.name}; {why}",
        evidence=evidence,
        next_step=next_step or f"look at the file:  head -3 {shlex.quote(str(path))}",
    )
