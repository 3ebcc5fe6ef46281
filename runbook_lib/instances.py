"""
EC2 instances of a cluster: found by tag, launched where missing, never launched twice.

Source: section "AWS - Console" of the guide.
"""

import hashlib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
from botocore.exceptions import ClientError

from runbook_lib.changes import Changes
from runbook_lib.errors import ConflictError, NotFoundError, ParameterError
from runbook_lib.parallel import for_each
from runbook_lib.wait import Pending, wait_for

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeDef
    from mypy_boto3_ssm import SSMClient

CLUSTER_TAG = "runbook:cluster"
ROLE_TAG = "runbook:role"
_ALIVE = ("pending", "running", "stopping", "stopped")


@dataclass(frozen=True)
class Wanted:
    """
    One instance as it should be.
    """

    role: str
    disk_gib: int


@dataclass(frozen=True)
class Instance:
    """
    One instance as EC2 describes it; `role` is the tag that we gave it.
    """

    role: str
    instance_id: str
    state: str
    instance_type: str
    private_ip: str
    public_ip: str
    group_ids: tuple[str, ...]


def wanted_instances(worker_count: int, manager_disk_gib: int, disk_gib: int) -> list[Wanted]:
    """
    The guide's six: a manager with the large disk, the workers, and admin-web.
    """
    workers = [Wanted(f"worker-{n}", disk_gib) for n in range(1, worker_count + 1)]
    return [Wanted("manager", manager_disk_gib), *workers, Wanted("admin-web", disk_gib)]


def find_instances(ec2: "EC2Client", cluster: str) -> list[Instance]:
    """
    All instances of the cluster that are not terminated, in the order of their roles.
    """
    return sorted(
        (_instance(i) for i in _describe(ec2, cluster) if i["State"]["Name"] in _ALIVE), key=_order
    )


def get_instances(ec2: "EC2Client", cluster: str) -> dict[str, Instance]:
    """
    The running instances by role.

    Raises
    ------
    NotFoundError
        Where the cluster has no instance, or one that does not run.
    """
    found = find_instances(ec2, cluster)
    stopped = [f"{i.role} is {i.state}" for i in found if i.state != "running"]
    if not found or stopped:
        raise NotFoundError(
            f"expected running instances of cluster {cluster!r}, found {len(found)}",
            evidence="\n".join(stopped),
            next_step="run 01_instances",
        )
    return {i.role: i for i in found}


def find_running(ec2: "EC2Client", cluster: str) -> list[Instance]:
    """
    The instances of the cluster, maybe none; for an undo that has to reach every one of them.

    Raises
    ------
    NotFoundError
        Where one exists but does not run: nothing could be undone on it.
    """
    found = find_instances(ec2, cluster)
    stopped = [f"{i.role} is {i.state}" for i in found if i.state != "running"]
    if stopped:
        raise NotFoundError(
            f"expected every instance of cluster {cluster!r} to run",
            evidence="\n".join(stopped),
            next_step="start it with 01_instances, or terminate all with 91_remove_instances",
        )
    return found


def get_image(ec2: "EC2Client", ssm: "SSMClient", ubuntu_release: str) -> tuple[str, str]:
    """
    The newest Ubuntu image of a release, as Canonical publishes it: its id and root device.

    Source: https://documentation.ubuntu.com/aws/aws-how-to/instances/find-ubuntu-images/
    """
    disk = "ebs-gp3" if ubuntu_release >= "24.04" else "ebs-gp2"
    name = (
        f"/aws/service/canonical/ubuntu/server/{ubuntu_release}/stable/current/amd64/hvm/"
        f"{disk}/ami-id"
    )
    try:
        image_id = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    except ssm.exceptions.ParameterNotFound as error:
        raise ParameterError(
            f"expected an Ubuntu release that Canonical publishes, saw {ubuntu_release!r}",
            evidence=f"SSM has no parameter {name}",
            next_step="set ubuntu_release to 24.04, 22.04 or 20.04",
        ) from error
    image = ec2.describe_images(ImageIds=[image_id])["Images"][0]
    return image_id, image["RootDeviceName"]


