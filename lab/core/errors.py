"""
The one error of the lab, in three parts.
"""

from __future__ import annotations


class LabError(RuntimeError):
    """
    An expectation of the lab failed.

    The message has up to three lines: what was expected and what happened instead; the evidence;
    and the next step, ready to paste.
    """

    def __init__(self, problem: str, *, evidence: str = "", next_step: str = "") -> None:
        self.problem = problem
        self.evidence = evidence
        self.next_step = next_step
        lines = [problem]
        if evidence:
            lines.append(f"  seen: {evidence}")
        if next_step:
            lines.append(f"  next: {next_step}")
        super().__init__("\n".join(lines))
