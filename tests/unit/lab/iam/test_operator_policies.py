"""
The policies in params/: names and condition keys as AWS's reference has them, and the opposite of
each statement refused by the lab's endpoint, where the runbook itself goes through.

Source of the reference: policy-sentry's copy of AWS's Service Authorization Reference.
"""

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from policy_sentry.querying.actions import get_action_data
from policy_sentry.querying.all import get_all_actions

from lab.aws.amis import ROOT_DEVICE
from runbook_lib.cloud import instance_role, role_assignment, tiles_bucket
from runbook_lib.cloud.firewall import guide_rules
from runbook_lib.cloud.instances import find_instances, wanted_instances
from runbook_lib.cloud.key_pairs import ensure_key_pair
from runbook_lib.cloud.launch import ensure_instances, launch_request, start
from runbook_lib.cloud.power import cut_off, restore_groups, stop
from runbook_lib.cloud.security_groups import (
    ensure_groups,
    ensure_membership,
    ensure_rules,
    get_default_vpc,
)
from runbook_lib.cloud.tags import expires_in, tag_list, tag_specifications
from runbook_lib.cloud.teardown import find_leftovers, remove_groups, remove_instances
from tests.fakes.lab_endpoint import POLICIES, lab_endpoint
from tests.places import ROOT

ACTIONS = {action.lower() for action in get_all_actions()}
FILES = (*POLICIES, "iam-role-of-the-tiles.json")
MOST_CHARACTERS = 6144  # of a managed policy, without white space
UBUNTU = "ami-0aaaaaaaaaaaa2404"
CLUSTER, OTHER = "geo-diff", "another"
# keys of AWS as a whole, which the reference does not repeat for each service
GLOBAL_KEYS = {"aws:ResourceAccount", "aws:SecureTransport", "ec2:SourceInstanceARN"}
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::999999999999:root"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements() -> list[Any]:
    documents = [(name, json.loads((ROOT / "params" / name).read_text())) for name in FILES]
    return [
        pytest.param(statement, id=f"{name}:{statement['Sid']}")
        for name, document in documents
        for statement in document["Statement"]
    ]


@pytest.mark.parametrize("name", FILES)
def test_a_policy_fits_into_what_aws_takes(name):
    text = (ROOT / "params" / name).read_text()
    sids = [statement["Sid"] for statement in json.loads(text)["Statement"]]

    assert MOST_CHARACTERS >= len(re.sub(r"\s", "", text))
    assert len(sids) == len(set(sids))


@pytest.mark.parametrize("statement", statements())
def test_actions_resources_and_condition_keys_are_those_of_the_reference(statement):
    """A key that AWS does not give for an action never holds, or is never looked at."""
    keys = {key for operator in statement.get("Condition", {}).values() for key in operator}
    for action in listed(statement["Action"]):
        service, name = action.split(":")
        if name == "*":  # a deny of everything
            continue
        assert action.lower() in ACTIONS
        kinds = get_action_data(service, name)[service]
        arns = [kind["resource_arn_format"] for kind in kinds]
        everything = listed(statement["Resource"]) == ["*"]
        ours = [kind for kind in kinds if fits(kind["resource_arn_format"], statement)]
        assert ours or (everything and "*" in arns), action
        in_general = [kind for kind in kinds if kind["resource_arn_format"] == "*"]
        offered = {key for kind in [*ours, *in_general] for key in kind["condition_keys"]}
        for key in keys - GLOBAL_KEYS:
            assert any(same_key(key, one) for one in offered), (action, key)


def fits(arn_format: str, statement: Any) -> bool:
    """Whether a statement's resource is of this kind, as `:instance/*` of `:instance/${Id}`."""
    kind = kind_of(arn_format)
    return kind is not None and kind in {kind_of(arn) for arn in listed(statement["Resource"])}


def kind_of(arn: str) -> str | None:
    if arn == "*":
        return None
    _, _, service, _, _, name = re.sub(r"\$\{[^}]*\}", "", arn).split(":", 5)
    if service == "s3":
        return "object" if "/" in name else "bucket"
    return name.partition("/")[0]


def same_key(used: str, offered: str) -> bool:
    pattern = re.escape(offered).replace(re.escape("${TagKey}"), ".+")
    return re.fullmatch(pattern, used, re.IGNORECASE) is not None


