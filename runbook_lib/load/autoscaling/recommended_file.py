"""
The recommended parameters of a load analysis, as a parameter file for the runner.
"""

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from runbook_lib.core.errors import NotFoundError, ParameterError
from runbook_lib.core.findings import Finding
from runbook_lib.core.project import FOLDER_VARIABLE, NOTEBOOKS, PROJECT, RUNS, run_folder
from runbook_lib.load.analysis.sizing import Sizing
from runbook_lib.load.autoscaling.trials import SHARE_AT_WORK, SHOWN, Trials
from runbook_lib.notebook.templates import find_notebooks
from runbook_lib.runner import values

PARAMETERS = ("min_scale", "max_scale", "batch", "wait_s", "qty_task", "refresh_rate_s")
"""Parameters of 06_work_stack that depend on the load."""

RECORD = "runbook run <parameter file> --only 10 -p replicas=1,2,4,8"


@dataclass(frozen=True, repr=False)
class RecommendedFile(Finding):
    """
    A written recommendation: `command` deploys it; without one, `path` is None and it records more.
    """

    path: Path | None = None
    command: str = RECORD


def write_recommended(sizing: Sizing, trials: Trials, base: str = "") -> RecommendedFile:
    """
    Write the file into the folder of the headless run, else of the recorded run, else a new one.

    Parameters
    ----------
    base
        The base parameter file; "": that of the headless run, else params/lab.yml.

    Raises NotFoundError if there is no such file; ParameterError if the runner would refuse the
    result.
    """
    if not sizing.is_recommendation or sizing.workers is None or sizing.rate is None:
        why = sizing.limits[0] if sizing.limits else "there is no fit"
        return RecommendedFile(f"enough for a recommendation: {why}")
    low, high = sizing.workers.low, sizing.workers.high
    sustained = sizing.chosen * sizing.burst.sustained_share if sizing.burst else None
    recommended = with_best_qty_task(
        recommend(
            workers=sizing.chosen,
            sustained_workers=None if sustained is None else max(1.0, sustained),
            tiles_per_s=sizing.rate.value,
            wait_s=float(sizing.recording.experiment.get("wait_s", 2.0)),
            refresh_rate_s=trials.refresh_rate_s,
            reason=f"within 5 % of the best that was measured (95 %: {low:.0f} to {high:.0f})",
        ),
        trials,
    )
    source = PROJECT / sizing.recording.source
    before = PROJECT / (base or _base_of_the_run())
    path = write_parameters(
        _folder(source) / "recommended.yml",
        before,
        recommended,
        header=f"Recommended by 11_load_analysis, from {_relative(source)}.\n"
        f"All else as in {_relative(before)}.",
    )
    values.resolve(values.load(path), values.declared(find_notebooks(NOTEBOOKS)), {})
    was = values.load(before)
    tried = trials.table.iloc[0].to_dict() if len(trials.table) else {}
    rows = [
        (
            name,
            str(was[name].value) if name in was else "",
            f"{value:g}",
            f"{tried[name]:g}" if name in SHOWN and tried else "",
            reason,
        )
        for name, (value, reason) in recommended.items()
    ]
    columns = ["parameter", "before", "recommended", "best trial", "why"]
    command = f"runbook run {_relative(path)} --only 06"
    words = f"Written to {_relative(path)}. {agreement(recommended, trials, sustained)}".rstrip()
    return RecommendedFile(words, pd.DataFrame(rows, columns=columns), path, command)


def with_best_qty_task(
    recommended: dict[str, tuple[float, str]], trials: Trials
) -> dict[str, tuple[float, str]]:
    """
    Return the parameters with the QTY_TASK that costs least on paper within their bounds.

    With YELLOW at full work the policy slows the dealer as soon as MAX_SCALE is reached.
    """
    if trials.table.empty or trials.price is None:
        return recommended
    bounds = {name: recommended[name][0] for name in SHOWN}
    ours = recommended["qty_task"][0]
    costs = {ours: trials.price(bounds)}
    for quantity in trials.table["qty_task"].unique().tolist():
        costs[quantity] = trials.price(bounds | {"qty_task": quantity})
    best = min(costs, key=lambda quantity: costs[quantity])
    if not costs[best] < costs[ours]:
        return recommended
    more = f"{costs[ours] - costs[best]:.2g} USD more" if math.isfinite(costs[ours]) else "too long"
    reason = f"on paper it costs least within these bounds; {ours:g} takes {more}"
    return recommended | {"qty_task": (int(best), reason)}


def agreement(
    recommended: Mapping[str, tuple[float, str]], trials: Trials, sustained_workers: float | None
) -> str:
    """
    Say whether the file is the best trial, and if not, what it costs more on paper and why.
    """
    if trials.table.empty or trials.price is None:
        return ""
    best = trials.table.iloc[0]
    ours = {name: recommended[name][0] for name in SHOWN}
    apart = [name for name in SHOWN if best[name] != ours[name]]
    if not apart:
        return "It is the best of the trials."
    known = "CPU credits, which are unknown here"
    if sustained_workers is not None:
        most = recommended["max_scale"][0]
        known = f"CPU credits, which sustain {sustained_workers:.1f} of {most:g} workers"
    reasons = {
        "min_scale": f"the trials know no {known}",
        "max_scale": "the file takes the fewest workers within 5 % of the best throughput",
        "qty_task": "it costs least of those tried within the file's bounds",
        "refresh_rate_s": "it changes nothing here",
    }
    costs = trials.price(ours)
    more = f"costs {costs:.2g} USD, the best trial {best['score_usd']:.2g}"
    if not math.isfinite(costs):
        more = "does not finish in 12 hours, unlike the best trial"
    theirs = ", ".join(f"{name} {best[name]:g}" for name in apart)
    why = "; ".join(f"{name}: {reasons[name]}" for name in apart)
    return f"On paper it {more}: that has {theirs}. Why they differ: {why}."


