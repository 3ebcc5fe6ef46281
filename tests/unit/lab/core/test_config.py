"""
A lab's configuration: what follows from it, and what it refuses.
"""

import json

import pytest

from lab.core.config import LabConfig
from lab.core.errors import LabError


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_the_default_lab_is_the_default_vpc_of_aws():
    """Every address follows from the subnet."""
    config = LabConfig()
    assert config.gateway == "172.31.0.1"
    assert config.mirror_url == "http://172.31.0.2:5000"
    assert config.public_pool == "172.31.128.0/17"
    assert config.dynamic_range == "172.31.112.0/20"
    assert config.endpoint_url == "http://127.0.0.1:5566"
    assert config.guest_endpoint_url == "http://172.31.0.1:5566"
    assert (config.network, config.label) == ("lab-geo-diff", "lab=geo-diff")


def test_all_that_is_wrong_is_reported_at_once():
    """With the value and the rule of each."""
    with pytest.raises(LabError) as caught:
        LabConfig(name="Two Words", port=80, subnet="8.8.0.0/16", region="moon", docker_host="x")
    text = str(caught.value)
    assert "5 of them are not" in text
    for value in ("'Two Words'", "80", "8.8.0.0/16", "'moon'", "'x'"):
        assert value in text


@pytest.mark.parametrize("subnet", ["10.0.0.0/8", "10.0.0.1/16", "fd00::/16", "here"])
def test_a_subnet_is_a_private_ipv4_16(subnet):
    """As large as the default VPC: moto's subnets and the public pool must fit."""
    with pytest.raises(LabError, match="subnet"):
        LabConfig(subnet=subnet)


def test_a_policy_must_be_readable_before_anything_starts(home):
    """Missing, not JSON, or without statements."""
    path = home / "policy.json"
    for text in (None, "{", "{}"):
        if text is not None:
            path.write_text(text)
        with pytest.raises(LabError, match="operator_policy"):
            LabConfig(operator_policies=(str(path),))


@pytest.mark.parametrize(
    "given",
    [
        {"operator_tags": ("no-value",)},
        {"operator_tags": ("=x",)},
        {"account_policies": ("runbook-tiles",)},
        {"account_policies": ("a/b=policy.json",)},
        {"account_policies": ("runbook-tiles=/nowhere/policy.json",)},
    ],
)
def test_what_an_administrator_would_make_is_checked_before_anything_starts(given):
    with pytest.raises(LabError, match="1 of them are not"):
        LabConfig(**given)


def test_a_saved_lab_is_found_again_by_its_name():
    """All its values survive."""
    tags = ("runbook:cluster=a=b", "runbook:vpc=@default-vpc")
    config = LabConfig(name="two", port=5577, subnet="10.7.0.0/16", operator_tags=tags)
    config.save()
    assert config == LabConfig.load("two")


def test_a_lab_that_does_not_exist_is_named_with_the_way_to_make_it():
    """The next step can be pasted."""
    with pytest.raises(LabError, match=r"python -m lab up --name nobody"):
        LabConfig.load("nobody")


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"colour": "red"})])
def test_a_broken_record_is_not_trusted(text):
    """Half written, or by another program."""
    config = LabConfig(name="two")
    config.save()
    (config.state_dir / "lab.json").write_text(text)
    with pytest.raises(LabError, match="does not"):
        LabConfig.load("two")
