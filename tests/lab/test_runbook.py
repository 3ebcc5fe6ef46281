"""
The whole runbook on the lab: every notebook twice, then the undo family, then nothing is left.

The tests stand in the order of the steps and build on each other.
"""

from pathlib import Path

import pytest

pytestmark = pytest.mark.lab

STEPS = ["00", "01", "02", "03", "04", "05", "06"]
UNDO = ["96", "95", "94", "93", "92", "91"]
OTHER_STACK = Path(__file__).parents[1] / "data" / "other_stack.yml"


def changed(pages):
    return {number for number, page in pages.items() if page["changes"]}


def test_from_nothing_to_processed_tiles(runbook):
    """00 to 06 pass; each step that has an effect says so."""
    pages = runbook.run()

    assert STEPS == list(pages)
    assert {"passed"} == {page["verdict"] for page in pages.values()}
    assert set(STEPS) - {"00"} == changed(pages)


def test_the_second_run_says_no_changes_everywhere(runbook):
    pages = runbook.run()

    assert STEPS == list(pages)
    assert set() == changed(pages)


def test_the_calls_made_are_recorded_under_their_iam_actions(runbook):
    calls = {call for page in runbook.run("--only", "01").values() for call in page["calls"]}

    assert {"ec2:DescribeInstances", "ssm:GetParameter"} <= calls


def test_an_instance_that_was_stopped_is_started_and_its_node_comes_back(runbook):
    """Stopping changes the public address; the pinned host key is still the instance's."""
    ec2 = client(runbook)
    worker = instance(ec2, "worker-4")
    ec2.stop_instances(InstanceIds=[worker])
    ec2.get_waiter("instance_stopped").wait(
        InstanceIds=[worker], WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    pages = runbook.run()

    assert ["started"] == [c["action"] for c in pages["01"]["changes"]]
    assert {"passed"} == {page["verdict"] for page in pages.values()}


def test_a_rule_that_somebody_added_by_hand_is_revoked(runbook):
    ec2 = client(runbook)
    group = ec2.describe_security_groups(
        Filters=[{"Name": "group-name", "Values": ["runbook-test-worker"]}]
    )["SecurityGroups"][0]["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=group, IpProtocol="tcp", FromPort=3306, ToPort=3306, CidrIp="0.0.0.0/0"
    )
    changes = runbook.run("--only", "02")["02"]["changes"]

    assert 1 == len(changes)
    assert "3306" in f"{changes[0]['name']} {changes[0]['action']}"


def test_any_other_stack_file_deploys_the_same_way(runbook):
    """A pulled image, a service built from its folder with a secret, and a global one."""
    given = {"stack_file": OTHER_STACK, "stack_name": "other", "surfaces": "", "queues": ""}
    first = runbook.run("--only", "06", **given)["06"]
    second = runbook.run("--only", "06", **given)["06"]
    removed = runbook.run("--only", "96", stack_file=OTHER_STACK, stack_name="other")["96"]

    assert {"other_pulled", "other_built", "other_everywhere"} <= {
        change["name"] for change in first["changes"]
    }
    assert [] == second["changes"]
    assert "other_built" in {change["name"] for change in removed["changes"]}


def test_bad_parameters_are_all_named_before_anything_runs(runbook):
    before = len(list(runbook.runs.glob("2*")))
    runbook.run(code=1, worker_count=99, batsh=1, docker_source="snap")

    assert before == len(list(runbook.runs.glob("2*")))
    for name in ("worker_count", "batsh", "docker_source"):
        assert name in runbook.output


@pytest.mark.parametrize("number", UNDO)
def test_an_undo_undoes_and_is_happy_the_second_time(runbook, number):
    first = runbook.run("--only", number)[number]
    second = runbook.run("--only", number)[number]

    assert first["changes"]
    assert [] == second["changes"]


def test_teardown_of_a_cluster_that_is_half_built_leaves_nothing_that_is_tagged(runbook):
    """The proof is asked of EC2 once more, by other means than the notebook's."""
    runbook.run("--to", "02")
    runbook.run("--only", "90")
    ec2 = client(runbook)
    ours = [{"Name": "tag:runbook:cluster", "Values": ["runbook-test"]}]
    found = [
        i for r in ec2.describe_instances(Filters=ours)["Reservations"] for i in r["Instances"]
    ]

    assert {"terminated"} == {i["State"]["Name"] for i in found}
    assert [] == ec2.describe_volumes(Filters=ours)["Volumes"]
    assert [] == ec2.describe_security_groups(Filters=ours)["SecurityGroups"]
    assert [] == ec2.describe_key_pairs(Filters=ours)["KeyPairs"]
    assert not Path(runbook.given["key_file"]).exists()


def client(runbook):
    """EC2 as the administrator of the lab."""
    import botocore.session  # noqa: PLC0415 - the hermetic fixtures come first

    session = botocore.session.Session(profile="administrator")
    session.set_config_variable("credentials_file", str(runbook.given["credentials_file"]))
    return session.create_client(
        "ec2", region_name="us-east-1", endpoint_url=runbook.given["endpoint_url"]
    )


def instance(ec2, role):
    filters = [
        {"Name": "tag:runbook:role", "Values": [role]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    found = ec2.describe_instances(Filters=filters)["Reservations"]
    return found[0]["Instances"][0]["InstanceId"]