def ensure_instances(
    ec2: "EC2Client",
    cluster: str,
    wanted: list[Wanted],
    *,
    instance_type: str,
    image_id: str,
    root_device: str,
    key_name: str,
) -> Changes:
    """
    Launch what is missing and start what is stopped; nothing is ever terminated here.

    A launch carries its tags and a ClientToken: a run that was killed between the request and
    the answer finds its instance again instead of paying for a second one.

    Raises
    ------
    ConflictError
        Where the cluster holds instances that are not wanted, of another type, or two of a role.
    """
    found = find_instances(ec2, cluster)
    _refuse_strangers(cluster, found, wanted, instance_type)
    changes = Changes()
    by_role = {i.role: i for i in found}
    gone = [i["InstanceId"] for i in _describe(ec2, cluster) if i["State"]["Name"] not in _ALIVE]

    def launch(one: Wanted) -> str:
        seed = [cluster, one.role, instance_type, image_id, str(one.disk_gib), *sorted(gone)]
        seed.append(_key_pair_id(ec2, key_name))
        token = hashlib.sha256("|".join(seed).encode()).hexdigest()
        request = _launch_request(cluster, one, instance_type, image_id, root_device, key_name)
        made = ec2.run_instances(**request, ClientToken=token)["Instances"][0]
        if made["State"]["Name"] not in _ALIVE:
            made = ec2.run_instances(**request, ClientToken=str(uuid.uuid4()))["Instances"][0]
        changes.add("instance", one.role, f"launched {made['InstanceId']}")
        return made["InstanceId"]

    for_each("Instances launched", {w.role: w for w in wanted if w.role not in by_role}, launch)
    for instance in found:
        if instance.state in ("stopping", "stopped"):
            _start(ec2, instance)
            changes.add("instance", instance.role, "started")
    return changes


def wait_for_instances(
    ec2: "EC2Client", cluster: str, wanted: list[Wanted], timeout_s: float = 600
) -> list[Instance]:
    """
    Wait until every wanted instance runs and both of EC2's status checks are ok.

    EC2 may show a fresh instance to one request and not yet to the next.
    """

    def probe() -> list[Instance] | Pending:
        found = find_instances(ec2, cluster)
        if len(found) < len(wanted):
            return Pending(f"EC2 shows {len(found)} instances", len(found), len(wanted))
        ids = [i.instance_id for i in found]
        statuses = ec2.describe_instance_status(InstanceIds=ids, IncludeAllInstances=True)
        ok = {
            s["InstanceId"]
            for s in statuses["InstanceStatuses"]
            if s["InstanceStatus"]["Status"] == s["SystemStatus"]["Status"] == "ok"
        }
        missing = [f"{i.role} {i.state}" for i in found if i.instance_id not in ok]
        if missing:
            return Pending(f"waiting for {', '.join(missing)}", len(ok), len(found))
        return found

    return wait_for("Instances pass their status checks", probe, timeout_s=timeout_s)


def remove_instances(ec2: "EC2Client", cluster: str, timeout_s: float = 300) -> Changes:
    """
    Terminate the instances that carry the cluster's tag, and wait until they are gone.
    """
    changes = Changes()
    found = find_instances(ec2, cluster)
    if not found:
        return changes
    ec2.terminate_instances(InstanceIds=[i.instance_id for i in found])
    for instance in found:
        changes.add("instance", instance.role, f"terminated {instance.instance_id}")

    def probe() -> bool | Pending:
        left = [i for i in _describe(ec2, cluster) if i["State"]["Name"] != "terminated"]
        return Pending(f"{len(left)} still shutting down", 0, 0) if left else True

    wait_for("Instances terminated", probe, timeout_s=timeout_s)
    return changes


def find_leftovers(ec2: "EC2Client", cluster: str) -> list[str]:
    """
    Everything in EC2 that still carries the cluster's tag, as "kind id".

    A terminated instance is shown by EC2 for about an hour; it is nothing any more.
    """
    tagged: Any = {"Filters": [{"Name": f"tag:{CLUSTER_TAG}", "Values": [cluster]}]}
    found = [("instance", i.instance_id) for i in find_instances(ec2, cluster)]
    found += [("volume", v["VolumeId"]) for v in ec2.describe_volumes(**tagged)["Volumes"]]
    groups = ec2.describe_security_groups(**tagged)["SecurityGroups"]
    found += [("security group", g["GroupId"]) for g in groups]
    found += [("key pair", k["KeyName"]) for k in ec2.describe_key_pairs(**tagged)["KeyPairs"]]
    return [f"{kind} {name}" for kind, name in found]


