"""
A plan is applied only to the files that it was made of.
"""

import pytest

from runbook_lib.core.errors import ConflictError
from runbook_lib.stacks.compose.reading import read
from runbook_lib.stacks.compose.rendering import render
from runbook_lib.stacks.deploy import apply_plan
from runbook_lib.stacks.deployment.files import pack
from runbook_lib.stacks.deployment.plan import RESTARTED, Plan, Step

STACK = "services: {web: {image: web, volumes: ['./conf:/conf:ro']}}\n"


def test_a_bind_mount_that_was_edited_after_the_plan_is_refused(tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "a.txt").write_text("planned")
    (tmp_path / "stack.yml").write_text(STACK)
    stack = read(tmp_path / "stack.yml")
    documents = render(pack(stack, "app").stack, {}, {})
    step = Step("service", "app_web", RESTARTED, 1)
    plan = Plan("app", (step,), (), "f", "c", request={"documents": documents})
    (tmp_path / "conf" / "a.txt").write_text("edited")

    with pytest.raises(ConflictError, match="as they were when the plan was made"):
        apply_plan(None, None, stack, plan)
