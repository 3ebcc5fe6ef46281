"""
A run in sentences: what the report, the end of a run and a person who is told say of it.
"""

from collections.abc import Mapping
from typing import Any

from runbook_lib.core.words import count_of, sentence
from runbook_lib.runner.record import FAILED, INTERRUPTED, PASSED, Page, Run


def stopped_at(run: Run) -> Page | None:
    """
    Return the notebook in which the run ended too early; None if every one passed.
    """
    return next((page for page in run.pages if page.verdict != PASSED), None)


def headline(run: Run) -> str:
    """
    Return one sentence: "All 8 notebooks ran, all 33 checks passed, 151 changes, in 7 min 2 s."
    """
    checks = [check for page in run.pages for check in page.checks]
    passed = sum(check["passed"] for check in checks)
    changes = sum(len(page.changes) for page in run.pages)
    done = sum(page.verdict == PASSED for page in run.pages)
    ran = _all(done, len(run.pages), "notebook", "ran" if run.verdict == PASSED else "passed")
    changed = count_of(changes, "change") if changes else "no changes"
    checked = [_all(passed, len(checks), "check", "passed")] if checks else []
    return sentence(", ".join([ran, *checked, f"{changed}, in {duration(run.seconds)}"]))


def _all(some: int, every: int, noun: str, verb: str) -> str:
    if some < every:
        return f"{some:,} of {count_of(every, noun)} {verb}"
    return f"{'all ' * (every > 1)}{count_of(every, noun)} {verb}"


def duration(seconds: float) -> str:
    """
    Return "0.4 s", "17 s", "7 min 2 s" or "2 h 5 min"; a whole number has no tenths.
    """
    if seconds < 10 and isinstance(seconds, float):
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if not round(seconds):
        return "0 s"
    parts = {"h": hours, "min": minutes, "s": rest if not hours else 0}
    return " ".join(f"{number} {unit}" for unit, number in parts.items() if number)


def failure(run: Run) -> str:
    """
    Return where the run ended too early; "" if it did not.
    """
    page = stopped_at(run)
    if run.verdict not in (FAILED, INTERRUPTED) or page is None:
        return ""
    where = f"{page.name}, under “{page.cell}”" if page.cell else page.name
    return f"the run {'was ' * (run.verdict == INTERRUPTED)}{run.verdict} in {where}"


def check_sentence(check: Mapping[str, Any]) -> str:
    """
    Return a check as a sentence; a statement that is true needs no "yes".
    """
    name, seen, expected = check["name"], check["actual"], check["expected"]
    if not check["passed"]:
        text = f"{name}: {seen}, but expected {expected}"
    elif (seen, expected) == ("yes", "yes"):
        text = name
    else:
        text = f"{name}: {seen}" if seen.startswith(expected) else f"{name}: {seen}, {expected}"
    return sentence(text) if text[:2].islower() else f"{text.rstrip('.')}."  # USD, vCPUs


def last_checks(page: Page) -> list[dict[str, Any]]:
    """
    Return the checks of a notebook, a repeated one once, with its last result.
    """
    return list({check["name"]: check for check in page.checks}.values())


def message(run: Run) -> dict[str, Any]:
    """
    Return the result of a run as plain JSON; `text` is what a chat shows.
    """
    page = stopped_at(run)
    facts = [f"{n['what']}: {n['text']}" for p in run.pages for n in p.notes if n.get("fact")]
    lines = [f"{run.folder.name} {run.verdict}: {headline(run)}", failure(run), *facts, run.resume]
    return {
        "text": "\n".join(filter(None, lines)),
        "run": run.folder.name,
        "verdict": run.verdict,
        "parameters_file": run.parameters_file,
        "seconds": round(run.seconds, 1),
        "failed_in": page.name if page else "",
        "error": page.error[:1000] if page else "",
        "facts": facts,
        "resume": run.resume,
        "seal": run.seal,
    }
