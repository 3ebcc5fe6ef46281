"""
What belongs to a cluster: exactly what carries its name, whatever EC2's filters expand.
"""

import ast
import re

import pytest

from runbook_lib.cloud.instances import find_instances
from runbook_lib.cloud.key_pairs import ensure_key_pair, find_key_pair
from runbook_lib.cloud.security_groups import ensure_groups, find_groups, get_default_vpc
from runbook_lib.cloud.tags import tag_list, tag_specifications
from runbook_lib.cloud.teardown import (
    find_leftovers,
    remove_groups,
    remove_instances,
    remove_key_pair,
)
from tests.places import ROOT

EXPANDED = ["*", "?", "geo-d*", "geo-dif?", "geo-[d]iff", r"geo-dif\?"]
"""Names that a filter of EC2 expands, or could."""


@pytest.fixture
def cluster(ec2, tmp_path):
    """A cluster called geo-diff: an instance with its disk, groups, a key pair."""
    ec2.run_instances(
        ImageId="ami-12c6146b",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=tag_specifications(tag_list("geo-diff", "manager"), "instance", "volume"),
    )
    ensure_groups(ec2, "geo-diff", get_default_vpc(ec2))
    ensure_key_pair(ec2, "geo-diff", str(tmp_path / "key.pem"))


@pytest.mark.parametrize("name", EXPANDED)
def test_a_name_that_ec2_expands_finds_and_removes_nothing(ec2, cluster, tmp_path, name):
    before = find_leftovers(ec2, "geo-diff")
    assert {"instance", "volume", "security", "key"} == {line.split()[0] for line in before}

    assert [] == find_instances(ec2, name)
    assert [] == find_groups(ec2, name)
    assert [] == find_leftovers(ec2, name)
    assert find_key_pair(ec2, name) is None
    assert [] == remove_instances(ec2, name)
    assert [] == remove_groups(ec2, name)
    assert [] == remove_key_pair(ec2, name, str(tmp_path / "key.pem"))
    assert before == find_leftovers(ec2, "geo-diff")


def test_moto_expands_as_ec2_does(ec2, cluster):
    """Without this, the test above would prove nothing."""
    every = [{"Name": "tag:runbook:cluster", "Values": ["*"]}]
    assert ec2.describe_security_groups(Filters=every)["SecurityGroups"]
    assert ec2.describe_instances(Filters=every)["Reservations"]


def test_only_one_function_filters_by_the_tag_of_a_cluster():
    """And it compares the tag again. No other module writes such a filter."""
    users = {
        path.stem
        for path in (ROOT / "runbook_lib").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and re.match(r"tag:(?!yaml)", str(node.value))
    }
    assert {"tags"} == users
