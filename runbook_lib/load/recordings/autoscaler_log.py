"""
Parser for the log of the authors' autoscaler, in both formats, with terminal colours.

    [+] Workers State - Work Load: 0.73 - Active replicas: 8 - Msg count: 88.2
    [+] Workers State - Work Load: 0.73 - Replicas: 8/12 - Msg count: 88.2
    [#] 13:49:21.425682 0.73 RED
    Scaling up geo-diff-work_worker from 8 to 10 replicas
"""

import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from runbook_lib.load.recordings.log_file import LONGEST_LINE, opened

COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
STATE = re.compile(
    r"Work Load: (?P<load>-?\d+(?:\.\d+)?) - "
    r"(?:Active replicas: (?P<active>-?\d+)|Replicas: (?P<running>-?\d+)/(?P<desired>-?\d+)) - "
    r"Msg count: (?P<count>-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)"
)
STAMP = re.compile(
    r"\[#\] (?P<clock>([01]?\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?) "
    r"(?P<load>-?\d+(?:\.\d+)?) (?P<light>GREY|GREEN|YELLOW|RED)\b"
)
SCALING = re.compile(r"Scaling (?:up|down) \S+ from \d+ to (?P<wanted>\d+) replicas")
PARAMETERS = {
    "batch": re.compile(r"_b(?:atch)?(\d+)", re.IGNORECASE),
    "qty_task": re.compile(r"_q(?:ty_?task)?(\d+)", re.IGNORECASE),
    "refresh_rate_s": re.compile(r"_rr(\d+)", re.IGNORECASE),
    "wait_s": re.compile(r"_w(?:ait)?(\d+)", re.IGNORECASE),
    "min_scale": re.compile(r"_n(\d+)", re.IGNORECASE),
    "max_scale": re.compile(r"_n(?:\d+-)?(\d+)", re.IGNORECASE),
}

DECISIONS = {
    "clock_s": pl.Float64,  # seconds of the day
    "published_per_s": pl.Float64,
    "queued": pl.Float64,  # messages, used by earlier versions
    "load": pl.Float64,
    "light": pl.String,
    "running": pl.Float64,  # replicas that the autoscaler counted
    "wanted": pl.Float64,  # replicas after its decision
}

UNTIMED = "states of the autoscaler without a time or cut short"
BROKERLESS = "decisions while the autoscaler had no broker (message count -1; load not measured)"
GONE = "decisions while the service was gone (replicas below zero): not counted"
QUEUED = "decisions from the messages in the queue, not from a rate (whole message counts)"


def read_autoscaler_log(path: Path, left_out: Counter[str]) -> pl.DataFrame:
    """
    Read the decisions, with the columns of `DECISIONS`; `left_out` counts incomplete ones.

    Raises IntegrityError if the file cannot be read to its end.
    """
    rows: list[dict[str, Any]] = []
    state: re.Match[str] | None = None
    decision: dict[str, Any] | None = None
    with opened(path, "lines of the autoscaler") as file:
        for line in iter(lambda: file.readline(LONGEST_LINE), b""):
            text = COLOURS.sub("", line.decode(errors="replace"))
            if match := STATE.search(text):
                left_out.update([UNTIMED] if state else [])
                state, decision = match, None
            elif match := STAMP.search(text):
                if state and float(state["load"]) == float(match["load"]):
                    decision = _decision(state, match, left_out)
                    rows += [decision] if decision else []
                else:
                    left_out[UNTIMED] += 1
                state = None
            elif decision and (match := SCALING.search(text)):
                decision["wanted"] = float(match["wanted"])
            elif "Workers State" in text or "[#]" in text:
                left_out[UNTIMED] += 1
    left_out.update([UNTIMED] if state else [])
    decisions = pl.DataFrame(rows, DECISIONS)
    queued, rate = pl.col("queued"), pl.col("published_per_s")
    if left_out[QUEUED] and not decisions.select((rate.fill_nan(None) > 0).any()).item():
        # an early version: its zeros are empty queues, too
        zero = rate == 0
        left_out[QUEUED] += int(decisions.select(zero.sum()).item())
        decisions = decisions.with_columns(
            queued=pl.when(zero).then(0.0).otherwise(queued),
            published_per_s=pl.when(zero).then(math.nan).otherwise(rate),
        )
    return decisions


def parameters_in_name(name: str) -> dict[str, int]:
    """
    Parse the experiment's parameters from a log's name: `..._n8-12_rr1_b600_qtyTask15`.
    """
    matches = {key: pattern.search(name) for key, pattern in PARAMETERS.items()}
    return {key: int(match[1]) for key, match in matches.items() if match}


def _decision(
    state: re.Match[str], stamp: re.Match[str], left_out: Counter[str]
) -> dict[str, Any] | None:
    hours, minutes, seconds = stamp["clock"].split(":")
    running = float(state["active"] or state["running"])
    if running < 0 or float(state["desired"] or 0) < 0:
        left_out[GONE] += 1
        return None
    count, load = float(state["count"]), float(state["load"])
    # a rate has decimals (0.0, 88.2), a number of messages has none
    rate = count if re.search("[.eE]", state["count"]) or count == 0 else np.nan
    if count < 0:
        left_out[BROKERLESS] += 1
        rate = load = np.nan
    elif np.isnan(rate):
        left_out[QUEUED] += 1
    return {
        "clock_s": int(hours) * 3600 + int(minutes) * 60 + float(seconds),
        "published_per_s": rate,
        "queued": count if np.isnan(rate) and count > 0 else np.nan,
        "load": load,
        "light": stamp["light"],
        "running": running,
        "wanted": float(state["desired"] or running),
    }
