"""
What an EC2 request asks to do: the actions, on which resources, under which circumstances.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lab.iam.policy import ContextValue

# Parameters that name a resource, with its type; None: the id's prefix tells.
NAMED = {
    "AllocationId": "elastic-ip",
    "GroupId": "security-group",
    "ImageId": "image",
    "InstanceId": "instance",
    "KeyName": "key-pair",
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
# Actions that make resources, with the types that are judged before they have an id.
MADE = {
    "AllocateAddress": ("elastic-ip",),
    "CreateSecurityGroup": ("security-group",),
    "CreateVolume": ("volume",),
    "RunInstances": ("instance", "volume", "network-interface"),
}
KEY_PAIR_MAKERS = ("CreateKeyPair", "ImportKeyPair")
TAG = re.compile(r"TagSpecification\.(\d+)\.Tag\.(\d+)\.Key")
PLAIN_TAG = re.compile(r"Tag\.(\d+)\.Key")
ROOT_DISK = "BlockDeviceMapping.1.Ebs."

Context = dict[str, ContextValue]


@dataclass(frozen=True)
class Ask:
    """
    One thing that must be allowed: an action on a resource in a context.
    """

    action: str
    resource: str
    context: Context = field(default_factory=dict)


def ec2_asks(
    action: str,
    form: Mapping[str, str],
    *,
    region: str,
    account: str,
    tags_of: Callable[[str, str], Mapping[str, str]],
) -> list[Ask]:
    """
    List all that a request asks for; it is allowed when every one of them is.

    `action` is without "ec2:". `form` is the request's flat parameters. `tags_of(type, id)` gives
    the tags of what exists.
    """
    everywhere: Context = {"aws:RequestedRegion": region, "ec2:Region": region}
    if action.startswith("Describe"):  # these know no resources
        return [Ask(f"ec2:{action}", "*", everywhere)]

    def arn(kind: str, name: str) -> str:
        owner = "" if kind == "image" else account  # images are public
        return f"arn:aws:ec2:{region}:{owner}:{kind}/{name}"

    new_tags = _tags_on_create(form)
    asks = []

    def ask(kind: str, name: str, context: Context) -> None:
        asks.append(Ask(f"ec2:{action}", arn(kind, name), everywhere | context))

    plain = _request_tags(
        {form[k]: form.get(k[:-3] + "Value", "") for k in form if PLAIN_TAG.fullmatch(k)}
    )
    for parameter, value in form.items():
        base = re.sub(r"^NetworkInterface\.\d+\.|\.\d+$", "", parameter)
        if base not in NAMED or (base == "KeyName" and action in KEY_PAIR_MAKERS):
            continue
        kind = NAMED[base] or PREFIXES.get(value.partition("-")[0], "*")
        existing: Context = {}
        for key, tag in tags_of(kind, value).items():
            existing |= {f"aws:ResourceTag/{key}": tag, f"ec2:ResourceTag/{key}": tag}
        ask(kind, value, existing | plain)
    for kind in MADE.get(action, ()):
        ask(kind, "*", _request_tags(new_tags.get(kind, {})) | _shape(action, kind, form))
    if action in KEY_PAIR_MAKERS:
        ask("key-pair", form.get("KeyName", ""), _request_tags(new_tags.get("key-pair", {})))
    if not asks:
        asks.append(Ask(f"ec2:{action}", "*", everywhere))
    for kind, tags in new_tags.items():  # tags on create are an act of their own
        context = everywhere | _request_tags(tags) | {"ec2:CreateAction": action}
        asks.append(Ask("ec2:CreateTags", arn(kind, "*"), context))
    return asks


def _tags_on_create(form: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """
    TagSpecification.N of a request: type of resource, then key and value.
    """
    found: dict[str, dict[str, str]] = {}
    for parameter, key in form.items():
        if match := TAG.fullmatch(parameter):
            kind = form[f"TagSpecification.{match[1]}.ResourceType"]
            value = form.get(f"TagSpecification.{match[1]}.Tag.{match[2]}.Value", "")
            found.setdefault(kind, {})[key] = value
    return found


def _request_tags(tags: Mapping[str, str]) -> Context:
    if not tags:
        return {}
    context: Context = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
    return context | {"aws:TagKeys": list(tags)}


def _shape(action: str, kind: str, form: Mapping[str, str]) -> Context:
    if (action, kind) == ("RunInstances", "instance"):
        return {
            "ec2:InstanceType": form.get("InstanceType", "m1.small"),
            "ec2:MetadataHttpTokens": form.get("MetadataOptions.HttpTokens", "optional"),
        }
    if kind == "volume":
        disk = ROOT_DISK if action == "RunInstances" else ""
        size = "VolumeSize" if disk else "Size"
        return {
            "ec2:Encrypted": form.get(f"{disk}Encrypted", "false"),
            "ec2:VolumeSize": form.get(f"{disk}{size}", "8"),
            "ec2:VolumeType": form.get(f"{disk}VolumeType", "gp2"),
        }
    return {}
