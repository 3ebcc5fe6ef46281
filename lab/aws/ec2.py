"""
moto's EC2 backend, with the behaviour of AWS that it lacks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, cast

import moto.ec2.models
from flask import has_request_context, request
from moto.ec2.exceptions import (
    EC2ClientError,
    InvalidCIDRSubnetError,
    InvalidInstanceTypeError,
)
from moto.ec2.models.amis import Ami
from moto.ec2.utils import is_valid_cidr

from lab.aws.amis import PUBLIC_PARAMETERS, ROOT_DEVICE, image_records
from lab.core.config import DEFAULT_SUBNET

if TYPE_CHECKING:
    from lab.aws.instances import LabInstance
    from lab.machines.hypervisor import Hypervisor

NO_TOKEN = (None, "ABCDE")  # moto's stand-in for a request without ClientToken
RESOLVE = "resolve:ssm:"
PROTOCOLS = ("tcp", "udp", "icmp", "icmpv6", "all", "-1")


def _of_known_protocols(authorize: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(authorize)
    def checked(
        self: LabBackend,
        group_name_or_id: str,
        ip_protocol: str,
        *args: Any,  # noqa: ANN401 (as moto declares it)
        **kwargs: Any,  # noqa: ANN401 (as moto declares it)
    ) -> Any:  # noqa: ANN401 (as moto declares it)
        _check_protocol(ip_protocol)
        return authorize(self, group_name_or_id, ip_protocol, *args, **kwargs)

    return checked


class LabBackend(moto.ec2.models.EC2Backend):
    """
    One region. `hypervisor` is a class attribute, since the instances of this class are pickled.
    """

    __module__ = moto.ec2.models.EC2Backend.__module__  # moto finds the service's URLs by it
    hypervisor: ClassVar[Hypervisor]

    def __init__(self, region_name: str, account_id: str) -> None:
        self.reservations_by_token: dict[str, tuple[str, Any]] = {}
        super().__init__(region_name, account_id)

    def describe_regions(self, region_names: list[str] | None = None) -> list[Any]:
        """
        The one region of a lab: what looks into every region that is enabled finds no others.
        """
        found = super().describe_regions(region_names)
        return [region for region in found if region.name == self.region_name]

    # ---- images and the default VPC

    def _load_amis(self) -> None:
        for record in image_records():
            self.amis[record["ami_id"]] = Ami(self, **record)

    def create_vpc(self, cidr_block: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 (as moto declares it)
        if kwargs.get("is_default") and cidr_block == DEFAULT_SUBNET:
            cidr_block = self.hypervisor.config.subnet
        vpc = super().create_vpc(cidr_block, *args, **kwargs)
        group = self.get_default_security_group(vpc.id)
        assert group is not None, "moto makes a default group with each VPC"
        # AWS's default group lets its members talk to each other; moto's admits no traffic.
        self.authorize_security_group_ingress(
            group.id, "-1", "-1", "-1", [], source_groups=[{"GroupId": group.id}], vpc_id=vpc.id
        )
        return vpc

    # ---- instances

    def run_instances(
        self,
        image_id: str,
        count: int,
        user_data: Any,  # noqa: ANN401 (as moto declares it)
        security_group_names: list[str],
        **kwargs: Any,  # noqa: ANN401 (as moto declares it)
    ) -> Any:  # noqa: ANN401 (as moto declares it)
        form = request.values if has_request_context() else {}
        # moto launches MinCount; AWS launches as many of MaxCount as it can.
        count = int(form.get("MaxCount", count))
        token = kwargs.get("client_token")
        arguments = repr((image_id, count, user_data, security_group_names, sorted(kwargs.items())))
        if token not in NO_TOKEN and token in self.reservations_by_token:
            previous, reservation = self.reservations_by_token[token]
            if previous != arguments:
                raise EC2ClientError(
                    "IdempotentParameterMismatch",
                    f"The client token {token} was used with other parameters before.",
                )
            return reservation
        if image_id and image_id.startswith(RESOLVE):
            name = image_id.removeprefix(RESOLVE)
            if name not in PUBLIC_PARAMETERS:
                raise EC2ClientError("InvalidParameterValue", f"No such parameter: {name}")
            image_id = PUBLIC_PARAMETERS[name]
        for mapping in kwargs.get("block_device_mappings") or []:
            # Without a request, moto keeps the disk; the images say delete.
            if mapping["DeviceName"] == ROOT_DEVICE and not _root_is_kept(form):
                mapping["Ebs"]["DeleteOnTermination"] = True
        try:
            reservation = super().run_instances(
                image_id, count, user_data, security_group_names, **kwargs
            )
        except InvalidInstanceTypeError as exc:
            raise EC2ClientError(
                "InvalidParameterValue",
                f"Invalid value '{kwargs['instance_type']}' for InstanceType.",
            ) from exc
        if token not in NO_TOKEN:
            self.reservations_by_token[str(token)] = (arguments, reservation)
        return reservation

    def modify_instance_security_groups(
        self, instance_id: str, new_group_id_list: list[str]
    ) -> Any:  # noqa: ANN401 (as moto declares it)
        for group_id in new_group_id_list:
            if self.get_security_group_from_id(group_id) is None:
                raise EC2ClientError(
                    "InvalidGroup.NotFound", f"The security group '{group_id}' does not exist"
                )
        instance = super().modify_instance_security_groups(instance_id, new_group_id_list)
        instance.nics[0]._group_set = list(instance.security_groups)  # moto forgets the interface
        return instance

    # ---- security groups

    authorize_security_group_ingress = _of_known_protocols(
        moto.ec2.models.EC2Backend.authorize_security_group_ingress
    )
    authorize_security_group_egress = _of_known_protocols(
        moto.ec2.models.EC2Backend.authorize_security_group_egress
    )

    def modify_security_group_rules(self, group_id: str, rules: dict[str, dict[str, Any]]) -> None:
        for rule in rules.values():
            _check_protocol(str(rule.get("IpProtocol", "-1")))
            if (cidr := rule.get("CidrIpv4")) and not is_valid_cidr(cidr):
                raise InvalidCIDRSubnetError(cidr=cidr)
        super().modify_security_group_rules(group_id, rules)

    def member_addresses(self, group_id: str) -> tuple[str, ...]:
        """
        The private addresses of the instances in a group; stopped ones keep theirs.
        """
        return tuple(str(one.private_ip) for one in self.live_instances() if group_id in one.groups)

    def live_instances(self) -> list[LabInstance]:
        instances = cast("list[LabInstance]", self.all_instances())
        return [one for one in instances if one.state != "terminated"]

    def delete_security_group(self, name: str | None = None, group_id: str | None = None) -> None:
        group = self.get_security_group_by_name_or_id(group_id or name or "")
        if group is not None:
            if group.is_default:
                raise EC2ClientError(
                    "CannotDelete",
                    f'the specified group: "{group.id}" name: "default" '
                    "cannot be deleted by a user",
                )
            if self._dependents(group.id):
                raise EC2ClientError(
                    "DependencyViolation", f"resource {group.id} has a dependent object"
                )
        super().delete_security_group(name, group_id)

    def _dependents(self, group_id: str) -> list[str]:
        """
        The instances in a group, and the other groups whose rules name it.
        """
        instances = [str(one.id) for one in self.live_instances() if group_id in one.groups]
        groups = [
            str(group.id)
            for groups in self.groups.values()
            for group in groups.values()
            if group.id != group_id
            and any(
                rule.source_group.get("GroupId") == group_id
                for rule in (*group.ingress_rules, *group.egress_rules)
            )
        ]
        return instances + groups

    # ---- addresses

    def used_public_addresses(self) -> set[str | None]:
        """
        Those of all interfaces and all Elastic IPs.
        """
        return {card.public_ip for card in self.enis.values()} | {
            address.public_ip for address in self.addresses
        }


def _check_protocol(protocol: str | None) -> None:
    """
    Refuse what AWS refuses; moto takes any text for a protocol.
    """
    text = (protocol or "-1").lower()
    if text not in PROTOCOLS and not (re.fullmatch(r"[0-9]{1,3}", text) and int(text) < 256):
        raise EC2ClientError(
            "InvalidParameterValue", f"Invalid value '{protocol}' for IP protocol. Unknown protocol"
        )


def _root_is_kept(form: Mapping[str, str]) -> bool:
    """
    Whether a request explicitly keeps the root disk after its instance is terminated.
    """
    devices = [key for key, value in form.items() if value == ROOT_DEVICE]
    names = [key.replace("DeviceName", "Ebs.DeleteOnTermination") for key in devices]
    return any(form.get(name) == "false" for name in names)
