"""
Recorded decisions of an autoscaler, decided again by the policy that this project deploys.

Each decision is asked for on its own: with the rate and the replicas that were recorded, so that
one difference does not make the next. Beside it the policy goes through the whole rate alone, from
the first replica count on. The authors' autoscaler changed from version to version
(`services/admin_worker/admin_worker.py` of their repository); how, is in the classes of difference.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from runbook_lib.core.errors import NotFoundError, ParameterError
from runbook_lib.load.autoscaling.simulation import policy
from runbook_lib.load.recordings.schema import Recording

ROUNDED_LOAD = 0.01
GAP = 10
"""Times the usual spacing: a longer silence is a restart, whose first decision stands alone."""

NO_BROKER = "it had no broker: the policy then decides nothing"
HELD_LIGHT = "it had no broker, and went on with the last light; the policy decides nothing then"
ALONE = "the first of a run: what there was before is not recorded"
ON_THE_EDGE = "LOAD lies on a light's bound within the log's rounding"
OTHER_LIGHT = "another light: its bounds or QTY_TASK were others than assumed here"
BEYOND_MAX = "a step beyond MAX_SCALE: the authors' takes none of it, the policy what fits"
COUNTED_ANEW = "it counted three more GREYs after taking a worker away; the policy takes each"
NOT_FOLLOWED = "another number of replicas, for no reason that the log shows"


@dataclass(frozen=True)
class Replay:
    """
    `decisions`: time, published_per_s, running, replicas (before), light, wanted (recorded),
    policy_light, policy_wanted, alone_wanted (the policy going on by itself), difference ("" where
    there is none), compared.
    """

    decisions: pd.DataFrame
    rules: Any
    assumed: tuple[str, ...]

    @property
    def compared(self) -> pd.DataFrame:
        """
        The decisions that both had the means to take.
        """
        return self.decisions[self.decisions["compared"]]

    @property
    def share(self) -> float:
        """
        Of the decisions compared, how many are the same.
        """
        return float((self.compared["difference"] == "").mean())

    @property
    def changes(self) -> pd.DataFrame:
        """
        The decisions by which either changed the replicas: most others are easy to agree on.
        """
        both = self.compared
        moved = (both["wanted"] != both["replicas"]) | (both["policy_wanted"] != both["replicas"])
        return both[moved]

    @property
    def alone_share(self) -> float:
        """
        Of the decisions compared, at how many the policy by itself has the recorded replicas.
        """
        return float((self.compared["alone_wanted"] == self.compared["wanted"]).mean())

    @property
    def differences(self) -> pd.DataFrame:
        """
        Each class of difference; columns: why, decisions, compared, first (time).
        """
        told = self.decisions[self.decisions["difference"] != ""]
        found = told.groupby("difference", sort=False).agg(
            decisions=("time", "size"), compared=("compared", "any"), first=("time", "min")
        )
        return found.rename_axis("why").reset_index()

    def __repr__(self) -> str:
        changes = self.changes
        same = int((changes["difference"] == "").sum())
        lines = [
            f"{self.share:.1%} of {len(self.compared)} decisions are the policy's own, and {same} "
            f"of the {len(changes)} that change the replicas; by itself, from the first replica "
            f"count on, it has the recorded number at {self.alone_share:.1%}",
            *(f"  {row.decisions}: {row.why}" for row in self.differences.itertuples()),
            *(f"  assumed: {text}" for text in self.assumed),
        ]
        return "\n".join(lines)


def replay(recording: Recording, **known: float) -> Replay:
    """
    Decide a recording's decisions again.

    Parameters
    ----------
    known
        Rules that the recording does not tell: qty_task, min_scale, max_scale, grey, green, yellow,
        batch, min_batch, batch_step. What nobody tells is read off the decisions, and said.

    Raises
    ------
    NotFoundError
        The recording has no decisions.
    ParameterError
        A rule of that name does not exist, or nothing tells QTY_TASK.
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
    alone = (spacing.isna() | (spacing > GAP * max(spacing.median(), 1.0))).tolist()
    before, greys, own, own_greys, held = 0, 0, 0, 0, 0
    rows = []
    for number, record in enumerate(seen.to_dict("records")):
        row = {str(name): value for name, value in record.items()}
        rate = _rate(row, rules.qty_task)
        running, wanted = int(row["running"]), int(row["wanted"])
        if alone[number]:
            before, greys, own, own_greys, held = running, 0, running, 0, 0
        told = {"policy_light": "", "policy_wanted": before, "compared": False}
        if rate is None:
            told["difference"] = NO_BROKER if wanted == before or alone[number] else HELD_LIGHT
            held += 1
        else:
            decision = policy().decide(
                rules, policy().Seen(rate, running, before, rules.batch, greys)
            )
            free = policy().decide(rules, policy().Seen(rate, own, own, rules.batch, own_greys))
            greys, own, own_greys = decision.greys, free.replicas, free.greys
            told |= {
                "policy_light": str(decision.light),
                "policy_wanted": decision.replicas,
                "compared": not alone[number],
                "difference": ALONE if alone[number] else _difference(row, before, decision, rules),
            }
            if alone[number]:
                own = wanted
        rows.append(
            {
                **{name: row[name] for name in ("time", "running", "light", "wanted")},
                "published_per_s": np.nan if rate is None else rate,
                "replicas": before,
                "alone_wanted": own,
                **told,
            }
        )
        before = wanted
    return pd.DataFrame(rows)


