"""
Stack files with their values: variables replaced, tables, several files merged.
"""

import pytest

from runbook_lib.core.errors import ParameterError
from runbook_lib.stacks.compose.stack_file import declared_services, declared_variables, read


@pytest.fixture
def stack(tmp_path):
    """Write a stack file and read it."""

    def one(text, **how):
        (tmp_path / "stack.yml").write_text(text)
        return read(tmp_path / "stack.yml", **how)

    return one


def test_every_variable_is_listed_with_its_value_and_where_that_comes_from(stack):
    text = """
x-runbook: {variables: {WORKERS: min_scale}}
services:
  one:
    image: "x:${TAG:-1}"
    environment: {DOMAIN: "${DOMAIN}"}
    deploy: {replicas: "${WORKERS:-3}"}
"""
    its = stack(text, variables=["DOMAIN=example.org"], parameters={"min_scale": 4})

    assert 4 == its.services["one"]["deploy"]["replicas"]
    assert [
        ("DOMAIN", "example.org", "stack_variables"),
        ("TAG", "1", f"default, {its.path}:5"),
        ("WORKERS", "4", "parameter min_scale"),
    ] == list(declared_variables(its)[["variable", "value", "source"]].itertuples(index=False))


def test_a_variable_without_a_value_is_told_with_its_line(stack):
    text = "services:\n  one:\n    image: x\n    environment: {A: '${DOMAIN}', B: $lower}\n"

    with pytest.raises(ParameterError, match=r"stack\.yml:4: DOMAIN has no value") as told:
        stack(text)
    assert "stack.yml:4: lower has no value" in str(told.value)


def test_the_table_says_the_number_of_replicas(stack):
    its = stack("services: {one: {image: x, deploy: {mode: replicated, replicas: 5}}}")

    assert ["5"] == list(declared_services(its)["replicas"])
