"""
Variables: replaced as Docker does, with where each value comes from.
"""

import pytest
import yaml

from runbook_lib.core.errors import NotFoundError, ParameterError
from runbook_lib.stacks.compose.rendering import render
from runbook_lib.stacks.compose.tables import declared_variables
from tests.stack_texts import error_of, service


def test_every_variable_is_listed_with_its_value_and_where_that_comes_from(stack, tmp_path):
    (tmp_path / "values.env").write_text("# secret\nDB_PASSWORD=p=w\n\n  DOMAIN=from.file\n")
    text = """
x-runbook: {variables: {WORKERS: min_scale, STAGE: stage}}
services:
  one:
    image: "x:${TAG:-1}"
    environment: {DOMAIN: "${DOMAIN}", DB: "$DB_PASSWORD", STAGE: "${STAGE:-prod}"}
    deploy: {replicas: "${WORKERS:-3}"}
"""
    its = stack(
        text,
        variables=["DOMAIN=example.org"],
        env_file=str(tmp_path / "values.env"),
        parameters={"min_scale": 4},
    )

    assert 4 == its.services["one"]["deploy"]["replicas"]
    assert "p=w" == its.services["one"]["environment"]["DB"]
    assert [
        ("DB_PASSWORD", "(not shown)", f"{tmp_path}/values.env:2", f"{its.path}:6"),
        ("DOMAIN", "example.org", "stack_variables", f"{its.path}:6"),
        ("STAGE", "prod", f"default, {its.path}:6", f"{its.path}:6"),
        ("TAG", "1", f"default, {its.path}:5", f"{its.path}:5"),
        ("WORKERS", "4", "parameter min_scale", f"{its.path}:7"),
    ] == list(declared_variables(its).itertuples(index=False, name=None))
    assert "p=w" not in repr(its.variables)


SUBSTITUTED = {
    "${A}": "1", "$A": "1", "${A:-d}": "1", "${U:-d}": "d", "${U-d}": "d", "${E:-d}": "d",
    "${E-d}": "", "${A:?why}": "1", "${A?why}": "1", "${A:?must-be-set}": "1", "$$A": "$A",
    "$${A}": "${A}", "$$$A": "$1", "a${A}b$A.c": "a1b1.c", "${U:-a:-b}": "a:-b", "${U:-$$}": "$$",
    "${U:-a${A}}": "a${A}", "${U:-}": "",
}  # fmt: skip


@pytest.mark.parametrize(("text", "value"), SUBSTITUTED.items())
def test_variables_are_replaced_as_docker_does(stack, text, value):
    its = stack(service(f"hostname: '{text}'"), variables=["A=1", "E="])
    rendered = yaml.safe_load(render(its, {}, {})[0])["services"]["one"]["hostname"]

    assert value == its.services["one"]["hostname"]
    assert value.replace("$", "$$") == rendered


def test_all_variables_without_a_value_are_told_with_their_lines(stack):
    text = "environment: {A: '${DOMAIN}', B: $lower}\n    user: '${U:?who are you}'"
    told = error_of(stack, service(text))

    assert "0.yml:4: DOMAIN has no value" in told
    assert "0.yml:4: lower has no value" in told
    assert "0.yml:5: U has no value: who are you" in told
    assert "stack_env_file" in told


def test_a_variable_in_a_comment_a_key_or_an_escape_is_none(stack):
    its = stack("# ${COMMENTED}\n" + service("environment: {A: '$${ESCAPED}', '${KEY}': b}"))

    assert () == its.variables
    assert '"${KEY}": "b"' in render(its, {}, {})[0]


def test_a_dollar_without_a_name_is_told(stack):
    assert "0.yml:4: expected a variable after $" in error_of(stack, service("user: 'a$ b'"))


def test_a_number_or_a_boolean_is_made_only_where_a_variable_was_replaced(stack):
    its = stack(
        service("tty: '${T}'\n    deploy: {update_config: {max_failure_ratio: '${R}'}}"),
        variables=["T=yes", "R=0.5"],
    )
    assert its.services["one"]["tty"] is True
    assert 0.5 == its.services["one"]["deploy"]["update_config"]["max_failure_ratio"]
    assert "expected an integer as services.one.deploy.replicas, saw a text" in error_of(
        stack, service("deploy: {replicas: '3'}")
    )


def test_a_value_that_is_no_number_is_told_without_the_value(stack, tmp_path):
    (tmp_path / "values.env").write_text("N=hunter2\n")
    text = service("deploy: {replicas: '${N}'}")
    told = error_of(stack, text, env_file=str(tmp_path / "values.env"))

    assert "0.yml:4: expected an integer as services.one.deploy.replicas, saw a text" in told
    assert "hunter2" not in told


def test_a_variable_of_a_container_without_a_value_is_filled(stack):
    values = {"variables": ["A=1", "B=2"]}
    mapped = stack(service("environment: {A: , B: '', C: }"), **values)
    listed = stack(service("environment: [A, B=, C]"), **values)

    assert {"A": "1", "B": "2", "C": None} == mapped.services["one"]["environment"]
    assert ["A=1", "B=2", "C"] == listed.services["one"]["environment"]
    assert ["A", "B"] == [variable.name for variable in listed.variables]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("DOMAIN", "expected NAME=value as entry 1"),
        ("$(touch here)=1", "expected NAME=value as entry 1"),
        ("DB_PASSWORD=hunter2", "DB_PASSWORD sounds like a secret"),
    ],
)
def test_an_entry_that_is_no_variable_or_a_secret_is_refused(stack, entry, words):
    told = error_of(stack, service("user: a"), variables=[entry])

    assert words in told
    assert "hunter2" not in told


def test_a_line_that_is_no_variable_is_refused_without_its_text(stack, tmp_path):
    (tmp_path / "values.env").write_text("A=1\nhunter2\n")
    told = error_of(stack, service("user: a"), env_file=str(tmp_path / "values.env"))

    assert "values.env:2: expected NAME=value" in told
    assert "hunter2" not in told


def test_a_missing_file_of_values_is_named(stack):
    with pytest.raises(NotFoundError, match=r"nowhere\.env"):
        stack(service("user: a"), env_file="nowhere.env")


def test_a_file_of_values_that_is_no_text_is_refused_without_its_values(stack, tmp_path):
    (tmp_path / "values.env").write_bytes(b"A=hunter2\xff\n")
    with pytest.raises(ParameterError, match="it is not UTF-8") as told:
        stack(service("user: a"), env_file=str(tmp_path / "values.env"))
    assert told.value.__cause__ is None
