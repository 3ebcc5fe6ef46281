"""
The command line's plan: its exit code, what it saves, and when a saved plan is refused.
"""

import json
from dataclasses import replace

import pytest

from runbook_lib.__main__ import main
from runbook_lib.core.errors import ConflictError, ParameterError
from runbook_lib.stacks import plan_command
from runbook_lib.stacks.deployment.plan import RESTARTED, Field, Plan, Step
from runbook_lib.stacks.lint.problems import Problem, Problems
from runbook_lib.stacks.plan_command import apply_saved
from tests.places import ROOT

STEP = Step("service", "app_web", RESTARTED, 2, (Field("TaskTemplate.X", "1", "2"),))
CHANGES = Plan("app", (STEP,), (), fingerprint="f", content="c", request={"documents": ["hunter2"]})
NOTHING = replace(CHANGES, steps=())


class Work:
    """
    A cluster whose plan is known; it is not published to, which a refusal comes before.
    """

    def __init__(self, plan, problems=()):
        self._plan = plan
        self._problems = Problems(problems)

    def lint(self):
        return self._problems

    def plan(self):
        return self._plan


@pytest.fixture
def planned(monkeypatch):
    """Make every plan the given one."""

    def make(plan, *problems):
        monkeypatch.setattr(plan_command, "_Work", lambda _values: Work(plan, problems))

    return make


@pytest.fixture
def saved(planned, tmp_path, capsys):
    planned(CHANGES)
    file = tmp_path / "plan.json"
    main(["plan", str(ROOT / "params/lab.yml"), "-p", "batch=200", "--save", str(file)])
    return file


@pytest.mark.parametrize(("plan", "expected"), [(NOTHING, 0), (CHANGES, 2)])
def test_the_exit_code_tells_whether_anything_changes(planned, capsys, plan, expected):
    planned(plan)

    assert expected == main(["plan", str(ROOT / "params/lab.yml")])
    assert ("no changes" in capsys.readouterr().out) is plan.is_empty


@pytest.mark.parametrize("severity", ["warning", "error"])
def test_a_file_that_does_not_fit_the_cluster_is_told_with_its_line(
    planned, saved, capsys, severity
):
    problem = Problem(severity, "web", "stack.yml:7", "a node", "no node has it", "add a label")
    planned(CHANGES, problem)
    code = main(["plan", str(ROOT / "params/lab.yml")])
    applied = main(["plan", "--apply", str(saved)]) if severity == "error" else 1
    out, err = capsys.readouterr()

    assert "stack.yml:7: web: expected a node; no node has it" in out
    assert (code, applied) == ((1, 1) if severity == "error" else (2, 1))
    assert ("nothing was changed" in err) is (severity == "error")


def test_a_wrong_parameter_is_an_error_before_anything_is_asked(capsys):
    assert 1 == main(["plan", str(ROOT / "params/lab.yml"), "-p", "batsh=200"])
    assert "did you mean batch" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["params/lab.yml", "--apply", "plan.json"]])
def test_a_plan_is_either_made_or_applied(capsys, arguments):
    assert 1 == main(["plan", *arguments])
    assert "expected either a parameter file or --apply" in capsys.readouterr().err


def test_a_saved_plan_names_its_parameters_and_holds_no_document(saved):
    content = json.loads(saved.read_text())

    assert ["batch=200"] == content["given"]
    assert ["TaskTemplate.X"] == [field["path"] for field in content["steps"][0]["fields"]]
    assert "hunter2" not in saved.read_text()


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (replace(CHANGES, fingerprint="g"), "the stack in the Swarm has changed"),
        (replace(CHANGES, content="d"), "the stack file, its files or a value has changed"),
        (NOTHING, "the steps differ"),
    ],
)
def test_a_saved_plan_is_refused_when_anything_has_moved(planned, saved, now, reason):
    planned(now)

    with pytest.raises(ConflictError) as told:
        apply_saved(saved, ROOT / "notebooks")
    assert reason in str(told.value)
    assert "--save" in str(told.value)


def test_a_task_that_failed_meanwhile_does_not_count(planned, saved):
    planned(replace(CHANGES, steps=(replace(STEP, tasks=1),)))

    # it goes on to publish the images, which this cluster cannot
    with pytest.raises(AttributeError, match="here"):
        apply_saved(saved, ROOT / "notebooks")


@pytest.mark.parametrize("text", ["", "[]", "{}"])
def test_a_file_that_is_no_plan_is_refused(tmp_path, text):
    (tmp_path / "plan.json").write_text(text)

    with pytest.raises(ParameterError, match="expected a saved plan"):
        apply_saved(tmp_path / "plan.json", ROOT / "notebooks")


@pytest.mark.parametrize("key", ["parameters_file", "given", "steps", "content"])
@pytest.mark.parametrize("value", [5, [5]])
def test_a_saved_plan_that_was_edited_into_another_kind_is_refused(saved, key, value):
    saved.write_text(json.dumps(json.loads(saved.read_text()) | {key: value}))

    with pytest.raises(ParameterError, match=f"it lacks {key}"):
        apply_saved(saved, ROOT / "notebooks")


def test_the_next_step_of_an_edited_plan_can_be_pasted(planned, saved, tmp_path):
    file = tmp_path / "a; touch x.yml"
    file.write_text((ROOT / "params/lab.yml").read_text())
    edited = json.loads(saved.read_text()) | {"parameters_file": str(file), "content": "other"}
    saved.write_text(json.dumps(edited))

    with pytest.raises(ConflictError, match=f"runbook plan '{file}' --save"):
        apply_saved(saved, ROOT / "notebooks")