# ---- the lab's endpoint


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    with lab_endpoint(tmp_path_factory.mktemp("lab")) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def there(endpoint, tmp_path_factory):
    """What 01, 02 and 31 make, by the operator; and what others have, by an administrator."""
    ec2, boss = endpoint.operator("ec2"), endpoint.administrator("ec2")
    key_file = str(tmp_path_factory.mktemp("keys") / "key.pem")
    ensure_key_pair(ec2, CLUSTER, key_file)
    ensure_instances(
        ec2,
        CLUSTER,
        wanted_instances(1, 8, 8),
        instance_type="t2.micro",
        image_id=UBUNTU,
        root_device=ROOT_DEVICE,
        key_name=CLUSTER,
    )
    vpc = get_default_vpc(ec2)
    ensure_groups(ec2, CLUSTER, vpc)
    ensure_rules(ec2, CLUSTER, guide_rules("198.51.100.7/32"))
    ensure_membership(ec2, CLUSTER, find_instances(ec2, CLUSTER))
    bucket = tiles_bucket.bucket_of(endpoint.operator("sts"), CLUSTER, "us-east-1")
    tiles_bucket.ensure_bucket(endpoint.operator("s3"), bucket)
    _, role = instance_role.ensure_role(endpoint.operator("iam"), bucket)
    manager = find_instances(ec2, CLUSTER)[0]
    role_assignment.ensure_assigned(ec2, role, manager)

    foreign_vpc = boss.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = boss.create_subnet(VpcId=foreign_vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    group = boss.create_security_group(GroupName="db", Description="db", VpcId=foreign_vpc)
    tags = tag_specifications(tag_list(OTHER, "manager"), "instance", "volume")
    other = boss.run_instances(
        ImageId=UBUNTU, InstanceType="t2.micro", MinCount=1, MaxCount=1, TagSpecifications=tags
    )["Instances"][0]["InstanceId"]
    boss.create_key_pair(KeyName="theirs")
    theirs = endpoint.administrator("iam")
    theirs.create_role(RoleName="theirs", AssumeRolePolicyDocument=TRUST)
    theirs.create_instance_profile(InstanceProfileName="theirs")
    theirs.add_role_to_instance_profile(InstanceProfileName="theirs", RoleName="theirs")
    image = boss.create_image(InstanceId=other, Name="mine")["ImageId"]
    other_group = boss.create_security_group(
        GroupName="another-worker",
        Description="theirs",
        TagSpecifications=tag_specifications(tag_list(OTHER, "worker"), "security-group"),
    )["GroupId"]
    return SimpleNamespace(
        ec2=ec2,
        iam=endpoint.operator("iam"),
        s3=endpoint.operator("s3"),
        bucket=bucket,
        vpc=foreign_vpc,
        subnet=subnet,
        group=group["GroupId"],
        other=other,
        other_group=other_group,
        image=image,
        mine=manager.instance_id,
        address=manager.private_ip,
    )


def test_the_runbook_goes_through_with_the_rights_that_it_has(there):
    """01, 02 and 31 did; then stop, start, cut off and restore."""
    ec2 = there.ec2
    assert ["manager", "worker-1", "admin-web"] == [i.role for i in find_instances(ec2, CLUSTER)]
    for act in (stop, start, cut_off):
        assert act(ec2, CLUSTER, "worker-1")
    assert restore_groups(ec2, CLUSTER)
    ec2.get_console_output(InstanceId=there.mine)


def test_an_instance_that_has_grown_is_not_started(endpoint, there):
    """Whoever made it large: a stopped one may be given another type."""
    boss = endpoint.administrator("ec2")
    stop(there.ec2, CLUSTER, "worker-1")
    (worker,) = [i.instance_id for i in find_instances(boss, CLUSTER) if i.role == "worker-1"]
    boss.modify_instance_attribute(InstanceId=worker, InstanceType={"Value": "t2.2xlarge"})
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        there.ec2.start_instances(InstanceIds=[worker])
    boss.modify_instance_attribute(InstanceId=worker, InstanceType={"Value": "t2.micro"})
    start(there.ec2, CLUSTER, "worker-1")


def launch(there, **changes):
    """The launch of 01, with one thing changed: a path of keys, as `BlockDeviceMappings.0.Ebs`."""
    one = wanted_instances(1, 8, 8)[1]
    request = launch_request(CLUSTER, one, "t2.micro", UBUNTU, ROOT_DEVICE, expires_in(1))
    request["KeyName"] = CLUSTER
    there.ec2.run_instances(**request | changes, DryRun=True)


def disk(**changes):
    ebs = {"VolumeSize": 8, "VolumeType": "gp3", "Encrypted": True, "DeleteOnTermination": True}
    return [{"DeviceName": ROOT_DEVICE, "Ebs": ebs | changes}]


def profile_of(there):
    return f"arn:aws:iam::{there.bucket.account}:instance-profile/theirs"


def second_disk(**changes):
    return [disk(**changes)[0] | {"DeviceName": "/dev/sdf"}]


def tagged(cluster, *kinds, **more):
    return tag_specifications(tag_list(cluster, "worker-1", **more), *kinds)


def without_end(*kinds):
    tags = [tag for tag in tag_list(CLUSTER, "worker-1") if tag["Key"] != "runbook:expires"]
    return tag_specifications(tags, *kinds)


GROUP = {"GroupName": "x", "Description": "x"}
KINDS = ("instance", "volume")
OPPOSITES = {
    "LaunchOnlySmallOnesOfOurCluster": [
        lambda t: launch(t, InstanceType="t2.2xlarge"),
        lambda t: launch(t, InstanceType="p4d.24xlarge"),
        lambda t: launch(t, TagSpecifications=tagged(OTHER, *KINDS)),
        lambda t: launch(t, TagSpecifications=tagged("*", *KINDS)),
        lambda t: launch(t, TagSpecifications=without_end(*KINDS)),
        lambda t: launch(t, TagSpecifications=[]),
        lambda t: launch(t, MetadataOptions={"HttpTokens": "optional"}),
        lambda t: launch(
            t, MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 2}
        ),
        lambda t: launch(t, Placement={"Tenancy": "dedicated"}),
    ],
    "WithEncryptedDisks": [
        lambda t: launch(t, BlockDeviceMappings=disk(Encrypted=False)),
        lambda t: launch(t, BlockDeviceMappings=[]),
        lambda t: launch(t, BlockDeviceMappings=disk(VolumeSize=1001)),
        lambda t: launch(t, BlockDeviceMappings=disk(VolumeType="io2", Iops=64000)),
        lambda t: launch(t, TagSpecifications=tagged(CLUSTER, "instance")),
        # another disk beside a good one, and a good one beside the image's own
        lambda t: launch(t, BlockDeviceMappings=[*disk(), *second_disk(Encrypted=False)]),
        lambda t: launch(t, BlockDeviceMappings=[*disk(), *second_disk(VolumeSize=16_000)]),
        lambda t: launch(t, BlockDeviceMappings=second_disk()),
    ],
    "FromCanonicalsImages": [lambda t: launch(t, ImageId=t.image)],
    "WithOurKey": [lambda t: launch(t, KeyName="theirs")],
    "InOneNetwork": [
        lambda t: launch(t, SubnetId=t.subnet, SecurityGroupIds=[t.group]),
        lambda t: launch(t, SecurityGroupIds=[t.group]),
    ],
    "MakeOnlyWhatIsOursAndEnds": [
        lambda t: t.ec2.create_security_group(**GROUP),
        lambda t: t.ec2.create_security_group(
            **GROUP, TagSpecifications=tagged(OTHER, "security-group")
        ),
        lambda t: t.ec2.create_security_group(
            **GROUP, TagSpecifications=without_end("security-group")
        ),
        lambda t: t.ec2.import_key_pair(KeyName="x", PublicKeyMaterial=b"ssh-ed25519 AAAA"),
        lambda t: t.ec2.create_key_pair(KeyName="x", TagSpecifications=tagged(CLUSTER, "key-pair")),
    ],
    "GroupsInOneNetwork": [
        lambda t: t.ec2.create_security_group(
            **GROUP, VpcId=t.vpc, TagSpecifications=tagged(CLUSTER, "security-group")
        )
    ],
    "TagWhileMaking": [
        lambda t: launch(t, TagSpecifications=tagged(CLUSTER, *KINDS, billing="others")),
        lambda t: t.ec2.create_tags(
            Resources=[t.other], Tags=[{"Key": "runbook:cluster", "Value": CLUSTER}]
        ),
    ],
    "KeepOursLonger": [
        lambda t: t.ec2.create_tags(
            Resources=[t.other], Tags=[{"Key": "runbook:expires", "Value": "2000"}]
        ),
        lambda t: t.ec2.create_tags(
            Resources=[t.mine], Tags=[{"Key": "runbook:cluster", "Value": OTHER}]
        ),
        lambda t: t.ec2.delete_tags(Resources=[t.mine], Tags=[{"Key": "runbook:expires"}]),
    ],
    "ChangeOnlyOurs": [
        lambda t: t.ec2.terminate_instances(InstanceIds=[t.other]),
        lambda t: t.ec2.terminate_instances(InstanceIds=[t.mine, t.other]),
        lambda t: t.ec2.stop_instances(InstanceIds=[t.other]),
        lambda t: t.ec2.reboot_instances(InstanceIds=[t.other]),
        lambda t: t.ec2.get_console_output(InstanceId=t.other),
        lambda t: t.ec2.delete_key_pair(KeyName="theirs"),
        lambda t: t.ec2.delete_security_group(GroupId=t.other_group),
        lambda t: t.ec2.authorize_security_group_ingress(
            GroupId=t.other_group, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0"
        ),
    ],
    "StartOnlySmallOnes": [
        lambda t: t.ec2.start_instances(InstanceIds=[t.other]),
    ],
    "ChangeOnlyTheGroupsOfOurs": [
        lambda t: t.ec2.modify_instance_attribute(
            InstanceId=t.mine, InstanceType={"Value": "t2.2xlarge"}
        ),
        lambda t: t.ec2.modify_instance_attribute(
            InstanceId=t.mine, Attribute="instanceType", Value="t2.2xlarge"
        ),
        lambda t: t.ec2.modify_instance_attribute(InstanceId=t.mine, UserData={"Value": b"#!"}),
        lambda t: t.ec2.modify_instance_attribute(
            InstanceId=t.mine, DisableApiTermination={"Value": True}
        ),
        lambda t: t.ec2.modify_instance_attribute(InstanceId=t.other, Groups=[t.other_group]),
        lambda t: t.ec2.modify_instance_metadata_options(InstanceId=t.mine, HttpTokens="optional"),
    ],
    "IntoGroupsOfOneNetwork": [
        lambda t: t.ec2.modify_instance_attribute(InstanceId=t.mine, Groups=[t.group])
    ],
    "LookForTheBucketAndItsRole": [
        lambda t: t.s3.list_objects_v2(Bucket="theirs"),
        lambda t: t.iam.get_role(RoleName="theirs"),
        lambda t: t.iam.get_role(RoleName="runbook-tiles-geo-diff-two-0123456789ab"),
    ],
    "ABucketForTheTiles": [
        lambda t: t.s3.create_bucket(Bucket="anything"),
        lambda t: t.s3.delete_bucket(Bucket="runbook-tiles-another-0123456789ab"),
        lambda t: t.s3.put_bucket_policy(Bucket=t.bucket.name, Policy=TRUST),
        lambda t: t.s3.put_bucket_acl(Bucket=t.bucket.name, ACL="public-read"),
    ],
    "WhichIsEmptiedAndNeverRead": [
        lambda t: t.s3.get_object(Bucket=t.bucket.name, Key="RAW/a.png"),
        lambda t: t.s3.put_object(Bucket=t.bucket.name, Key="RAW/a.png", Body=b"x"),
        lambda t: t.s3.delete_object(Bucket="theirs", Key="a"),
    ],
    "MakeARoleForThatBucketAlone": [
        lambda t: t.iam.create_role(RoleName="admin", AssumeRolePolicyDocument=TRUST),
        lambda t: t.iam.create_role(
            RoleName=t.bucket.name.replace("geo-diff", "geo-diff-2"), AssumeRolePolicyDocument=TRUST
        ),
        lambda t: t.iam.tag_role(
            RoleName=t.bucket.name,
            Tags=tag_list(
                CLUSTER, "tiles", **{"runbook:bucket": "runbook-tiles-another-0123456789ab"}
            ),
        ),
        lambda t: t.iam.update_assume_role_policy(RoleName=t.bucket.name, PolicyDocument=TRUST),
    ],
    "PutItIntoItsProfileAndRemoveBoth": [
        lambda t: t.iam.delete_role(RoleName="admin"),
        lambda t: t.iam.delete_user(UserName="operator"),
    ],
    "WithThePolicyOfTheAdministrator": [
        lambda t: t.iam.attach_role_policy(
            RoleName=t.bucket.name, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess"
        ),
        lambda t: t.iam.put_role_policy(
            RoleName=t.bucket.name, PolicyName="all", PolicyDocument=TRUST
        ),
        lambda t: t.iam.tag_user(UserName="operator", Tags=tag_list(OTHER, "x")),
        lambda t: t.iam.create_policy_version(
            PolicyArn=f"arn:aws:iam::{t.bucket.account}:policy/runbook-tiles", PolicyDocument=TRUST
        ),
    ],
    "ForInstancesAlone": [
        lambda t: launch(t, IamInstanceProfile={"Name": "theirs"}),
        lambda t: launch(t, IamInstanceProfile={"Arn": profile_of(t)}),
    ],
    "GiveOursThatRole": [
        lambda t: t.ec2.associate_iam_instance_profile(
            InstanceId=t.other, IamInstanceProfile={"Name": t.bucket.name}
        ),
        lambda t: t.ec2.associate_iam_instance_profile(
            InstanceId=t.mine, IamInstanceProfile={"Name": "theirs"}
        ),
        lambda t: t.ec2.associate_iam_instance_profile(
            InstanceId=t.mine, IamInstanceProfile={"Arn": profile_of(t)}
        ),
    ],
    "FindTheNewestUbuntu": [],
    "Look": [],
    "TakeItFromOurs": [],
}