def wait_until_nothing_is_left(ec2: "EC2Client", cluster: str, timeout_s: float = 120) -> list[str]:
    """
    Wait until EC2 shows nothing of the cluster any more; disks take seconds after their instance.
    """

    def probe() -> list[str] | Pending:
        left = find_leftovers(ec2, cluster)
        return Pending(", ".join(left)) if left else left

    return wait_for("Nothing is left in EC2", probe, timeout_s=timeout_s, poll_s=1)


def table(instances: list[Instance]) -> pd.DataFrame:
    """
    One row an instance; columns: role, instance_id, state, instance_type, private_ip, public_ip.
    """
    columns = ["role", "instance_id", "state", "instance_type", "private_ip", "public_ip"]
    return pd.DataFrame([[getattr(i, c) for c in columns] for i in instances], columns=columns)


def _describe(ec2: "EC2Client", cluster: str) -> "list[InstanceTypeDef]":
    filters: list[Any] = [{"Name": f"tag:{CLUSTER_TAG}", "Values": [cluster]}]
    pages = ec2.get_paginator("describe_instances").paginate(Filters=filters)
    return [i for page in pages for r in page["Reservations"] for i in r["Instances"]]


def _instance(raw: "InstanceTypeDef") -> Instance:
    tags = {t["Key"]: t["Value"] for t in raw.get("Tags", [])}
    return Instance(
        role=tags.get(ROLE_TAG, "?"),
        instance_id=raw["InstanceId"],
        state=raw["State"]["Name"],
        instance_type=raw["InstanceType"],
        private_ip=raw.get("PrivateIpAddress", ""),
        public_ip=raw.get("PublicIpAddress", ""),
        group_ids=tuple(sorted(g["GroupId"] for g in raw.get("SecurityGroups", []))),
    )


def _order(instance: Instance) -> tuple[int, int, str]:
    kind, _, number = instance.role.partition("-")
    rank = {"manager": 0, "worker": 1}.get(kind, 2)
    return rank, int(number) if number.isdigit() else 0, instance.role


def _refuse_strangers(
    cluster: str, found: list[Instance], wanted: list[Wanted], instance_type: str
) -> None:
    roles = [w.role for w in wanted]
    problems = [f"{i.instance_id}: role {i.role!r}" for i in found if i.role not in roles]
    problems += [
        f"{i.instance_id} ({i.role}) is a {i.instance_type}"
        for i in found
        if i.instance_type != instance_type
    ]
    problems += [
        f"{i.instance_id}: a second {i.role}"
        for n, i in enumerate(found)
        if i.role in [other.role for other in found[:n]]
    ]
    if problems:
        raise ConflictError(
            f"expected cluster {cluster!r} to hold only {len(roles)} {instance_type} "
            f"({', '.join(roles)}); it holds something else",
            evidence="\n".join(problems),
            next_step="choose another cluster name, match the parameters, or remove them with "
            "90_teardown",
        )


def _key_pair_id(ec2: "EC2Client", key_name: str) -> str:
    return ec2.describe_key_pairs(KeyNames=[key_name])["KeyPairs"][0]["KeyPairId"]


def _launch_request(
    cluster: str, one: Wanted, instance_type: str, image_id: str, root_device: str, key_name: str
) -> dict[str, Any]:
    tags = [
        {"Key": "Name", "Value": f"{cluster}-{one.role}"},
        {"Key": CLUSTER_TAG, "Value": cluster},
        {"Key": ROLE_TAG, "Value": one.role},
    ]
    disk = {
        "VolumeSize": one.disk_gib,
        "VolumeType": "gp3",
        "Encrypted": True,
        "DeleteOnTermination": True,
    }
    return {
        "ImageId": image_id,
        "InstanceType": instance_type,
        "KeyName": key_name,
        "MinCount": 1,
        "MaxCount": 1,
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
        "BlockDeviceMappings": [{"DeviceName": root_device, "Ebs": disk}],
        "TagSpecifications": [
            {"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")
        ],
    }


def _start(ec2: "EC2Client", instance: Instance) -> None:
    def probe() -> bool | Pending:
        try:
            ec2.start_instances(InstanceIds=[instance.instance_id])
        except ClientError as error:
            if error.response["Error"]["Code"] != "IncorrectInstanceState":
                raise
            return Pending("it is still stopping")
        return True

    wait_for(f"{instance.role} accepts to start", probe, timeout_s=120, poll_s=1)
