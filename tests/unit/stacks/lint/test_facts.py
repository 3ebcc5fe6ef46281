"""
The facts about a cluster, from an account in memory and fakes of its engines.
"""

import json

import pytest

from runbook_lib.cloud.firewall import guide_rules
from runbook_lib.cloud.instances import find_instances
from runbook_lib.cloud.security_groups import (
    ensure_groups,
    ensure_membership,
    ensure_rules,
    get_default_vpc,
)
from runbook_lib.hosts.clusters import Cluster
from runbook_lib.stacks.compose import reading
from runbook_lib.stacks.lint.facts import ClusterFacts, find_facts
from runbook_lib.stacks.lint.linting import lint_cluster
from tests.fakes import docker
from tests.fakes.aws import account


@pytest.fixture
def here():
    """
    A cluster of a manager in the Swarm, and a worker that has not joined.
    """
    with account() as client:
        ec2 = client("ec2")
        ensure_groups(ec2, "geo-diff", get_default_vpc(ec2))
        ensure_rules(ec2, "geo-diff", guide_rules("203.0.113.7/32"))
        subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
        for role in ("manager", "worker-1"):
            tags = {"runbook:cluster": "geo-diff", "runbook:role": role}
            pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
            ec2.run_instances(
                ImageId="ami-12c6146b",
                MinCount=1,
                MaxCount=1,
                SubnetId=subnet,
                TagSpecifications=[{"ResourceType": "instance", "Tags": pairs}],
            )
        ensure_membership(ec2, "geo-diff", find_instances(ec2, "geo-diff"))
        instances = {i.role: i for i in find_instances(ec2, "geo-diff")}
        cluster = Cluster("geo-diff", "", None, ec2, instances, list(instances))
        manager = docker.Engine(
            nodes=[docker.Node("n1", addr=instances["manager"].private_ip, Role="worker")],
            services=[docker.Service("a_web", {"Name": "a_web", "Mode": {}, "TaskTemplate": {}})],
            volumes=[docker.Volume("tiles-data")],
            secrets=[docker.Model("token")],
        )
        cluster.engines = {"manager": manager, "worker-1": docker.Engine()}
        yield cluster


def test_facts_are_those_of_the_swarm_of_each_node_and_of_the_security_groups(here):
    facts = find_facts(here, here.engines["manager"])

    assert ["n1"] == [node["ID"] for node in facts.nodes]
    assert ["a_web"] == [service["Spec"]["Name"] for service in facts.services]
    assert {"token"} == facts.secrets
    assert {"n1": {"tiles-data"}} == facts.volumes
    assert {"n1": ("worker", "manager", "web", "backup")} == facts.groups
    assert "web: tcp/8080 from 0.0.0.0/0" in map(str, facts.rules)


def test_a_service_that_is_not_deployed_has_no_specification():
    services = [{"Spec": {"Name": "a_web", "Mode": {"Global": {}}}}]

    assert services[0]["Spec"] == ClusterFacts([], services).find_live("a_web")
    assert {} == ClusterFacts([], services).find_live("a_db")


def test_a_stack_is_linted_against_the_cluster_with_the_values_of_secrets_given(
    here, tmp_path, monkeypatch
):
    for engine in here.engines.values():
        engine.images.create("a/b")
    file = tmp_path / "stack.yml"
    text = {"services": {"web": {"image": "a/b", "secrets": ["a", "b", "c"], "restart": "always"}}}
    text["secrets"] = {name: {"external": True} for name in "abc"}
    file.write_text(json.dumps(text))
    (tmp_path / "a").write_text("a value")
    monkeypatch.setenv("RUNBOOK_SECRET_B", "a value")

    found = lint_cluster(
        here,
        here.engines["manager"],
        reading.read(file),
        "mine",
        images={},
        values_dir=str(tmp_path),
    )

    assert ["the external secret c", "keys that a Swarm uses"] == [p.expected for p in found]
