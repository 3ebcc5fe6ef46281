"""
How each AWS service says that it failed: status, code, message.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """
    An error of a service, as its own clients know it.
    """

    status: int
    code: str
    message: str


_MANY = "Request limit exceeded."
_THROTTLED = {
    "ec2": Refusal(503, "RequestLimitExceeded", _MANY),
    "s3": Refusal(503, "SlowDown", "Please reduce your request rate."),
    "iam": Refusal(400, "Throttling", "Rate exceeded"),
    "sts": Refusal(400, "Throttling", "Rate exceeded"),
    "": Refusal(400, "ThrottlingException", "Rate exceeded"),
}
_OLD = "The security token included in the request is expired"
_EXPIRED = {
    "ec2": Refusal(400, "RequestExpired", "Request has expired."),
    "s3": Refusal(400, "ExpiredToken", "The provided token has expired."),
    "iam": Refusal(403, "ExpiredToken", _OLD),
    "sts": Refusal(403, "ExpiredToken", _OLD),
    "": Refusal(400, "ExpiredTokenException", _OLD),
}
_SORRY = "An internal error has occurred. Please try your request again."
_BROKEN = {
    "ec2": (Refusal(500, "InternalError", _SORRY), Refusal(503, "Unavailable", _SORRY)),
    "s3": (Refusal(500, "InternalError", _SORRY), Refusal(503, "ServiceUnavailable", _SORRY)),
    "iam": (Refusal(500, "InternalFailure", _SORRY), Refusal(503, "ServiceUnavailable", _SORRY)),
    "": (Refusal(500, "InternalServerError", _SORRY), Refusal(503, "ServiceUnavailable", _SORRY)),
}


def throttled(service: str) -> Refusal:
    return _THROTTLED.get(service, _THROTTLED[""])


def expired(service: str) -> Refusal:
    return _EXPIRED.get(service, _EXPIRED[""])


def broken(service: str, second: bool) -> Refusal:
    """
    A 500, or a 503.
    """
    return _BROKEN.get(service, _BROKEN[""])[second]


def no_capacity(instance_type: str, zone: str) -> Refusal:
    """
    As EC2 says it; https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html
    """
    return Refusal(
        500,
        "InsufficientInstanceCapacity",
        f"We currently do not have sufficient {instance_type} capacity in the Availability Zone "
        f"you requested ({zone or 'any'}). Our system will be working on provisioning additional "
        "capacity.",
    )


def no_vcpus() -> Refusal:
    return Refusal(
        400,
        "VcpuLimitExceeded",
        "You have requested more vCPU capacity than your current vCPU limit of 5 allows for the "
        "instance bucket that the specified instance type belongs to. Please visit "
        "http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.",
    )


_NOT_FOUND = {
    "InstanceId": ("InvalidInstanceID.NotFound", "The instance ID '{}' does not exist"),
    "GroupId": ("InvalidGroup.NotFound", "The security group '{}' does not exist"),
    "KeyName": ("InvalidKeyPair.NotFound", "The key pair '{}' does not exist"),
    "AssociationId": (
        "InvalidAssociationID.NotFound",
        "The association ID '{}' does not exist",
    ),
    "RoleName": ("NoSuchEntity", "The role with name {} cannot be found."),
    "InstanceProfileName": ("NoSuchEntity", "Instance Profile {} cannot be found."),
    "Bucket": ("NoSuchBucket", "The specified bucket does not exist"),
}


def not_found(kind: str, name: str) -> Refusal:
    """
    The thing that a parameter names is not there: EC2 answers 400, the others 404.
    """
    code, message = _NOT_FOUND[kind]
    return Refusal(400 if "." in code else 404, code, message.format(name))