def _folder(source: Path) -> Path:
    # nothing is written next to logs from elsewhere
    if source.is_relative_to(RUNS):
        return RUNS / source.relative_to(RUNS).parts[0]
    return run_folder()


def _base_of_the_run() -> str:
    given = os.environ.get(FOLDER_VARIABLE)
    record = Path(given) / "run.json" if given else None
    if record is None or not record.exists():
        return "params/lab.yml"
    return str(json.loads(record.read_text(encoding="utf-8"))["parameters_file"])


def _relative(path: Path) -> Path:
    return path.relative_to(PROJECT) if path.is_relative_to(PROJECT) else path


def recommend(
    *,
    workers: float,
    sustained_workers: float | None,
    tiles_per_s: float,
    wait_s: float,
    refresh_rate_s: int,
    reason: str,
) -> dict[str, tuple[float, str]]:
    """
    Derive the parameters from the measured numbers, all above zero, each with its reason.

    Parameters
    ----------
    workers
        The fewest workers within 5 % of the best throughput.
    sustained_workers
        The number that the CPU credits sustain; fewer than `workers` if a burst would end; None if
        the CPU of a tile is unknown.
    tiles_per_s
        The throughput at `workers`.
    wait_s, refresh_rate_s
        As recorded, or the best tried values.
    reason
        A short statement of the evidence for the number of workers.
    """
    numbers = {"workers": workers, "sustained_workers": sustained_workers or workers}
    numbers |= {"tiles_per_s": tiles_per_s, "wait_s": wait_s, "refresh_rate_s": refresh_rate_s}
    wrong = {n: v for n, v in numbers.items() if not (math.isfinite(v) and v > 0)}
    if wrong:
        raise ParameterError(
            "expected measured numbers above zero for a recommendation",
            evidence="\n".join(f"{name}: {value}" for name, value in wrong.items()),
            next_step="record a sweep of three replica counts and more, repeated",
        )
    most = math.ceil(workers)
    fewest, why = most, "as max_scale: what the CPU credits sustain is unknown"
    if sustained_workers is not None:
        fewest = max(1, min(most, math.floor(sustained_workers)))
        why = "the workers that the CPU credits sustain for hours"
    each = tiles_per_s / workers
    batch = max(1, round(tiles_per_s * wait_s))
    # LOAD = published / (replicas x QTY_TASK): at full load it should be YELLOW
    trusted = max(1, round(each / SHARE_AT_WORK))
    return {
        "min_scale": (fewest, why),
        "max_scale": (most, reason),
        "batch": (batch, f"{tiles_per_s:.0f} tiles a second, for wait_s seconds"),
        "wait_s": (float(wait_s), "seconds between two batches"),
        "qty_task": (trusted, f"one worker does {each:.0f} a second; at that, LOAD is yellow"),
        "refresh_rate_s": (int(refresh_rate_s), "seconds between two decisions of the autoscaler"),
    }


def write_parameters(
    target: Path, base: Path, recommended: Mapping[str, tuple[float, str]], *, header: str
) -> Path:
    """
    Write a complete parameter file: the base one with the recommended values.

    A run has only one parameter file. It is written to a temporary file and then moved, so that
    readers never see a partial one.

    Raises NotFoundError if there is no base file; ParameterError if a value is not among those
    that a load analysis recommends, or the base is not flat YAML.
    """
    if not base.is_file():
        raise NotFoundError(
            f"expected a parameter file at {base}; there is none", next_step="name params/lab.yml"
        )
    strange = sorted(recommended.keys() - set(PARAMETERS))
    text = base.read_text(encoding="utf-8").rstrip("\n")
    before = _read(text)
    if strange or not isinstance(before, dict):
        raise ParameterError(
            "expected recommended parameters of 06_work_stack, and a flat base file",
            evidence=f"not among {', '.join(PARAMETERS)}: {', '.join(strange) or 'none'}",
            next_step="see params/lab.yml",
        )
    lines = [f"# {line}" for line in header.splitlines()]
    for name, (value, reason) in recommended.items():
        line = f"{name}: {value}".ljust(32) + f" # {reason}"
        at = re.search(rf"^{name}:.*$", text, re.MULTILINE)
        start, end = at.span() if at else (len(text), len(text))
        text = text[:start] + ("" if at else "\n") + line + text[end:]
    whole = "\n".join([*lines, text, ""])
    if _read(whole) != before | {name: value for name, (value, _) in recommended.items()}:
        raise ParameterError(
            f"expected each recommended parameter on one line of {base}; one is not",
            next_step="write it as  name: value  on a line of its own",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    beside.write_text(whole, encoding="utf-8")
    beside.replace(target)
    return target


def _read(text: str) -> Any:  # noqa: ANN401 - any YAML value, None if it is invalid
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):  # a date that is none is a ValueError
        return None
