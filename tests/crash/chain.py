"""
A chain of runs: each is killed at its first effect that none before it was killed at, the last is
not.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.lab.harness import PARAMS, PROJECT, Runbook

HOOK = Path(__file__).parent / "hook"
KILLED = -9


@dataclass(frozen=True)
class Death:
    """
    One run that was killed, and how the next one ended: killed later, or passed.
    """

    notebook: str
    effect: str
    next_run: str


class Chain:
    """
    The chains of one runbook; all effects of all notebooks are met once.

    Parameters
    ----------
    most
        The number of kills of each notebook.
    only
        A pattern of effects, such as "ssh|ec2".
    """

    def __init__(self, runbook: Runbook, folder: Path, most: int = 1000, only: str = "") -> None:
        self.runbook, self.deaths = runbook, list[Death]()
        self._log, self._most, self._only = folder / "effects.jsonl", most, only

    def go(self, number: str, **given: object) -> None:
        """
        Run one notebook until nothing is left to be killed at; AssertionError if a run fails by
        itself.
        """
        most = len(self._effects()) + self._most
        while True:
            before = self._effects()
            code, output = self._run(number, most, given)
            if self.deaths and not self.deaths[-1].next_run:
                how = {KILLED: "killed later", 0: "passed"}.get(code, f"failed: {output[-3000:]}")
                last = self.deaths.pop()
                self.deaths.append(Death(last.notebook, last.effect, how))
            new = self._effects()[len(before) :]
            assert (code, len(new)) in ((KILLED, 1), (0, 0)), (self.table(), output[-6000:])
            if not new:
                return
            self.deaths.append(Death(number, new[0], ""))

    def table(self) -> str:
        """
        The effects tried, and what became of the next run.
        """
        rows = [f"{one.notebook}  {one.effect}  →  {one.next_run}" for one in self.deaths]
        good = sum(one.next_run in ("killed later", "passed") for one in self.deaths)
        return "\n".join([*rows, f"{len(rows)} effects tried, {good} survived"])

    def _run(self, number: str, most: int, given: dict[str, object]) -> tuple[int, str]:
        command = [sys.executable, "-m", "runbook_lib", "run", PARAMS, "--only", number]
        command += [*self.runbook.values(**given), "--runs", str(self.runbook.runs)]
        done = subprocess.run(
            command,
            cwd=PROJECT,
            env=self._environment(most),
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def _environment(self, most: int) -> dict[str, str]:
        crash = {"CRASH_LOG": str(self._log), "CRASH_MOST": str(most), "CRASH_ONLY": self._only}
        return os.environ | crash | {"PYTHONPATH": f"{HOOK}:{os.environ.get('PYTHONPATH', '')}"}

    def _effects(self) -> list[str]:
        if not self._log.exists():
            return []
        return [json.loads(line)["effect"] for line in self._log.read_text().splitlines()]
