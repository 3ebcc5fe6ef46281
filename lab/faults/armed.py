"""
The faults that are armed in a lab, and a journal of what they did.

The command line writes `faults.json`, and whoever carries a fault out only appends to the journal:
no file has two writers that could undo each other, and a lab that is restarted goes on where it
was.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from filelock import FileLock

from lab.core.errors import LabError
from lab.core.files import replace_file


@dataclass(frozen=True)
class Fault:
    """
    One armed fault.

    Parameters
    ----------
    seed, share
        The seed picks this share of the occasions: the same seed picks the same ones again.
    count
        How often it strikes at most.
    only
        Patterns of what it strikes: actions as `RunInstances` or `Describe*`, or instances.
    seconds
        The length of a delay, or of the fault itself.
    """

    kind: str
    seed: int = 0
    count: int = 3
    share: float = 1.0
    only: tuple[str, ...] = ()
    seconds: float = 0.0
    number: int = 0

    def __str__(self) -> str:
        targets = f" of {', '.join(self.only)}" if self.only else ""
        lasting = f", {self.seconds:g} s" if self.seconds else ""
        return (
            f"{self.kind}{targets}: at most {self.count}, "
            f"{self.share:.0%} by seed {self.seed}{lasting}"
        )

    def concerns(self, name: str) -> bool:
        return not self.only or any(fnmatchcase(name, pattern) for pattern in self.only)

    def picks(self, name: str, occasion: int) -> bool:
        """
        Whether the seed picks the n-th occasion of a name.

        It depends on nothing else: the threads of a client may send their requests in any order.
        """
        return self.dice(name, occasion).random() < self.share

    def dice(self, name: str, occasion: int) -> random.Random:
        return random.Random(f"{self.seed} {self.kind} {name} {occasion}")  # noqa: S311 (to be had again)


class Faults:
    """
    The armed faults in a folder, read again when the file has changed.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "faults.json"
        self._journal = folder / "faults.jsonl"
        self._read: tuple[int, int] = (0, 0)
        self._armed: list[Fault] = []

    def armed(self) -> list[Fault]:
        try:
            status = self._file.stat()
        except FileNotFoundError:
            return []
        if self._read != (status.st_mtime_ns, status.st_ino):
            self._armed = self._load()
            self._read = (status.st_mtime_ns, status.st_ino)
        return self._armed

    def arm(self, fault: Fault) -> Fault:
        """
        Add a fault; return it with its number, which no other had before.
        """
        with FileLock(self._file.with_suffix(".lock")):
            used = [one.number for one in self.armed()] + [*self.strikes()]
            fault = replace(fault, number=max(used, default=0) + 1)
            self._write([*self.armed(), fault])
        return fault

    def disarm(self, number: int = 0) -> list[Fault]:
        """
        Remove one fault, or all of them; return what was removed.
        """
        with FileLock(self._file.with_suffix(".lock")):
            gone = [one for one in self.armed() if number in (0, one.number)]
            self._write([one for one in self.armed() if one not in gone])
        return gone

    def record(self, fault: Fault, did: str) -> None:
        """
        Append one strike to the journal.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry = {"at": now, "fault": fault.number, "kind": fault.kind, "did": did}
        with self._journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def strikes(self) -> dict[int, list[str]]:
        """
        What each fault did, by its number; also of faults that are no longer armed.
        """
        found: dict[int, list[str]] = {}
        try:
            lines = self._journal.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return found
        for entry in map(json.loads, lines):
            found.setdefault(entry["fault"], []).append(entry["did"])
        return found

    def _load(self) -> list[Fault]:
        try:
            entries = json.loads(self._file.read_text(encoding="utf-8"))
            return [Fault(**entry | {"only": tuple(entry["only"])}) for entry in entries]
        except (ValueError, TypeError, KeyError) as exc:
            raise LabError(
                f"expected the armed faults of a lab in {self._file}",
                evidence=str(exc),
                next_step=f"rm {self._file}",
            ) from exc

    def _write(self, faults: list[Fault]) -> None:
        replace_file(self._file, json.dumps([asdict(one) for one in faults], indent=1).encode())
