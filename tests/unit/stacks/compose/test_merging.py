"""
Several files merged as Docker merges them.
"""

import pytest
import yaml

from runbook_lib.stacks.compose.rendering import render
from tests.stack_texts import service

UNDER = """services:
  one:
    image: a
    environment: [A=1, B=2]
    command: [a, b]
    dns: 1.1.1.1
    ports: ["80:80", "81:81"]
    volumes: ["data:/a", "more:/b"]
    secrets: [s]
    networks: [n]
    logging: {driver: a, options: {x: y}}
    deploy: {replicas: 2, labels: {a: b}, placement: {constraints: [a==b]}}
networks: {n: {driver: overlay}, m: }
"""


OVER = """services:
  one:
    image: b
    environment: {B: 3, C: 4}
    command: [c]
    dns: [2.2.2.2]
    ports: ["80:80", "82:81"]
    volumes: ["other:/a"]
    secrets: [{source: s, target: q}, t]
    networks: {m: {aliases: [q]}}
    logging: {driver: b}
    deploy: {replicas: 0, labels: [c=d], placement: {constraints: [c==d]}}
  two: {image: c}
networks: {n: {attachable: true}}
"""


def test_several_files_are_merged_as_docker_merges_them(stack):
    its = stack(UNDER, OVER)

    assert {
        "image": "b",
        "environment": {"A": "1", "B": 3, "C": 4},
        "command": ["c"],
        "dns": ["1.1.1.1", "2.2.2.2"],
        "ports": ["80:80", "81:81", "82:81"],
        "volumes": ["other:/a", "more:/b"],
        "secrets": [{"source": "s", "target": "q"}, "t"],
        "networks": {"n": None, "m": {"aliases": ["q"]}},
        "logging": {"driver": "b"},
        "deploy": {
            "replicas": 0,
            "labels": {"a": "b", "c": "d"},
            "placement": {"constraints": ["a==b", "c==d"]},
        },
    } == its.services["one"]
    assert {"one", "two"} == set(its.services)
    assert {"n": {"attachable": True}, "m": {}} == its.networks


@pytest.mark.parametrize(
    ("under", "over", "expected"),
    [
        ('["8080:80"]', '["8080:81"]', ["8080:81"]),
        ('["8080:80"]', "[{target: 80, published: 8080}]", [{"target": 80, "published": 8080}]),
        ('["127.0.0.1:80:80", 81]', '["80:80/udp"]', ["80:80/udp", 81]),
        ('["8000-8001:80-81", "90"]', '["8000-8001:90-91", "[::1]:83:1"]',
         ["8000-8001:90-91", "90", "[::1]:83:1"]),
        ('["90"]', '["91", "127.0.0.1::92"]', ["127.0.0.1::92"]),
    ],
)  # fmt: skip
def test_a_later_file_changes_what_a_port_leads_to(stack, under, over, expected):
    its = stack(service(f"ports: {under}"), service(f"ports: {over}"))

    assert expected == its.services["one"]["ports"]


def test_each_file_stays_a_document_for_docker(stack):
    first, second = [yaml.safe_load(text) for text in render(stack(UNDER, OVER), {}, {})]

    assert ["A=1", "B=2"] == first["services"]["one"]["environment"]
    assert {"B": 3, "C": 4} == second["services"]["one"]["environment"]
    assert "3.9" == first["version"] == second["version"]
