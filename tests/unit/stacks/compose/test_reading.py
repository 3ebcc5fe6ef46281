"""
Stack files read: null, versions and conventions; files of any size and depth.
"""

import pytest
import yaml

from runbook_lib.stacks.compose.rendering import render
from runbook_lib.stacks.compose.tables import declared_services
from tests.stack_texts import error_of, service


def test_what_a_stack_has_is_read_without_its_values(stack):
    its = stack(service("user: '${U}'"), complete=False)

    assert "" == its.services["one"]["user"]


def test_the_conventions_never_reach_docker(stack):
    text = "x-runbook: {generated_secrets: [token]}\nx-other: {a: '${U}'}\n" + service("user: a")
    its = stack(text)

    assert ["token"] == its.generated_secrets
    assert {"version", "services"} == set(its.documents[0])


def test_a_convention_that_is_none_is_told(stack):
    told = error_of(stack, "x-runbook: {secrets: [a]}\n" + service("user: a"))

    assert "0.yml:1: expected x-runbook to have variables and generated_secrets only" in told


def test_null_is_taken_where_docker_takes_it(stack):
    text = service("deploy:\n    networks: {n: }\n    labels: {a: }") + "networks: {n: }\n"
    its = stack(text + "volumes: {v: }\n")

    assert "deploy" not in its.services["one"]
    assert ({"n": {}}, {}) == (its.networks, its.external("volumes"))
    assert ["1"] == list(declared_services(its)["replicas"])


@pytest.mark.parametrize(
    ("file", "newer", "version"),
    [
        ("", "", "3.9"),
        ('version: "3"\n', "", "3.9"),
        ('version: "3.7"\n', "", "3.7"),
        ("", "healthcheck: {test: a, start_interval: 1s}", "3.12"),
        ("", "oom_score_adj: 1", "3.13"),
        ("", "networks: {n: {driver_opts: {a: b}}}", "3.13"),
    ],
)
def test_a_version_is_written_that_an_old_docker_knows(stack, file, newer, version):
    text = render(stack(f"{file}services: {{one: {{image: x, {newer}}}}}"), {}, {})[0]

    assert version == yaml.safe_load(text)["version"]


def test_all_files_get_the_version_that_one_needs(stack):
    texts = [service("oom_score_adj: 1"), service("user: a"), 'version: "3"\nvolumes: {}\n']
    rendered = [yaml.safe_load(text) for text in render(stack(*texts), {}, {})]

    assert ["3.13", "3.13", "3.13"] == [document["version"] for document in rendered]


def test_a_large_file_is_no_trouble(stack):
    line = '  s%d:\n    image: x\n    command: ["sh", "-c", "echo it is %d; sleep infinity"]\n'
    its = stack("services:\n" + "".join(line % (n, n) for n in range(1200)))

    assert 1200 == len(yaml.load(render(its, {}, {})[0], yaml.CSafeLoader)["services"])


@pytest.mark.parametrize("value", ["[" * 3000 + "]" * 3000, "{a: " * 3000 + "}" * 3000])
def test_levels_are_counted_before_they_are_entered(stack, value):
    assert "100 levels" in error_of(stack, service("user: a") + f"\nx-a: {value}\n")


def test_a_number_of_any_length_is_read(stack):
    read = stack(service("labels: {long: " + "9" * 5000 + "}"))
    assert "9" * 5000 == next(iter(read.services.values()))["labels"]["long"]
    text = service('deploy: {replicas: "${N}"}')
    assert "expected an integer" in error_of(stack, text, variables=["N=" + "9" * 5000])
