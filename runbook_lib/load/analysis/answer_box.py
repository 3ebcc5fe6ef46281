"""
The answer as a person reads it first: one line, and what stands behind it.
"""

from dataclasses import dataclass
from html import escape

import numpy as np

from runbook_lib.core.findings import count_of, sentence
from runbook_lib.load.analysis.answer_findings import predict_left_out
from runbook_lib.load.analysis.cost_findings import also_fewer, find_burst
from runbook_lib.load.analysis.load_answer import Answer

_BOX = "border-left:6px solid {colour};background:#f6f8f7;padding:14px 20px;max-width:820px;"
_HEAD = "font-size:1.5em;font-weight:600;margin:0 0 8px 0;color:#1f2933"
_NAME = "text-align:left;vertical-align:top;color:#52606d;white-space:nowrap;padding:4px 18px 4px 0"
_TEXT = "text-align:left;vertical-align:top;color:#1f2933;padding:4px 0"


@dataclass(frozen=True)
class AnswerBox:
    """
    A headline, and rows of name and words.
    """

    headline: str
    rows: tuple[tuple[str, str], ...]
    is_recommendation: bool

    def __repr__(self) -> str:
        return "\n".join([self.headline, *(f"  {name}: {words}" for name, words in self.rows)])

    def _repr_html_(self) -> str:
        colour = "#1b7f79" if self.is_recommendation else "#e8590c"
        rows = "".join(
            f'<tr style="background:none"><td style="{_NAME}">{escape(name)}</td>'
            f'<td style="{_TEXT}">{escape(words)}</td></tr>'
            for name, words in self.rows
        )
        return (
            f'<div style="{_BOX.format(colour=colour)}"><p style="{_HEAD}">'
            f'{escape(self.headline)}</p><table style="border:0">{rows}</table></div>'
        )


def summarise(answer: Answer) -> AnswerBox:
    """
    The answer in five lines.
    """
    rows = [("How fast", _fast(answer)), ("Why not faster", _why(answer))]
    rows += [("How long, how dear", _dear(answer)), ("How sure", _sure(answer))]
    if answer.limits:
        rows.append(("Left open", "; ".join(answer.limits)))
    told = tuple((name, words[0].upper() + words[1:]) for name, words in rows if words)
    return AnswerBox(_headline(answer), told, answer.is_recommendation)


def _headline(answer: Answer) -> str:
    if answer.workers is None or answer.scalability is None:
        return "How many workers to use, this recording does not tell"
    if not answer.is_recommendation:
        known = ", ".join(str(n) for n in answer.scalability.measured["replicas"])
        return f"How many workers to use, this recording does not tell: it has only {known}"
    low, high = answer.workers.low, answer.workers.high
    sure = "" if low == high else f" (95 %: {low:.0f} to {high:.0f})"
    return f"Use {count_of(answer.chosen, 'worker')}{sure}"


def _fast(answer: Answer) -> str:
    if answer.rate is None:
        return ""
    rate = answer.rate
    span = "" if rate.low == rate.high else f" (95 %: {rate.low:.3g} to {rate.high:.3g})"
    words = f"{count_of(answer.chosen, 'worker')} did {rate.value:.3g} tiles a second{span}"
    if answer.is_recommendation and answer.scalability:
        most = int(answer.scalability.measured["replicas"].max())
        gain = f"; more, up to the {most} measured, add less than 5 %" * (most > answer.chosen)
        return words + (gain or "; as many as were measured, so more may do more")
    return words


def _why(answer: Answer) -> str:
    return answer.bottleneck.words.split(". ")[0] if answer.bottleneck else ""


def _dear(answer: Answer) -> str:
    if answer.costs.empty:
        return ""
    at = answer.costs[answer.costs["workers"] == answer.chosen].iloc[0]
    words = f"{answer.tiles:,} tiles take {at['hours']:.3g} h and cost {at['usd']:.2f} USD"
    found = find_burst(answer)
    if found is None or np.isinf(found.hours):
        return words
    return sentence(f"{words}; {found}") + also_fewer(answer)


def _sure(answer: Answer) -> str:
    if not answer.is_recommendation or answer.scalability is None:
        return ""
    left_out = predict_left_out(answer)
    inside = int(left_out["inside"].sum())
    steps, counts = len(answer.scalability.points), len(answer.scalability.measured)
    told = f"{steps} steps at {counts} numbers of workers"
    if left_out.empty:
        return f"{told}; too few to leave one out and predict it"
    return f"{told}; {inside} of {len(left_out)} are predicted right from the others alone"
