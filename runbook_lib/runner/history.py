"""
`runbook runs`: the runs of a folder with their verdicts, and what changed from run to run.
"""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from runbook_lib.core.errors import NotFoundError
from runbook_lib.runner.record import PASSED
from runbook_lib.runner.story import duration
from runbook_lib.runner.terminal import aligned, coloured, fit, width

_BARS = "▁▂▃▄▅▆▇█"
_MOST_CHECKS = 20
_BROKEN = (AttributeError, KeyError, IndexError, TypeError, ValueError, OverflowError)
"""What a record raises that is none."""


def runs_text(runs: Path, last: int) -> str:
    """
    Return the last runs as a table, the durations of their notebooks, and the checks that changed.

    Raises NotFoundError if there is no run.
    """
    records = [_read(path) for path in sorted(runs.glob("*/run.json"))[-max(1, last) :]]
    if not records:
        raise NotFoundError(
            f"expected runs in {runs}; there is none",
            next_step="runbook run params/lab.yml , or name their folder with  --runs DIR",
        )
    lines = aligned(
        ["run", "verdict", "notebooks", "checks", "time", "parameters"],
        [_row(record) for record in records],
        widest=5,
    ).split("\n")
    shown = [coloured(line, str(r["verdict"])) for line, r in zip(lines[1:], records, strict=True)]
    parts = ["\n".join([lines[0], *shown]), _durations(records), _checks(records)]
    return "\n\n".join(filter(None, parts))


def _read(path: Path) -> dict[str, Any]:
    folder = {"folder": path.parent.name}
    with suppress(OSError, *_BROKEN):
        found = json.loads(path.read_text(encoding="utf-8")) | folder
        _row(found), _durations([found] * 2), _checks([found] * 2)  # what cannot be shown is no run
        return dict(found)
    empty = {"verdict": "unreadable", "pages": [], "seconds": 0.0, "parameters_file": ""}
    return empty | folder


def _row(record: dict[str, Any]) -> list[str]:
    pages = record["pages"]
    checks = [check["passed"] for page in pages for check in page["checks"]]
    numbers = [str(page["name"])[:2] for page in pages]
    return [
        record["folder"],
        str(record["verdict"]),
        f"{numbers[0]}-{numbers[-1]}" if len(numbers) > 3 else " ".join(numbers),
        f"{sum(checks)} of {len(checks)}",
        duration(float(record["seconds"])),
        Path(record["parameters_file"]).name,
    ]


def _durations(records: list[dict[str, Any]]) -> str:
    seconds: dict[str, list[float]] = {}
    for record in records:
        for page in record["pages"]:
            if page["verdict"] == PASSED:
                seconds.setdefault(str(page["name"]), []).append(float(page["seconds"]))
    rows = [
        [name, _bars(values), duration(values[0]), duration(values[-1])]
        for name, values in sorted(seconds.items())
        if len(values) > 1
    ]
    return aligned(["notebook", "seconds", "first", "last"], rows, 0) if rows else ""


def _checks(records: list[dict[str, Any]]) -> str:
    # of each check that was seen differently: every result, oldest first
    seen: dict[tuple[str, str], list[str]] = {}
    for record in records:
        for page in record["pages"]:
            for check in page["checks"]:
                result = str(check["actual"]) + " (failed)" * (not check["passed"])
                seen.setdefault((str(page["name"])[:2], str(check["name"])), []).append(result)
    changed = {key: values for key, values in sorted(seen.items()) if len(set(values)) > 1}
    lines = [
        fit(f"{number}  {name}: {_trend(values)}", width())
        for (number, name), values in list(changed.items())[:_MOST_CHECKS]
    ]
    more = len(changed) - len(lines)
    last = [f"and {more} more"] if more else []
    return "\n".join(["checks whose result changed, oldest first", *lines, *last]) if lines else ""


def _trend(values: list[str]) -> str:
    numbers = []
    with suppress(ValueError):
        numbers = [float(value.replace(",", "")) for value in values]
    if len(numbers) == len(values):
        return f"{_bars(numbers)}  {values[0]} → {values[-1]}"
    once = [v for i, v in enumerate(values) if i == 0 or v != values[i - 1]]
    return " → ".join(fit(value, 40) for value in once)


def _bars(values: list[float]) -> str:
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(_BARS[round((value - low) / span * (len(_BARS) - 1))] for value in values)
