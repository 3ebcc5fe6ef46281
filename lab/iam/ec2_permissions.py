"""
The permissions that an EC2 request needs: actions, on which resources, in which context.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lab.iam.policy import ContextValue

# Parameters that name a resource, with its type; None: the id's prefix has it.
NAMED = {
    "AllocationId": "elastic-ip",
    "GroupId": "security-group",
    "ImageId": "image",
    "InstanceId": "instance",
    "KeyName": "key-pair",
    "KeyPairId": "key-pair",
    "NetworkInterfaceId": "network-interface",
    "ResourceId": None,
    "SecurityGroupId": "security-group",
    "SubnetId": "subnet",
    "VolumeId": "volume",
    "VpcId": "vpc",
}
PREFIXES = {
    "ami": "image",
    "eipalloc": "elastic-ip",
    "eni": "network-interface",
    "i": "instance",
    "key": "key-pair",
    "sg": "security-group",
    "sgr": "security-group-rule",
    "subnet": "subnet",
    "vol": "volume",
    "vpc": "vpc",
}
# Actions that create resources, with the types that are checked before they have an id.
CREATED_BY = {
    "AllocateAddress": ("elastic-ip",),
    "CreateSecurityGroup": ("security-group",),
    "CreateVolume": ("volume",),
    "RunInstances": ("instance", "volume", "network-interface"),
}
KEY_PAIR_ACTIONS = ("CreateKeyPair", "ImportKeyPair")
# Parameters of ModifyInstanceAttribute that are no attribute of the instance.
NO_ATTRIBUTE = ("Action", "Attribute", "DryRun", "InstanceId", "Value", "Version")
TAG = re.compile(r"TagSpecification\.(\d+)\.Tag\.(\d+)\.Key")
PLAIN_TAG = re.compile(r"Tag\.(\d+)\.Key")
DISK = re.compile(r"BlockDeviceMapping\.(\d+)\.")

Context = dict[str, ContextValue]


@dataclass(frozen=True)
class Permission:
    """
    An action on a resource in a context, which the caller needs.
    """

    action: str
    resource: str
    context: Context = field(default_factory=dict)


def ec2_permissions(
    action: str,
    form: Mapping[str, str],
    *,
    region: str,
    account: str,
    known: Callable[[str, str], Context],
) -> list[Permission]:
    """
    List the permissions that a request needs; it is allowed when all of them are.

    `action` is without "ec2:". `form` is the request's flat parameters. `known(type, id)` gives
    what EC2 knows of an existing resource, as condition keys.
    """
    everywhere: Context = {"aws:RequestedRegion": region, "ec2:Region": region}
    if action.startswith("Describe"):  # these take no resources
        return [Permission(f"ec2:{action}", "*", everywhere)]

    def arn(kind: str, name: str) -> str:
        owner = "" if kind == "image" else account  # images are public
        return f"arn:aws:ec2:{region}:{owner}:{kind}/{name}"

    new_tags = _tags_on_create(form)
    needed = []

    def need(kind: str, name: str, context: Context) -> None:
        needed.append(Permission(f"ec2:{action}", arn(kind, name), everywhere | context))

    plain = request_tags(
        {form[k]: form.get(k[:-3] + "Value", "") for k in form if PLAIN_TAG.fullmatch(k)}
    )
    for parameter, value in form.items():
        base = re.sub(r"^NetworkInterface\.\d+\.|\.\d+$", "", parameter)
        if base not in NAMED or (base == "KeyName" and action in KEY_PAIR_ACTIONS):
            continue
        kind = NAMED[base] or PREFIXES.get(value.partition("-")[0], "*")
        need(kind, value, known(kind, value) | plain | _change(action, kind, form))
    for kind in CREATED_BY.get(action, ()):
        tagged = request_tags(new_tags.get(kind, {}))
        for disk in _disks(action, form) if kind == "volume" else [""]:
            need(kind, "*", tagged | _shape(action, kind, form, known, disk))
    if action in KEY_PAIR_ACTIONS:
        need("key-pair", form.get("KeyName", ""), request_tags(new_tags.get("key-pair", {})))
    if not needed:
        needed.append(Permission(f"ec2:{action}", "*", everywhere))
    for kind, tags in new_tags.items():  # tagging on creation is an action of its own
        context = everywhere | request_tags(tags) | {"ec2:CreateAction": action}
        needed.append(Permission("ec2:CreateTags", arn(kind, "*"), context))
    return needed


def _tags_on_create(form: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """
    TagSpecification.N of a request: type of resource, then key and value.
    """
    tags: dict[str, dict[str, str]] = {}
    for parameter, key in form.items():
        if match := TAG.fullmatch(parameter):
            kind = form[f"TagSpecification.{match[1]}.ResourceType"]
            value = form.get(f"TagSpecification.{match[1]}.Tag.{match[2]}.Value", "")
            tags.setdefault(kind, {})[key] = value
    return tags


def request_tags(tags: Mapping[str, str]) -> Context:
    """
    The tags that a request gives, as condition keys.
    """
    if not tags:
        return {}
    context: Context = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
    return context | {"aws:TagKeys": list(tags)}


def _change(action: str, kind: str, form: Mapping[str, str]) -> Context:
    """
    What a request would change about an instance.
    """
    if kind != "instance":
        return {}
    if action == "ModifyInstanceAttribute":
        changed = [name.partition(".")[0] for name in form]
        named = [name for name in changed if name not in NO_ATTRIBUTE]
        return {"ec2:Attribute": form.get("Attribute") or next(iter(named), "")}
    if profile := form.get("IamInstanceProfile.Arn"):
        return {"ec2:NewInstanceProfile": profile}
    return {}


def _disks(action: str, form: Mapping[str, str]) -> list[str]:
    """
    Where a request describes each of its disks: one that nobody describes is a disk too.
    """
    if action != "RunInstances":
        return [""]
    found = dict.fromkeys(match[0] for match in map(DISK.match, form) if match)
    none = [one for one in found if {f"{one}VirtualName", f"{one}NoDevice"} & form.keys()]
    return [f"{one}Ebs." for one in found if one not in none] or ["BlockDeviceMapping.1.Ebs."]


def _shape(
    action: str,
    kind: str,
    form: Mapping[str, str],
    known: Callable[[str, str], Context],
    disk: str,
) -> Context:
    if (action, kind) == ("RunInstances", "instance"):
        spot = form.get("InstanceMarketOptions.MarketType")
        return {
            "ec2:InstanceType": form.get("InstanceType", "m1.small"),
            "ec2:InstanceMarketType": spot or "on-demand",
            "ec2:MetadataHttpPutResponseHopLimit": form.get(
                "MetadataOptions.HttpPutResponseHopLimit", "1"
            ),
            "ec2:MetadataHttpTokens": form.get("MetadataOptions.HttpTokens", "optional"),
            "ec2:Tenancy": form.get("Placement.Tenancy", "default"),
        }
    if (action, kind) == ("RunInstances", "network-interface"):
        subnet = known("subnet", form.get("SubnetId", ""))
        return {key: value for key, value in subnet.items() if key == "ec2:Vpc"}
    if kind == "volume":
        size = "VolumeSize" if disk else "Size"
        return {
            "ec2:Encrypted": form.get(f"{disk}Encrypted", "false"),
            "ec2:VolumeSize": form.get(f"{disk}{size}", "8"),
            "ec2:VolumeType": form.get(f"{disk}VolumeType", "gp2"),
        }
    return {}
