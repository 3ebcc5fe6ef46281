"""
The scorecard: what each drill measured, before and after each solution, as one table.

A drill leaves one JSON file in the folder of its run. The newest of each drill, break and set of
solutions counts, whichever run made it.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

from runbook_lib.core.tables import frame_html

FOLDER = "drills"
PLAIN = "as the guide has it"
_MADE_ANEW = "rescheduled, s"


@dataclass(frozen=True)
class Result:
    """
    What one break did; seconds count from the break, and None is never.

    Parameters
    ----------
    drill
        The notebook.
    broke
        What failed, in words.
    solutions
        What was switched on, as found on the live cluster.
    leader_s
        Until another manager led, or one did again that the operator had to make lead; None where
        the leader did not change.
    back_s
        Until what had failed, or another in its place, ran again.
    recovered_s
        Until the old throughput was back.
    pause_s
        The longest time in which no tile was finished.
    unexplained
        Tiles on the disk of which no book tells.
    web_failed
        Failed requests of each of the two doors, the page and the tiles.
    """

    drill: str
    broke: str
    solutions: tuple[str, ...]
    broke_at: str
    noticed_by: str
    noticed_s: float | None
    leader_s: float | None
    rescheduled_s: float | None
    back_s: float | None
    recovered_s: float | None
    steady_per_s: float
    pause_s: float
    published: int
    done: int
    rejected: int
    lost: int
    unexplained: int
    published_twice: int
    delivered_twice: int
    done_twice: int
    web_asked: int
    web_failed: dict[str, int]

    @property
    def key(self) -> tuple[str, str, tuple[str, ...]]:
        """
        Results of the same key tell of the same thing; the newest counts.
        """
        return self.drill, self.broke, self.solutions


def write(result: Result, run_folder: Path) -> Path:
    """
    Leave a result in the folder of a run.
    """
    folder = run_folder / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    words = "_".join(result.broke.split())
    path = folder / f"{result.drill[:2]}_{words}.json"
    path.write_text(json.dumps(asdict(result), indent=1), encoding="utf-8")
    return path


def find_results(runs: Path) -> list[Result]:
    """
    The newest result of every key in all runs of a folder, in the order of the drills.
    """
    newest: dict[tuple[str, str, tuple[str, ...]], Result] = {}
    found = (_read(path) for path in runs.glob(f"*/{FOLDER}/*.json"))
    for result in sorted((r for r in found if r), key=lambda r: r.broke_at):
        newest[result.key] = result
    return [newest[key] for key in sorted(newest, key=lambda k: (k[0], k[1], len(k[2]), k[2]))]


@dataclass(frozen=True)
class Scorecard:
    """
    Results as one table under a sentence that says what they show.
    """

    results: Sequence[Result]

    @property
    def finding(self) -> str:
        """
        What was lost, and where work stood still longest.
        """
        if not self.results:
            return "no drill yet"
        worst = max(self.results, key=lambda r: r.pause_s)
        lost, published = (sum(getattr(r, n) for r in self.results) for n in ("lost", "published"))
        return (
            f"{len(self.results)} break{'s' * (len(self.results) != 1)}, "
            f"{lost} of {published:,} tiles lost; work stood still "
            f"longest, {worst.pause_s:.0f} s, with {worst.broke} ({_solutions(worst)})"
        )

    def _repr_html_(self) -> str:
        shown = table(self.results).drop(columns=_MADE_ANEW, errors="ignore")  # for the width
        return f"<p><b>{self.finding}</b></p>{frame_html(shown)}"


def table(results: Sequence[Result]) -> pd.DataFrame:
    """
    One row a result, in words; "never" for what did not happen, "" for what could not.
    """
    rows = [
        {
            "drill": r.drill[:2],
            "failure": r.broke,
            "with": _solutions(r),
            "tiles": r.published,
            "lost": r.lost,
            "delivered twice": r.delivered_twice,
            "done twice": r.done_twice,
            "noticed by": r.noticed_by,
            "noticed, s": _seconds(r.noticed_s),
            _MADE_ANEW: _seconds(r.rescheduled_s),
            "new leader, s": "" if r.leader_s is None else _seconds(r.leader_s),
            "runs again, s": _seconds(r.back_s),
            "old throughput, s": _seconds(r.recovered_s),
            "longest pause, s": _seconds(r.pause_s),
            "web requests failed": f"{sum(r.web_failed.values())} of {r.web_asked}",
        }
        for r in results
    ]
    return pd.DataFrame(rows)


def _solutions(result: Result) -> str:
    return ", ".join(result.solutions) or PLAIN


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f}"


def _read(path: Path) -> Result | None:
    """
    A file that another version wrote differently is no result of ours.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or found.keys() != {field.name for field in fields(Result)}:
        return None
    return Result(**found | {"solutions": tuple(found["solutions"])})
