"""
Recorded decisions of an autoscaler, replayed with this project's deployed policy.

Each decision is replayed separately, with the recorded rate and replicas, so that one difference
does not cause the next. In addition, the policy runs alone over the whole rate, from the first
replica count. The authors' autoscaler changed between versions
(`services/admin_worker/admin_worker.py` of their repository); the classes of difference show how.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from runbook_lib.core.errors import NotFoundError, ParameterError
from runbook_lib.core.findings import Finding
from runbook_lib.geodiff.service_modules import service_module
from runbook_lib.load.recordings.schema import Recording

NO_BROKER = "no broker: the policy then decides nothing"
HELD_LIGHT = "no broker, and it kept the last light; the policy then decides nothing"
ALONE = "the first of a run: what came before is not recorded"
ON_THE_EDGE = "LOAD is on a light's bound within the log's rounding"
OTHER_LIGHT = "another light: its bounds or QTY_TASK differ from those assumed here"
BEYOND_MAX = "a step beyond MAX_SCALE: the authors' takes none of it, the policy what fits"
COUNTED_AGAIN = "it counted three more GREYs after removing a worker; the policy counts on"
CHANGED_OUTSIDE = "it counted another number than it had asked for: something else changed it"
UNEXPLAINED = "another number of replicas, for no reason in the log"


@dataclass(frozen=True)
class Replay:
    """
    A replay. Columns of `decisions`: time, published_per_s, running, replicas (before), light,
    wanted (recorded), policy_light, policy_wanted, alone_wanted (the policy running alone),
    difference ("" if none), compared. Compared decisions have data on both sides: `share` of them
    are the same, and at `alone_share` the policy alone has the recorded replicas.
    """

    decisions: pd.DataFrame
    rules: Any
    assumed: tuple[str, ...]

    @property
    def compared(self) -> pd.DataFrame:
        return self.decisions[self.decisions["compared"]]

    @property
    def share(self) -> float:
        return float((self.compared["difference"] == "").mean())

    @property
    def alone_share(self) -> float:
        return float((self.compared["alone_wanted"] == self.compared["wanted"]).mean())

    @property
    def changes(self) -> pd.DataFrame:
        """
        The decisions in which either side changed the replicas: the others agree easily.
        """
        both = self.compared
        moved = both[["wanted", "policy_wanted"]].ne(both["replicas"], axis=0).any(axis=1)
        return both[moved]

    @property
    def differences(self) -> pd.DataFrame:
        """
        The classes of difference; columns: why, decisions, compared, first (time).
        """
        others = self.decisions[self.decisions["difference"] != ""]
        classes = others.groupby("difference", sort=False).agg(
            decisions=("time", "size"), compared=("compared", "any"), first=("time", "min")
        )
        return classes.rename_axis("why").reset_index()


@dataclass(frozen=True, repr=False)
class Replayed(Finding):
    """
    A finding; `unexplained` is the number of differences without a reason in the log, of the
    `compared` decisions.
    """

    unexplained: int = 0
    compared: int = 0


def show_replay(recording: Recording) -> Replayed:
    """
    Replay a recording in which the autoscaler decided; in a sweep it does not.
    """
    if recording.experiment.get("autoscaler_held"):
        return Replayed("decisions of its own: the sweep held the replicas")
    try:
        found = replay(recording)
    except NotFoundError:
        return Replayed("the autoscaler's decisions")
    except ParameterError:
        return Replayed("QTY_TASK, or a load from which to estimate it")
    changes, compared = found.changes, found.compared
    same = int((changes["difference"] == "").sum())
    table = pd.DataFrame(
        [
            ("compared", len(compared), _share(found.share)),
            ("that change the replicas", len(changes), f"{same} of {len(changes)}"),
            ("the policy running alone", len(compared), _share(found.alone_share)),
            *((f"different: {r.why}", r.decisions, "") for r in found.differences.itertuples()),
        ],
        columns=["decisions", "number", "as recorded"],
    )
    words = f"{_share(found.share)} of {len(compared)} recorded decisions are the policy's own"
    words += f"; assumed: {', '.join(found.assumed)}." if found.assumed else "."
    unexplained = int((compared["difference"] == UNEXPLAINED).sum())
    return Replayed(words, table, unexplained, len(compared))


def _share(share: float) -> str:
    # rounded down: 100.0% means every one
    return f"{math.floor(1000 * share + 1e-9) / 10:.1f}%" if math.isfinite(share) else "none"


def replay(recording: Recording, **known: float) -> Replay:
    """
    Replay a recording's decisions.

    Parameters
    ----------
    known
        Rules missing in the recording: qty_task, min_scale, max_scale, grey, green, yellow, batch,
        min_batch, batch_step. Others are estimated from the decisions, and listed in `assumed`.

    Raises NotFoundError if the recording has no decisions; ParameterError if there is no rule of
    that name, or QTY_TASK cannot be estimated.
    """
    seen = recording.autoscaler.dropna(subset=["running", "wanted"])
    seen = seen.sort_values("time", kind="stable", ignore_index=True)
    if seen.empty:
        raise NotFoundError(
            f"expected decisions of an autoscaler in {recording.source}; there are none",
            evidence="\n".join(recording.notes),
            next_step="name a recording with autoscaler.parquet, or logs with logs_admin_worker_*",
        )
    rules, assumed = _rules(seen, {**recording.experiment, **known}, set(known))
    return Replay(_decided(seen, rules), rules, tuple(assumed))


def _decided(seen: pd.DataFrame, rules: Any) -> pd.DataFrame:  # noqa: ANN401 - the service's Rules
    spacing = seen["time"].diff().dt.total_seconds()
    # a gap of ten times the usual spacing is a restart, whose first decision has no predecessor
    restarts = (spacing.isna() | (spacing > 10 * max(spacing.median(), 1.0))).tolist()
    policy = service_module("policy")
    before, greys, own, own_greys = 0, 0, 0, 0
    rows = []
    for restarted, record in zip(restarts, seen.to_dict("records"), strict=True):
        row = {str(name): value for name, value in record.items()}
        rate = _rate(row, rules.qty_task)
        running, wanted = int(row["running"]), int(row["wanted"])
        if restarted:
            before, greys, own, own_greys = running, 0, running, 0
        light, replicas = "", before
        if rate is None:
            difference = NO_BROKER if wanted == before or restarted else HELD_LIGHT
        else:
            decision = policy.decide(rules, policy.Seen(rate, running, before, rules.batch, greys))
            free = policy.decide(rules, policy.Seen(rate, own, own, rules.batch, own_greys))
            light, replicas, greys = str(decision.light), decision.replicas, decision.greys
            own, own_greys = wanted if restarted else free.replicas, free.greys
            difference = ALONE if restarted else _difference(row, before, decision, rules)
        rows.append(
            {
                **{name: row[name] for name in ("time", "running", "light", "wanted")},
                "published_per_s": np.nan if rate is None else rate,
                "replicas": before,
                "alone_wanted": own,
                "policy_light": light,
                "policy_wanted": replicas,
                "difference": difference,
                "compared": rate is not None and not restarted,
            }
        )
        before = wanted
    return pd.DataFrame(rows)


def _rate(row: Mapping[str, Any], qty_task: float) -> float | None:
    # early versions logged messages instead of tasks per second; LOAD gives the rate
    if not np.isnan(row["published_per_s"]):
        return float(row["published_per_s"])
    return None if np.isnan(row["load"]) else float(row["load"] * row["running"] * qty_task)


def _difference(row: Mapping[str, Any], before: int, decision: Any, rules: Any) -> str:  # noqa: ANN401
    wanted = int(row["wanted"])
    if decision.replicas == wanted:
        return ""
    policy = service_module("policy")
    if decision.light != row["light"]:
        bounds = [rules.grey, rules.green, rules.yellow]
        near = any(abs(decision.load - bound) <= 0.01 for bound in bounds)
        return ON_THE_EDGE if near else OTHER_LIGHT
    if wanted == int(row["running"]) != before and decision.replicas == before:
        return CHANGED_OUTSIDE
    if wanted == before and decision.light == policy.Light.GREY:
        return COUNTED_AGAIN
    step = policy.STEPS[decision.light]
    beyond = step > 0 and before + step > rules.max_scale
    return BEYOND_MAX if wanted == before and beyond else UNEXPLAINED


def _rules(seen: pd.DataFrame, given: Mapping[str, Any], known: set[str]) -> tuple[Any, list[str]]:
    rules = service_module("policy").Rules
    names = set(rules.__dataclass_fields__)
    if known - names:
        raise ParameterError(
            f"expected rules of the policy; {', '.join(sorted(known - names))} are none",
            next_step=f"name some of {', '.join(sorted(names))}",
        )
    recorded = {name: given[name] for name in names & given.keys()}
    fewest, most = int(seen["wanted"].min()), int(seen["wanted"].max())
    estimated: dict[str, float] = {"min_scale": fewest, "max_scale": most}
    estimated |= {"batch": 300, "min_batch": 50, "batch_step": 50}
    if "qty_task" not in recorded:
        at_work = seen[(seen["load"] >= 0.1) & (seen["published_per_s"] > 0)]
        if at_work.empty:
            raise ParameterError(
                "expected QTY_TASK in the recording, or decisions under load; there is neither",
                next_step="give it: replay(recording, qty_task=15)",
            )
        ratio = at_work["published_per_s"] / (at_work["running"] * at_work["load"])
        estimated["qty_task"] = round(float(ratio.median()), 1)
    assumed = [f"{name} {estimated[name]:g}" for name in sorted(estimated.keys() - recorded.keys())]
    return rules(**{**estimated, **recorded}), assumed
