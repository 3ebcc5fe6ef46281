"""
The record of a run, run.json in its folder, and the lock on its cluster during the run.
"""

import fcntl
import hashlib
import json
import os
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from runbook_lib.core.errors import ConflictError, NotFoundError
from runbook_lib.core.project import writable
from runbook_lib.core.words import count_of

PASSED, FAILED, INTERRUPTED, RUNNING = "passed", "failed", "interrupted", "running"
"""The verdicts of a notebook, and of a run."""

_VERSIONS = ("geo-diff-runbook", "papermill", "boto3", "fabric", "docker", "moto")


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in _VERSIONS:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


@dataclass
class Page:
    """
    One notebook of a run; its verdict is "" until it has run. `started` is seconds since the epoch,
    `template` the SHA-256 of the notebook that was executed.
    """

    name: str
    title: str
    verdict: str = ""
    seconds: float = 0.0
    cell: str = ""
    error: str = ""
    changes: list[dict[str, str]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    notes: list[dict[str, Any]] = field(default_factory=list)
    started: float = 0.0
    template: str = ""

    @property
    def tally(self) -> str:
        """
        Changes, checks and seconds on one line.
        """
        if not self.verdict:
            return "not run"
        changed = count_of(len(self.changes), "change") if self.changes else "no changes"
        passed = sum(check["passed"] for check in self.checks)
        checked = f"{passed} of {len(self.checks)} checks passed"
        verdict = [self.verdict] if self.verdict != PASSED else []
        return ", ".join([*verdict, changed, checked, f"{self.seconds:.1f} s"])


@dataclass
class Run:
    """
    The record of a run, written after each notebook, so that it survives a killed run.

    `resume` and `give_back` are commands: what goes on with a run that stopped, and what ends the
    costs of its cluster. `files` has the SHA-256 of what the run wrote, `seal` that of the record.
    """

    folder: Path
    parameters_file: str
    given: list[str]
    parameters: dict[str, Any]
    pages: list[Page]
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    seconds: float = 0.0
    verdict: str = RUNNING
    versions: dict[str, str] = field(default_factory=_versions)
    resume: str = ""
    give_back: str = ""
    files: dict[str, str] = field(default_factory=dict)
    seal: str = ""
    _began: float = field(default_factory=time.monotonic, repr=False)

    def write(self) -> None:
        """
        Write run.json atomically.
        """
        if not self.files:  # a sealed record has its time
            self.seconds = time.monotonic() - self._began
        partial = self.folder / "run.json.partial"
        record = asdict(self) | {"folder": self.folder.name}
        del record["_began"]
        partial.write_text(json.dumps(record, indent=1, ensure_ascii=False), encoding="utf-8")
        partial.rename(self.folder / "run.json")

    def close(self) -> None:
        """
        Write the record for the last time, sealed with the hashes of the run's own files.
        """
        names = [*(f"{page.name}.ipynb" for page in self.pages), "report.html"]
        paths = [self.folder / name for name in names]
        self.files = {path.name: digest(path) for path in paths if path.exists()}
        self.seal = seal_of(asdict(self) | {"folder": self.folder.name})
        self.write()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def seal_of(record: Mapping[str, Any]) -> str:
    """
    Return the hash of a record, for itself as for what run.json says of it.
    """
    kept = {key: value for key, value in record.items() if key not in ("seal", "_began")}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


@contextmanager
def lock(runs: Path, cluster: str) -> Iterator[None]:
    """
    Allow one run at a time per cluster.

    flock leaves no lock after a killed run; the text in the file only names the holder.

    Raises ConflictError with the process that holds it; AccessError if `runs` is not writable.
    """
    with writable(runs):
        runs.mkdir(parents=True, exist_ok=True)
        opened = (runs / f".{cluster}.lock").open("a+", encoding="utf-8")
    with opened as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise ConflictError(
                f"another run works on the cluster {cluster}",
                evidence=file.read(),
                next_step="wait until it ends, or stop it with  kill <pid>",
            ) from error
        file.truncate(0)
        file.write(f"pid {os.getpid()}, since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC")
        file.flush()
        yield
        file.truncate(0)


def get_unfinished(runs: Path, parameters_file: Path) -> tuple[list[str], list[str]]:
    """
    Return the notebooks that the last run of these parameters did not finish, and its `-p` values.

    Raises NotFoundError if there is no such run, or it finished.
    """
    for record in sorted(runs.glob("*/run.json"), reverse=True):
        run = json.loads(record.read_text(encoding="utf-8"))
        if run["parameters_file"] == str(parameters_file):
            if left := [page["name"] for page in run["pages"] if page["verdict"] != PASSED]:
                return left, list(run["given"])
            break
    raise NotFoundError(
        f"expected an unfinished run of {parameters_file} in {runs}; there is none",
        next_step=f"start one:  runbook run {parameters_file}",
    )