def _rate(row: Mapping[str, Any], qty_task: float) -> float | None:
    """
    Tasks a second; early versions took messages for it, which LOAD still tells.
    """
    if not np.isnan(row["published_per_s"]):
        return float(row["published_per_s"])
    return None if np.isnan(row["load"]) else float(row["load"] * row["running"] * qty_task)


def _difference(row: Mapping[str, Any], before: int, decision: Any, rules: Any) -> str:  # noqa: ANN401
    """
    Why a decision is another; "" where it is the same.
    """
    wanted = int(row["wanted"])
    if decision.replicas == wanted:
        return ""
    light = policy().Light
    if decision.light != row["light"]:
        bounds = [rules.grey, rules.green, rules.yellow]
        near = any(abs(decision.load - bound) <= ROUNDED_LOAD for bound in bounds)
        return ON_THE_EDGE if near else OTHER_LIGHT
    if wanted == before and decision.light in {light.YELLOW, light.RED}:
        fits = before + policy().STEPS[decision.light] <= rules.max_scale
        return NOT_FOLLOWED if fits else BEYOND_MAX
    if wanted == before and decision.light == light.GREY:
        return COUNTED_ANEW
    return NOT_FOLLOWED


def _rules(seen: pd.DataFrame, said: Mapping[str, Any], known: set[str]) -> tuple[Any, list[str]]:
    names = set(policy().Rules.__dataclass_fields__)
    if known - names:
        raise ParameterError(
            f"expected rules of the policy; {', '.join(sorted(known - names))} are none",
            next_step=f"name some of {', '.join(sorted(names))}",
        )
    told = {name: said[name] for name in names & said.keys()}
    found: dict[str, float] = {
        "min_scale": int(seen["wanted"].min()),
        "max_scale": int(seen["wanted"].max()),
        "batch": 300,
        "min_batch": 50,
        "batch_step": 50,
    }
    if "qty_task" not in told:
        at_work = seen[(seen["load"] >= 0.1) & (seen["published_per_s"] > 0)]
        if at_work.empty:
            raise ParameterError(
                "expected QTY_TASK in the recording, or decisions at work that tell it; neither is",
                next_step="give it: replay(recording, qty_task=15)",
            )
        ratio = at_work["published_per_s"] / (at_work["running"] * at_work["load"])
        found["qty_task"] = round(float(ratio.median()), 1)
    assumed = [f"{name} {found[name]:g}" for name in sorted(found.keys() - told.keys())]
    return policy().Rules(**{**found, **told}), assumed
