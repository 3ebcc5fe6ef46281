"""
The parameter file that a load analysis recommends: what 06_work_stack takes as it is.
"""

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from runbook_lib.core.errors import NotFoundError, ParameterError

PARAMETERS = ("min_scale", "max_scale", "batch", "wait_s", "qty_task", "refresh_rate_s")
"""Those of 06_work_stack that a load tells."""

SHARE_AT_WORK = 0.6
"""LOAD between GREEN and YELLOW: the middle of where the policy asks for more, not for two."""


@dataclass(frozen=True)
class Recommended:
    """
    A value, and the reason that stands beside it in the file.
    """

    value: float
    reason: str


def recommend(
    *,
    workers: float,
    sustained_workers: float,
    tiles_per_s: float,
    per_worker_per_s: float,
    wait_s: float,
    refresh_rate_s: int,
    reason: str,
) -> dict[str, Recommended]:
    """
    The parameters that follow from the measured numbers.

    Parameters
    ----------
    workers
        The fewest that come within 5 % of the best.
    sustained_workers
        As many as the CPU credits keep at work; fewer where a burst would end.
    tiles_per_s
        The throughput at `workers`.
    per_worker_per_s
        What one worker of them does.
    wait_s, refresh_rate_s
        Kept, or the best found by search.
    reason
        What the number of workers rests on, in a few words.

    Raises
    ------
    ParameterError
        A number that cannot be.
    """
    numbers = {
        "workers": workers,
        "sustained_workers": sustained_workers,
        "tiles_per_s": tiles_per_s,
        "per_worker_per_s": per_worker_per_s,
        "wait_s": wait_s,
        "refresh_rate_s": refresh_rate_s,
    }
    wrong = {n: v for n, v in numbers.items() if not (math.isfinite(v) and v > 0)}
    if wrong:
        raise ParameterError(
            "expected measured numbers above zero for a recommendation",
            evidence="\n".join(f"{name}: {value}" for name, value in wrong.items()),
            next_step="record a sweep of three replica counts and more, repeated",
        )
    most = math.ceil(workers)
    fewest = max(1, min(most, math.floor(sustained_workers)))
    # LOAD = published / (replicas x QTY_TASK): at full work it shall be where more are asked for
    trusted = max(1, round(per_worker_per_s / SHARE_AT_WORK))
    return {
        "min_scale": Recommended(fewest, "what the CPU credits keep at work for hours"),
        "max_scale": Recommended(most, reason),
        "batch": Recommended(
            max(1, round(tiles_per_s * wait_s)), f"{tiles_per_s:.0f} tiles a second, each wait_s"
        ),
        "wait_s": Recommended(float(wait_s), "seconds between two batches"),
        "qty_task": Recommended(
            trusted, f"one worker does {per_worker_per_s:.0f} a second; at that, LOAD is yellow"
        ),
        "refresh_rate_s": Recommended(
            int(refresh_rate_s), "seconds between two decisions of the autoscaler"
        ),
    }


def write_parameters(
    target: Path | str, base: Path | str, values: Mapping[str, Recommended], *, header: str
) -> Path:
    """
    Write a whole parameter file: the base one, with the recommended values in their places.

    `runbook run <target> --only 06` takes it as it is; a run has one parameter file. It is written
    beside its place and then moved there, so that nobody reads half of it.

    Raises
    ------
    NotFoundError
        There is no base file.
    ParameterError
        A value that no load analysis recommends, or a base that is not flat YAML.
    """
    base, target = Path(base), Path(target)
    if not base.is_file():
        raise NotFoundError(
            f"expected a parameter file at {base}; there is none", next_step="name params/lab.yml"
        )
    strange = sorted(values.keys() - set(PARAMETERS))
    text = base.read_text(encoding="utf-8").rstrip("\n")
    before = _read(text)
    if strange or not isinstance(before, dict):
        raise ParameterError(
            "expected recommended parameters of 06_work_stack, and a flat base file",
            evidence=f"not among {', '.join(PARAMETERS)}: {', '.join(strange) or 'none'}",
            next_step="see params/lab.yml",
        )
    lines = [f"# {line}" for line in header.splitlines()]
    for name, recommended in values.items():
        line = f"{name}: {recommended.value}".ljust(32) + f" # {recommended.reason}"
        at = re.search(rf"^{name}:.*$", text, re.MULTILINE)
        start, end = at.span() if at else (len(text), len(text))
        text = text[:start] + ("" if at else "\n") + line + text[end:]
    whole = "\n".join([*lines, text, ""])
    wanted = {**before, **{name: r.value for name, r in values.items()}}
    if _read(whole) != wanted:
        raise ParameterError(
            f"expected one line a parameter in {base}; a recommended one is not",
            next_step="write it as  name: value  on a line of its own",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    beside.write_text(whole, encoding="utf-8")
    beside.replace(target)
    return target


def _read(text: str) -> object:
    """
    What YAML has it for; None where it is none.
    """
    try:
        found: object = yaml.safe_load(text)
    except yaml.YAMLError:
        return None
    return found
