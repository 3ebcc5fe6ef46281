"""
What runs, and what it has cost since its last start; what stands still costs its disk.
"""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from moto.ec2.models import ec2_backends

from lab.aws.prices_and_quotas import get_products
from runbook_lib.cloud.preflight import GP3_USD_PER_GIB_MONTH, HOURS_PER_MONTH, IPV4_USD_PER_HOUR
from runbook_lib.cloud.spending import spending_table
from runbook_lib.cloud.tags import tag_list, tag_specifications

PRICING = SimpleNamespace(get_products=lambda **given: get_products(given)[1])
T2_MICRO, T3_SMALL = 0.0116, 0.0208


def launched(ec2, role, kind="t2.micro", cluster="geo-diff", gib=30):
    disk = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": gib, "DeleteOnTermination": True}}
    return ec2.run_instances(
        ImageId="ami-12c6146b",
        InstanceType=kind,
        MinCount=1,
        MaxCount=1,
        BlockDeviceMappings=[disk],
        TagSpecifications=tag_specifications(tag_list(cluster, role), "instance", "volume"),
    )["Instances"][0]["InstanceId"]


@pytest.fixture
def hours_ago(cloud):
    """Shift what moto remembers of a start and of a disk."""
    backend = ec2_backends["123456789012"]["us-east-1"]

    def shift(instance_id, hours):
        then = datetime.now(UTC) - timedelta(hours=hours)
        backend.get_instance(instance_id).launch_time = then.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        for volume in backend.volumes.values():
            if volume.attachment and volume.attachment.instance.id == instance_id:
                volume.create_time = then.replace(tzinfo=None)

    return shift


def table(ec2):
    return spending_table(ec2, PRICING, "geo-diff", "us-east-1")


def test_nothing_runs_and_nothing_has_cost_anything(ec2):
    launched(ec2, "manager", cluster="another")

    assert table(ec2).empty


def test_an_instance_costs_since_its_start_and_a_disk_since_it_was_made(ec2, hours_ago):
    """Each by the price of its own type, with its address."""
    hours_ago(launched(ec2, "manager"), 10)
    hours_ago(launched(ec2, "worker-1", "t3.small", gib=8), 2)
    rows = table(ec2).set_index(["role", "what"])["usd"]
    disk = GP3_USD_PER_GIB_MONTH / HOURS_PER_MONTH
    expected = {
        ("manager", "t2.micro, running"): 10 * (T2_MICRO + IPV4_USD_PER_HOUR),
        ("manager", "disk of 30 GiB"): 10 * 30 * disk,
        ("worker-1", "t3.small, running"): 2 * (T3_SMALL + IPV4_USD_PER_HOUR),
        ("worker-1", "disk of 8 GiB"): 2 * 8 * disk,
    }
    expected["", "total"] = sum(expected.values())

    assert pytest.approx(expected, abs=0.001) == rows.to_dict()
    assert set(expected) == set(rows.index)


def test_a_stopped_instance_costs_its_disk_alone(ec2, hours_ago):
    stopped = launched(ec2, "manager")
    hours_ago(stopped, 10)
    ec2.stop_instances(InstanceIds=[stopped])
    rows = table(ec2).set_index("what")

    assert 0 == rows.loc["t2.micro, stopped", "usd"]
    assert rows.loc["disk of 30 GiB", "usd"] > 0
    assert rows.loc["total", "usd_per_hour"] == rows.loc["disk of 30 GiB", "usd_per_hour"]


def test_each_row_says_when_it_may_be_swept(ec2):
    launched(ec2, "manager")
    ends = table(ec2)["expires"].dropna()

    assert 2 == len(ends)
    assert all(end.endswith("Z") for end in ends)
