"""
The values that `docker stats` prints, a dictionary-encoded column at a time.

Only a column's distinct words are parsed: sizes are rounded to three digits, so rows repeat them.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

UNITS = {
    "": 1.0,
    "%": 1.0,
    "B": 1.0,
    **{f"{letter}B": 1000.0**power for power, letter in enumerate("KMGTP", 1)},
    **{f"{letter}IB": 1024.0**power for power, letter in enumerate("KMGTP", 1)},
}
"""Docker's, with any case: kB is 1000 bytes, KiB 1024; a plain number is bytes."""

NUMBER = r"^(?P<number>\d+(?:\.\d*)?(?:[eE]\+?\d+)?) ?(?P<unit>[A-Za-z%]*)$"
CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d):([0-5]\d)")
NOT_MEASURED = ("", "--")


class Column:
    """
    A dictionary-encoded column of words.
    """

    def __init__(self, column: pa.DictionaryArray) -> None:
        self.words = pc.utf8_trim_whitespace(column.dictionary)
        self.codes: npt.NDArray[np.int32] = column.indices.to_numpy()

    def isin(self, *words: str) -> npt.NDArray[np.bool_]:
        found: npt.NDArray[Any] = np.asarray(pc.is_in(self.words, pa.array(words, pa.string())))
        return found[self.codes]

    def codes_in(
        self, known: dict[str, int], name_of: Callable[[str], str], rows: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.int32]:
        """
        For each of some rows the position of its name in `known`, to which new names are added.
        """
        used, codes = np.unique(self.codes[rows], return_inverse=True)
        names = self.words.take(pa.array(used)).to_pylist()
        positions = [known.setdefault(name_of(name), len(known)) for name in names]
        return np.array(positions, dtype=np.int32)[codes]

    def seconds_of_day(self) -> npt.NDArray[np.float64]:
        """
        `HH:MM:SS` as seconds; NaN where it is no time.
        """
        return np.array([_seconds(word) for word in self.words.to_pylist()])[self.codes]

    def numbers(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """
        The plain numbers (NaN: not measured), and which rows hold something else.
        """
        plain = pc.utf8_rtrim(self.words, characters="%")
        try:
            values = np.array(pc.cast(plain, pa.float64()), dtype=np.float64)
            unread = ~(values >= 0)  # "nan" and "-1" are numbers to the cast, not to docker
            if not unread.any():
                return values[self.codes], unread[self.codes]
        except pa.ArrowInvalid:
            pass  # units, or words that are no numbers
        parts = pc.extract_regex(self.words, NUMBER)
        number = pc.cast(pc.struct_field(parts, "number"), pa.float64())
        units = pc.utf8_upper(pc.struct_field(parts, "unit"))
        at = pc.index_in(units, pa.array(list(UNITS), pa.string()))
        factor = np.append(list(UNITS.values()), np.nan)[np.asarray(pc.fill_null(at, len(UNITS)))]
        values = np.array(number, dtype=np.float64) * factor
        nothing = np.asarray(pc.is_in(self.words, pa.array(NOT_MEASURED, pa.string())))
        unread = np.isnan(values) & ~nothing
        return values[self.codes], unread[self.codes]


@lru_cache(maxsize=100_000)  # a day has 86,400 of them, and each comes again and again
def _seconds(word: str) -> float:
    match = CLOCK.fullmatch(word)
    return int(match[1]) * 3600.0 + int(match[2]) * 60 + int(match[3]) if match else np.nan


def service_name(name: str) -> str:
    """
    `stack_service.1.taskid` as `service`; a name without a stack stays.
    """
    task = name.lstrip("/").partition(".")[0]
    return task.partition("_")[2] or task


def node_name(stem: str) -> str:
    """
    `worker1` as the role `worker-1`.
    """
    return re.sub(r"(?<=[A-Za-z])[ _]?(?=\d+$)", "-", stem.strip())
