"""
Runs that are killed at an effect, the runner and its kernel at once, and run again: same end state.

A few effects first, four minutes; then all of them, which takes hours.
"""

import os

import pytest

from tests.crash.chain import Chain
from tests.crash.state import find_resources, find_state

pytestmark = [pytest.mark.lab, pytest.mark.crash]

GUIDE = ["01", "02", "03", "04", "05", "06", "07"]
SOLUTIONS = ["30", "35", "32", "37", "31", "36"]


def place(runbook):
    """The lab's S3 as the instances reach it."""
    return {"s3_endpoint_url": runbook.given["tiles_url"].rpartition("/")[0]}


def changes(pages):
    return [change for page in pages.values() for change in page["changes"]]


def test_a_swarm_and_stacks_that_were_killed_at_a_few_effects_end_as_the_others(
    runbook, tmp_path, capsys
):
    """One that joins, one that deploys, one that adds a manager; the first effects of each."""
    if not runbook.is_deployed:
        runbook.run()
    before = find_state(runbook)
    runbook.run("--only", "97", "96", "95")
    chain = Chain(runbook, tmp_path, most=2, only="^docker|^ssh")
    for number in GUIDE[-3:]:
        chain.go(number)
    with capsys.disabled():
        print(chain.table())

    assert [] == changes(runbook.run())
    assert before == find_state(runbook)


def test_all_effects_of_the_guide_the_solutions_and_the_teardown(runbook, tmp_path, capsys):
    """From nothing, without a kill first: that is the state that all others must end in."""
    chain = Chain(runbook, tmp_path, most=int(os.environ.get("CRASH_EACH", "1000")))
    try:
        runbook.run("--only", "90")
        runbook.run()
        expected = find_state(runbook)
        for number in SOLUTIONS:
            chain.go(number, **(place(runbook) if number in ("31", "36") else {}))
        assert [] == changes(runbook.run())
        assert expected == find_state(runbook)
        chain.go("90", bucket_with_tiles="delete")
        assert [] == find_resources(runbook)
        for number in GUIDE:
            chain.go(number)
        assert [] == changes(runbook.run())
        assert expected == find_state(runbook)
    finally:
        with capsys.disabled():
            print(chain.table())
