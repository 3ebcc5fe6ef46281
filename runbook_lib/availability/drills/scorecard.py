"""
The files of a run's drills: a journal and a result for each fault; the results as one table; and
the prediction that a result is checked against.

Over all runs, the newest result of each drill, fault and set of solutions counts.
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from runbook_lib.core import checks, project
from runbook_lib.core.tables import frame_html

DRILLS_FOLDER = "drills"
JOURNAL = "journal.jsonl"
DEALING, BREAKING, BROKEN = "dealing", "breaking", "broken"
RESTORING, RESTORED, SETTLED = "restoring", "restored", "settled"
GUIDE_ALONE = "as in the guide"
_RESCHEDULED = "rescheduled, s"


@dataclass(frozen=True)
class DrillResult:
    """
    The figures of one fault; seconds count from the fault, and None means never.

    Parameters
    ----------
    drill
        The notebook.
    broke
        The failed part, in words.
    solutions
        The guide's deployed solutions, as found on the live cluster.
    leader_s
        Until another manager led, or the same one after the operator's recovery; None if the
        leader did not change.
    back_s
        Until the failed part, or its replacement, ran.
    recovered_s, pause_s
        As in `times.ThroughputRecovery`; the counts of tiles are those of `audit.Reconciliation`.
    web_failed
        Failed requests of the page and of the tiles.
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


def write_journal(drill: str, phase: str, broke: str = "") -> None:
    """
    Add a line to the journal, which shows how far a killed drill came.
    """
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = json.dumps({"time": now, "drill": drill, "phase": phase, "broke": broke})
    with (_folder() / JOURNAL).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def write_result(result: DrillResult, fates: pd.DataFrame) -> Path:
    """
    Write the result, and under the same name the fate of every tile as CSV.
    """
    words = "_".join(result.broke.split())
    path = _folder() / f"{result.drill[:2]}_{words}.json"
    path.write_text(json.dumps(asdict(result), indent=1), encoding="utf-8")
    fates.to_csv(path.with_suffix(".csv"), index=False)
    return path


def _folder() -> Path:
    run = project.run_folder()
    os.environ[project.FOLDER_VARIABLE] = str(run)  # an interactive notebook creates it once
    folder = run / DRILLS_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def find_results(runs: Path) -> list[DrillResult]:
    """
    Find the newest result of each drill, fault and set of solutions in all runs of a folder.
    """
    results = filter(None, map(_read, runs.glob(f"*/{DRILLS_FOLDER}/*.json")))
    by_age = sorted(results, key=lambda r: r.broke_at)
    newest = {(r.drill, r.broke, len(r.solutions), r.solutions): r for r in by_age}
    return [newest[key] for key in sorted(newest)]


def _read(path: Path) -> DrillResult | None:
    try:  # a file with other fields, from another version, is skipped
        data = json.loads(path.read_text(encoding="utf-8"))
        return DrillResult(**data | {"solutions": tuple(data["solutions"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True)
class Scorecard:
    """
    Results as one table under a sentence that states the finding.
    """

    results: Sequence[DrillResult]

    @property
    def finding(self) -> str:
        if not self.results:
            return "no drill yet"
        worst = max(self.results, key=lambda r: r.pause_s)
        lost, published = (sum(getattr(r, n) for r in self.results) for n in ("lost", "published"))
        return (
            f"{len(self.results)} fault{'s' * (len(self.results) != 1)}, "
            f"{lost} of {published:,} tiles lost; longest pause {worst.pause_s:.0f} s: "
            f"{worst.broke} ({_solutions(worst)})"
        )

    def _repr_html_(self) -> Markup:
        shown = result_table(self.results).drop(columns=_RESCHEDULED, errors="ignore")  # for width
        return Markup("<p><b>{}</b></p>{}").format(self.finding, frame_html(shown))


def newest_results() -> Scorecard:
    """
    Return the scorecard of this run and of all earlier ones in the same folder.
    """
    return Scorecard(find_results(_folder().parents[1]))


def result_table(results: Sequence[DrillResult]) -> pd.DataFrame:
    """
    Return one row per result, in words; "never" for events that did not happen, "" for impossible
    ones.
    """
    rows = [
        {
            "drill": r.drill[:2],
            "fault": r.broke,
            "with": _solutions(r),
            "tiles": r.published,
            "lost": r.lost,
            "delivered twice": r.delivered_twice,
            "done twice": r.done_twice,
            "noticed by": r.noticed_by,
            "noticed, s": _seconds(r.noticed_s),
            _RESCHEDULED: _seconds(r.rescheduled_s),
            "new leader, s": "" if r.leader_s is None else _seconds(r.leader_s),
            "replaced, s": _seconds(r.back_s),
            "throughput recovered, s": _seconds(r.recovered_s),
            "longest pause, s": _seconds(r.pause_s),
            "failed web requests": f"{sum(r.web_failed.values())} of {r.web_asked}",
        }
        for r in results
    ]
    return pd.DataFrame(rows)


def _solutions(result: DrillResult) -> str:
    return ", ".join(result.solutions) or GUIDE_ALONE


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f}"


@dataclass(frozen=True)
class Prediction:
    """
    The bounds of the figures in `DrillResult`; `leader_s` is None if the leader does not fail.
    """

    noticed_by: str
    noticed_s: float
    back_s: float
    recovered_s: float
    web_failed: int = 0
    lost: int = 0
    leader_s: float | None = None


def prediction_table(predictions: Mapping[str, Prediction]) -> pd.DataFrame:
    """
    Return one row per fault, with a column for each bound in use.
    """
    table = pd.DataFrame([asdict(p) for p in predictions.values()], index=list(predictions))
    return table.dropna(axis="columns", how="all")


def verdict(prediction: Prediction, result: DrillResult, least_tiles: int) -> None:
    """
    Check every bound, and that the measurement was long enough to be meaningful.

    Raises CheckFailedError at the first exceeded bound.
    """
    what, p = result.broke, prediction
    limits = {
        "seconds until it was noticed": (p.noticed_s, result.noticed_s),
        "seconds until another manager led": (p.leader_s, result.leader_s),
        "seconds until it was replaced": (p.back_s, result.back_s),
        "seconds until throughput recovered": (p.recovered_s, result.recovered_s),
        "failed web requests": (p.web_failed, sum(result.web_failed.values())),
    }
    is_enough = result.published >= least_tiles
    checks.check(f"{what}: tiles lost", expected=p.lost, actual=result.lost)
    checks.true(f"{what}: at least {least_tiles} tiles published", is_enough)
    checks.check(f"{what}: noticed by", expected=p.noticed_by, actual=result.noticed_by)
    for words, (limit, actual) in limits.items():
        if limit is not None:
            most = math.inf if actual is None else actual
            checks.check_at_most(f"{what}: {words}", limit=limit, actual=most)