@pytest.mark.parametrize(
    "attempt",
    [
        pytest.param(attempt, id=f"{sid}-{number}")
        for sid, attempts in OPPOSITES.items()
        for number, attempt in enumerate(attempts, 1)
    ],
)
def test_the_opposite_of_a_statement_is_refused(there, attempt):
    with pytest.raises(ClientError) as caught:
        attempt(there)
    code = caught.value.response["Error"]["Code"]
    assert code in ("UnauthorizedOperation", "AccessDenied"), caught.value


def test_every_statement_has_its_opposite_here():
    sids = [
        s["Sid"]
        for n in POLICIES
        for s in json.loads((ROOT / "params" / n).read_text())["Statement"]
    ]
    assert sorted(sids) == sorted(OPPOSITES)


def test_the_launch_itself_is_allowed(there):
    """So that no opposite above is refused for another reason."""
    with pytest.raises(ClientError, match="DryRunOperation"):
        launch(there)


def test_the_role_gives_its_bucket_to_an_instance_and_nothing_to_anybody_else(endpoint, there):
    """Whoever assumes it, because somebody made it trust another account, has no right."""
    name = there.bucket.name
    instance = endpoint.of_role("s3", there.address)
    instance.put_object(Bucket=name, Key="RAW/a.png", Body=b"a tile")
    assert b"a tile" == instance.get_object(Bucket=name, Key="RAW/a.png")["Body"].read()

    boss = endpoint.administrator("iam")
    arn = boss.get_role(RoleName=name)["Role"]["Arn"]
    trusted = TRUST.replace("arn:aws:iam::999999999999:root", "*")
    boss.update_assume_role_policy(RoleName=name, PolicyDocument=trusted)
    sts = endpoint.administrator("sts")
    keys = sts.assume_role(RoleArn=arn, RoleSessionName=there.mine)["Credentials"]
    foreign = endpoint.with_keys("s3", keys)
    with pytest.raises(ClientError, match="AccessDenied"):
        foreign.get_object(Bucket=name, Key="RAW/a.png")
    instance.delete_object(Bucket=name, Key="RAW/a.png")


def test_what_the_operator_made_the_operator_removes(there):
    """90, with the same rights: nothing of the cluster is left, and what others have is."""
    remove_instances(there.ec2, CLUSTER)
    remove_groups(there.ec2, CLUSTER)
    there.ec2.delete_key_pair(KeyName=CLUSTER)
    tiles_bucket.remove_bucket(there.s3, there.bucket)
    instance_role.remove_role(there.iam, there.bucket)

    assert [] == [one for one in find_leftovers(there.ec2, CLUSTER) if "volume" not in one]
    assert not tiles_bucket.exists(there.s3, there.bucket)
    assert "" == instance_role.find_role(there.iam, there.bucket)
    assert [there.other] == [i.instance_id for i in find_instances(there.ec2, OTHER)]
