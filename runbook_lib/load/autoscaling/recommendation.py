"""
The parameters that a load analysis recommends, and the file that 06_work_stack takes as it is.
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
"""Those of 06_work_stack that follow from a load."""

SHARE_AT_WORK = 0.6
"""LOAD in the middle of YELLOW, where the policy adds one worker and not two."""


@dataclass(frozen=True)
class Recommended:
    """
    A value, and the reason for it: a comment in the file.
    """

    value: float
    reason: str


def recommend(
    *,
    workers: float,
    sustained_workers: float,
    tiles_per_s: float,
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
        As many as the CPU credits sustain; fewer than `workers` where a burst would end.
    tiles_per_s
        The throughput at `workers`.
    wait_s, refresh_rate_s
        As recorded, or the best that was tried.
    reason
        The evidence for the number of workers, in a few words.

    Raises
    ------
    ParameterError
        A number that is not above zero.
    """
    numbers = {
        "workers": workers,
        "sustained_workers": sustained_workers,
        "tiles_per_s": tiles_per_s,
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
    each = tiles_per_s / workers
    # LOAD = published / (replicas x QTY_TASK): at full work it shall be YELLOW
    trusted = max(1, round(each / SHARE_AT_WORK))
    batch = max(1, round(tiles_per_s * wait_s))
    values = {
        "min_scale": (fewest, "the workers that the CPU credits sustain for hours"),
        "max_scale": (most, reason),
        "batch": (batch, f"{tiles_per_s:.0f} tiles a second, for wait_s seconds"),
        "wait_s": (float(wait_s), "seconds between two batches"),
        "qty_task": (trusted, f"one worker does {each:.0f} a second; at that, LOAD is yellow"),
        "refresh_rate_s": (int(refresh_rate_s), "seconds between two decisions of the autoscaler"),
    }
    return {name: Recommended(*value) for name, value in values.items()}


def write_parameters(
    target: Path | str, base: Path | str, values: Mapping[str, Recommended], *, header: str
) -> Path:
    """
    Write a whole parameter file: the base one, with the recommended values in their places.

    A run has one parameter file. It is written to a temporary file and then moved, so that a reader
    never sees half of it.

    Raises
    ------
    NotFoundError
        There is no base file.
    ParameterError
        A parameter that a load analysis does not recommend, or a base that is not flat YAML.
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
            f"expected each recommended parameter on one line of {base}; one is not",
            next_step="write it as  name: value  on a line of its own",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    beside.write_text(whole, encoding="utf-8")
    beside.replace(target)
    return target


def _read(text: str) -> object:
    """
    The YAML value; None where it is invalid.
    """
    try:
        value: object = yaml.safe_load(text)
    except yaml.YAMLError:
        return None
    return value
