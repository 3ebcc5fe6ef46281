"""
A summary of the sizing: one line, and the reasons for it.
"""

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from runbook_lib.core.tables import html_table
from runbook_lib.core.words import count_of, sentence
from runbook_lib.load.analysis.run_costs import Costs
from runbook_lib.load.analysis.sizing import Sizing
from runbook_lib.load.analysis.usl import SURE
from runbook_lib.load.analysis.usl_fit import leave_one_out

_BOX = Markup(
    '<div style="border-left:6px solid {};background:#f6f8f7;padding:14px 20px;max-width:820px;">'
    '<p style="font-size:1.5em;font-weight:600;margin:0 0 8px 0;color:#1f2933">{}</p>{}</div>'
)


@dataclass(frozen=True)
class SizingBox:
    """
    A headline, and rows of name and words.
    """

    headline: str
    rows: tuple[tuple[str, str], ...]
    is_recommendation: bool

    def __repr__(self) -> str:
        return "\n".join([self.headline, *(f"  {name}: {words}" for name, words in self.rows)])

    def _repr_html_(self) -> Markup:
        colour = "#1b7f79" if self.is_recommendation else "#e8590c"
        return _BOX.format(colour, self.headline, html_table([], self.rows))


def summarise(sizing: Sizing, costs: Costs) -> SizingBox:
    rows = {
        "Throughput": _throughput(sizing),
        "Bottleneck": sizing.bottleneck.words.split(". ")[0] if sizing.bottleneck else "",
        "Time and cost": _time_and_cost(sizing, costs),
        "Evidence": _evidence(sizing),
        "Limits": "; ".join(sizing.limits),
    }
    shown = tuple((name, words[0].upper() + words[1:]) for name, words in rows.items() if words)
    return SizingBox(_headline(sizing), shown, sizing.is_recommendation)


def _headline(sizing: Sizing) -> str:
    if sizing.workers is None or sizing.fit is None:
        return "This recording cannot tell how many workers to use"
    if not sizing.is_recommendation:
        known = ", ".join(str(n) for n in sizing.fit.measured["replicas"])
        return f"This recording cannot tell how many workers to use: it has only {known}"
    low, high = sizing.workers.low, sizing.workers.high
    sure = "" if low == high else f" (95 %: {low:.0f} to {high:.0f})"
    return f"Use {count_of(sizing.chosen, 'worker')}{sure}"


def _throughput(sizing: Sizing) -> str:
    rate = sizing.rate
    if rate is None:
        return ""
    span = "" if rate.low == rate.high else f" (95 %: {rate.low:.3g} to {rate.high:.3g})"
    words = f"{count_of(sizing.chosen, 'worker')} did {rate.value:.3g} tiles a second{span}"
    if not sizing.is_recommendation or sizing.fit is None:
        return words
    words = f"{words}; {sizing.fit.beyond(sizing.chosen)}"
    if np.isnan(sizing.sure):
        return words
    sure = f"{SURE:.0%} or more" if sizing.sure >= SURE else f"only {sizing.sure:.0%}"
    return f"{words}. With a probability of {sure} they reach 95 % of the best"


def _time_and_cost(sizing: Sizing, costs: Costs) -> str:
    if costs.table.empty:
        return ""
    at = costs.at_chosen
    words = f"{costs.tiles:,} tiles take {at['hours']:.3g} h and cost {at['usd']:.2f} USD"
    if sizing.burst is None or np.isinf(sizing.burst.hours):
        return words
    return sentence(f"{words}; {sizing.burst}") + costs.also_fewer


def _evidence(sizing: Sizing) -> str:
    if sizing.fit is None or sizing.fit.law is None:
        return ""
    left_out = leave_one_out(sizing.fit)
    steps, counts = len(sizing.fit.points), len(sizing.fit.measured)
    words = f"{steps} steps at {counts} numbers of workers"
    if left_out.empty:
        return f"{words}; too few to leave one out and predict it"
    inside = int(left_out["inside"].sum())
    return f"{words}; {inside} of {len(left_out)} are predicted correctly from the others"
