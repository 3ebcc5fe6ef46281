"""
The room that AWS has for instances: the account's quota, and what to do when a launch finds none.

Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from runbook_lib.core.errors import CapacityError, ParameterError, RunbookError

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_service_quotas import ServiceQuotasClient

STANDARD_VCPUS = "L-1216C47A"
"""The quota "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", in vCPUs."""

_QUOTAS = ("VcpuLimitExceeded", "InstanceLimitExceeded", "VolumeLimitExceeded")
_ZONES = ("InsufficientInstanceCapacity", "InsufficientHostCapacity", "Unsupported")
_LIKE = {"t2.micro": "t3.micro", "t3.micro": "t2.micro", "t2.small": "t3.small"}
"""Types of another generation with the same memory."""
SHORTAGES = (*_QUOTAS, *_ZONES)
"""The codes of EC2's errors for a quota or a zone's capacity that is reached."""


def vcpus(ec2: "EC2Client", instance_type: str) -> int:
    """
    Return the vCPUs of an instance type.

    Raises ParameterError if EC2 has no such type.
    """
    try:
        types = ec2.describe_instance_types(InstanceTypes=[instance_type])["InstanceTypes"]  # type: ignore[list-item]  # a literal of hundreds
        return types[0]["VCpuInfo"]["DefaultVCpus"]
    except (ClientError, IndexError) as error:
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
        if code not in ("", "InvalidInstanceType", "InvalidParameterValue"):
            raise
        raise ParameterError(
            f"expected an instance type of EC2, saw {instance_type!r}",
            next_step="correct instance_type; the guide's is t2.micro",
        ) from error


def quota_vcpus(quotas: "ServiceQuotasClient") -> int:
    """
    Return the account's vCPU quota for standard instances in the region.
    """
    answer = quotas.get_service_quota(ServiceCode="ec2", QuotaCode=STANDARD_VCPUS)
    return int(answer["Quota"]["Value"])


def check_zone(ec2: "EC2Client", instance_type: str, zone: str) -> None:
    """
    Check that a zone has this instance type; "" is any zone.

    Raises ParameterError with the zones that have it.
    """
    if zone and zone not in (zones := _offered(ec2, instance_type)):
        raise ParameterError(
            f"expected a zone of {ec2.meta.region_name} that offers {instance_type}, saw {zone!r}",
            evidence=f"offered in: {', '.join(zones) or 'no zone'}",
            next_step='set zone to one of these, or to "": EC2 then chooses',
        )


def is_shortage(error: ClientError) -> bool:
    """
    Check whether an error of EC2 means that an account's quota or a zone's capacity is reached.
    """
    return error.response["Error"]["Code"] in SHORTAGES


def shortage(
    ec2: "EC2Client",
    instance_type: str,
    zone: str,
    refused: Mapping[str, ClientError],
    *,
    is_first: bool,
) -> CapacityError:
    """
    Return the error for launches that were refused for one of these reasons, by role.

    Parameters
    ----------
    is_first
        Whether the cluster has no instance yet; later ones must be of the same type.
    """
    error = next(iter(refused.values()))
    code, roles = error.response["Error"]["Code"], ", ".join(sorted(refused))
    region = ec2.meta.region_name
    if code in _QUOTAS:
        what, ways = f"the account's quota in {region} is reached", [_ask_for_more(region)]
        if (cores := vcpus(ec2, instance_type)) > 1:
            what += f", and each {instance_type} takes {cores} vCPUs"
    else:
        what = f"{zone or region} has no room for it"
        others: list[str] = []
        with suppress(ClientError, RunbookError):  # the shortage is what must be told
            others = [z for z in _offered(ec2, instance_type) if z != zone]
        ways = [f"-p zone={others[0]}, then {', '.join(others[1:])}"] if others else []
        ways += [f"-p instance_type={_LIKE[instance_type]}"] * (is_first and instance_type in _LIKE)
    return CapacityError(
        f"expected EC2 to launch {instance_type} for {roles}; {what}",
        evidence=f"{code}: {error.response['Error']['Message']}",
        next_step="run this notebook again, which launches only what is missing, with "
        + ", or ".join([*ways, "a lower worker_count"]),
    )


def _ask_for_more(region: str) -> str:
    return (
        "a larger quota (aws service-quotas request-service-quota-increase --service-code ec2 "
        f"--quota-code {STANDARD_VCPUS} --desired-value 32 --region {region})"
    )


def _offered(ec2: "EC2Client", instance_type: str) -> list[str]:
    found = ec2.describe_instance_type_offerings(
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": [instance_type]}],
    )["InstanceTypeOfferings"]
    return sorted(one["Location"] for one in found)
