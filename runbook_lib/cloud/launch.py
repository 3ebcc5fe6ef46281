"""
Launch missing instances and start stopped ones.

Source: section "AWS - Console" of the guide.
"""

import hashlib
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from runbook_lib.cloud.capacity import is_shortage, shortage
from runbook_lib.cloud.instances import (
    ALIVE,
    Instance,
    Wanted,
    describe,
    find_instances,
    get_instance,
)
from runbook_lib.cloud.tags import (
    EXPIRES_TAG,
    KEEP_H,
    expires_in,
    expiry_of,
    tag_list,
    tag_specifications,
    tags_of,
)
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import ConflictError, NotFoundError
from runbook_lib.core.parallel import for_each
from runbook_lib.core.wait import Pending, wait_for

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import KeyPairInfoTypeDef


def ensure_instances(
    ec2: "EC2Client",
    cluster: str,
    wanted: list[Wanted],
    *,
    instance_type: str,
    image_id: str,
    root_device: str,
    key_name: str,
    zone: str = "",
) -> Changes:
    """
    Launch missing instances and start stopped ones; never terminate any.

    A launch has tags and a ClientToken, so a run killed between request and response finds its
    instance again and does not pay for a second one.

    Parameters
    ----------
    zone
        The availability zone of what is launched; "" lets EC2 choose one with free capacity.

    Raises NotFoundError if EC2 lacks the key pair; CapacityError, after all others were launched,
    if a quota or a zone has no room; ConflictError if the cluster has an unwanted instance, one of
    another type, or two of a role.
    """
    found = find_instances(ec2, cluster)
    _refuse_unwanted(cluster, found, wanted, instance_type)
    changes = Changes()
    by_role = {i.role: i for i in found}
    gone = [i["InstanceId"] for i in describe(ec2, cluster) if i["State"]["Name"] not in ALIVE]

    short: dict[str, ClientError] = {}

    def launch(one: Wanted) -> None:
        try:
            changes.add("instance", one.role, f"launched {run(one)}")
        except ClientError as error:
            if not is_shortage(error):
                raise
            short[one.role] = error

    def run(one: Wanted) -> str:
        seed = [cluster, one.role, instance_type, image_id, zone, str(one.disk_gib), *sorted(gone)]
        seed.append(pair["KeyPairId"])
        token = hashlib.sha256("|".join(seed).encode()).hexdigest()
        # the key pair's, as a repeated request must equal the first
        end = expiry_of(tags_of(pair))
        is_past = end is None or end < datetime.now(UTC)
        expires = expires_in(KEEP_H) if is_past else tags_of(pair)[EXPIRES_TAG]
        request = launch_request(cluster, one, instance_type, image_id, root_device, expires)
        request["KeyName"] = key_name
        request |= {"Placement": {"AvailabilityZone": zone}} if zone else {}
        made = ec2.run_instances(**request, ClientToken=token)["Instances"][0]
        if made["State"]["Name"] not in ALIVE:
            made = ec2.run_instances(**request, ClientToken=str(uuid.uuid4()))["Instances"][0]
        return str(made["InstanceId"])

    if missing := {w.role: w for w in wanted if w.role not in by_role}:
        pair = _key_pair(ec2, key_name)
        for_each("Instances launched", missing, launch)
    if short:
        raise shortage(ec2, instance_type, zone, short, is_first=len(short) == len(wanted))
    stopped = {i.role: i.role for i in found if i.state in ("stopping", "stopped")}
    started = for_each("Instances started", stopped, lambda role: start(ec2, cluster, role))
    for change in started.values():
        changes.extend(change)
    return changes


def _key_pair(ec2: "EC2Client", key_name: str) -> "KeyPairInfoTypeDef":
    found = ec2.describe_key_pairs(Filters=[{"Name": "key-name", "Values": [key_name]}])["KeyPairs"]
    for pair in found:
        if pair["KeyName"] == key_name:  # the filter expands * and ?
            return pair
    raise NotFoundError(
        f"expected the key pair {key_name!r} in EC2, for the instances to launch; it has none",
        next_step="run 01_instances: it imports the key pair from key_file again",
    )


def start(ec2: "EC2Client", cluster: str, role: str, timeout_s: float = 180) -> Changes:
    """
    Start an instance, and wait until it is running with a public address.
    """
    changes = Changes()

    def probe() -> bool | Pending:
        instance = get_instance(ec2, cluster, role)
        if instance.state == "stopped":
            try:
                ec2.start_instances(InstanceIds=[instance.instance_id])
            except ClientError as error:  # EC2 may still report it as stopping
                if error.response["Error"]["Code"] != "IncorrectInstanceState":
                    raise
            else:
                changes.add("instance", role, "started")
        ready = instance.state == "running" and instance.public_ip
        return bool(ready) or Pending(f"it is {instance.state}")

    wait_for(f"{role} runs", probe, timeout_s=timeout_s)
    return changes


def wait_for_instances(ec2: "EC2Client", cluster: str, wanted: list[Wanted]) -> list[Instance]:
    """
    Wait until every wanted instance runs and both of EC2's status checks are ok.

    EC2 may list a new instance in one response and not in the next.
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

    return wait_for("Instances pass their status checks", probe, timeout_s=600)


def _refuse_unwanted(
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
            f"({', '.join(roles)}); it has others",
            evidence="\n".join(problems),
            next_step="choose another cluster name, match the parameters, or remove them with "
            "90_teardown",
        )


def launch_request(
    cluster: str, one: Wanted, instance_type: str, image_id: str, root_device: str, expires: str
) -> dict[str, Any]:
    """
    Return the parameters of RunInstances, but its key: 00 asks whether they are allowed.
    """
    tags = tag_list(cluster, one.role, **{"Name": f"{cluster}-{one.role}", EXPIRES_TAG: expires})
    disk = {
        "VolumeSize": one.disk_gib,
        "VolumeType": "gp3",
        "Encrypted": True,
        "DeleteOnTermination": True,
    }
    return {
        "ImageId": image_id,
        "InstanceType": instance_type,
        "MinCount": 1,
        "MaxCount": 1,
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
        "BlockDeviceMappings": [{"DeviceName": root_device, "Ebs": disk}],
        "TagSpecifications": tag_specifications(tags, "instance", "volume"),
    }
