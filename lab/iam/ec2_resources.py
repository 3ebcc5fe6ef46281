"""
What EC2 knows of existing resources, as the condition keys of policies.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html#amazonec2-policy-keys
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.iam.ec2_permissions import Context


def resource_context(backend: Any, kind: str, name: str) -> Context:  # noqa: ANN401 (moto's EC2Backend)
    """
    The tags and properties of a resource; empty if there is none of that name.
    """
    if kind == "key-pair" and name in backend.key_pairs:
        name = backend.key_pairs[name].id
    context: Context = {}
    for key, value in backend.tags.get(name, {}).items():
        context |= {f"aws:ResourceTag/{key}": value, f"ec2:ResourceTag/{key}": value}
    read = {
        "image": _image,
        "instance": _instance,
        "security-group": _in_vpc,
        "subnet": _in_vpc,
        "vpc": _vpc,
    }.get(kind)
    return context | (read(backend, name) if read else {})


def completed(backend: Any, action: str, form: Mapping[str, str]) -> dict[str, str]:  # noqa: ANN401 (moto's EC2Backend)
    """
    A request with what EC2 adds to it: the default VPC, its subnet and its group, the ids of groups
    that are given by name, and the image's own disk. EC2 checks permissions on these, too.
    """
    made = dict(form)
    if action == "RunInstances":
        if not any("SubnetId" in key or "NetworkInterfaceId" in key for key in form):
            zone = form.get("Placement.AvailabilityZone", f"{backend.region_name}a")
            made["SubnetId"] = getattr(backend.get_default_subnets().get(zone), "id", "")
        for key, name in form.items():
            if key.startswith("SecurityGroup."):
                group = backend.get_security_group_by_name_or_id(name)
                made[key.replace("SecurityGroup", "SecurityGroupId")] = getattr(group, "id", name)
        if not any("SecurityGroupId" in key for key in made):
            made["SecurityGroupId.1"] = backend.get_default_security_group().id
        root = getattr(backend.amis.get(form.get("ImageId", "")), "root_device_name", "")
        mapped = {value for key, value in form.items() if key.endswith(".DeviceName")}
        if root and root not in mapped:
            made["BlockDeviceMapping.0.DeviceName"] = root
    if action == "CreateSecurityGroup":
        made.setdefault("VpcId", backend.default_vpc.id)
    return made


def _image(backend: Any, name: str) -> Context:  # noqa: ANN401 (moto's EC2Backend)
    image = backend.amis.get(name)
    if image is None:
        return {}
    public = str(bool(image.is_public)).lower()
    return {
        "aws:ResourceAccount": str(image.owner_id),
        "ec2:Owner": image.owner_alias or str(image.owner_id),
        "ec2:Public": public,
    }


def _instance(backend: Any, name: str) -> Context:  # noqa: ANN401 (moto's EC2Backend)
    found = [one for one in backend.all_instances() if one.id == name]
    return {"ec2:InstanceType": found[0].instance_type} if found else {}


def _in_vpc(backend: Any, name: str) -> Context:  # noqa: ANN401 (moto's EC2Backend)
    groups = {one.id: one for vpc in backend.groups.values() for one in vpc.values()}
    subnets = {one.id: one for zone in backend.subnets.values() for one in zone.values()}
    found = groups.get(name) or subnets.get(name)
    return {} if found is None else {"ec2:Vpc": _vpc_arn(backend, found.vpc_id)}


def _vpc(backend: Any, name: str) -> Context:  # noqa: ANN401 (moto's EC2Backend)
    return {"ec2:VpcID": name} if name in backend.vpcs else {}


def _vpc_arn(backend: Any, vpc_id: str) -> str:  # noqa: ANN401 (moto's EC2Backend)
    return f"arn:aws:ec2:{backend.region_name}:{backend.account_id}:vpc/{vpc_id}"
