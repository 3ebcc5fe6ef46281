"""
AWS clients: credentials checked before use, every call counted for the report.
"""

import os
import re
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from runbook_lib.cloud import consistency, refusals, staleness
from runbook_lib.core.activity import ACTIVITY
from runbook_lib.core.credentials import aws_session, lifetime
from runbook_lib.core.errors import AccessError, RunbookError
from runbook_lib.core.wait import Pending, wait_for

if TYPE_CHECKING:
    from mypy_boto3_sts import STSClient

T = TypeVar("T")

_CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 6}, connect_timeout=5, max_pool_connections=20
)


@dataclass(frozen=True)
class Place:
    """
    The location of a cluster, and the credentials to use.

    Parameters
    ----------
    endpoint_url
        An endpoint other than AWS; "" for AWS.
    credentials_file
        A file in the format of `~/.aws/credentials`; "" for boto3's usual search.
    """

    region: str
    endpoint_url: str = ""
    credentials_file: str = ""

    def client(self, service: str, region: str = "") -> Any:  # noqa: ANN401 - boto3 makes its clients at run time; callers name the precise type
        """
        Create a boto3 client whose calls are counted by the IAM action that they need.

        Raises AccessError if no credentials are found.
        """
        session = aws_session(self.credentials_file)
        if lifetime(self.credentials_file, session) is None:
            places = self.credentials_file or "the environment, ~/.aws, the instance role"
            raise AccessError(
                f"expected AWS credentials for {service}, found none",
                evidence=f"looked in {places} (profile {os.environ.get('AWS_PROFILE', 'default')})",
                next_step="run  aws configure , or set AWS_PROFILE; for the lab:  make lab-up",
            )
        made = boto3.Session(botocore_session=session, region_name=region or self.region).client(
            service,  # type: ignore[call-overload]  # the stubs accept only literals
            endpoint_url=self.endpoint_url or None,
            config=_CONFIG,
        )
        made.meta.events.register("before-call.*", _count)
        consistency.watch(made)
        staleness.watch_changes(made)
        refusals.translate_refusals(made, self.credentials_file, self._decode)
        return made

    def _decode(self, encoded: str) -> str:
        answer = self.client("sts").decode_authorization_message(EncodedMessage=encoded)
        return str(answer["DecodedMessage"])


def _count(model: Any, **_: object) -> None:  # noqa: ANN401 - botocore's operation model
    ACTIVITY.calls[f"{model.service_model.signing_name}:{model.name}"] += 1


def whoami(sts: "STSClient") -> str:
    """
    Return the ARN that the credentials belong to.
    """
    return sts.get_caller_identity()["Arn"]


def or_none(ask: Callable[[], T]) -> T | None:
    """
    Send a request; return None if AWS responds that the resource does not exist, for example with
    NoSuchEntity, NoSuchBucketPolicy or InvalidGroup.NotFound.
    """
    try:
        return ask()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code.startswith("NoSuch") or code.endswith(("NotFoundError", ".NotFound")):
            return None
        raise


def make_or_adopt(make: Callable[[], T], find: Callable[[], T | None]) -> T:
    """
    Make something with a name; if it exists by now, return what `find` returns.

    The answer to the request that made it may have been lost, and botocore has then repeated it; or
    another client was quicker.
    """
    try:
        return make()
    except ClientError as error:
        if not re.search("Duplicate|AlreadyExists|AlreadyOwned", error.response["Error"]["Code"]):
            raise
        told = str(error)

    def probe() -> T | Pending:
        found = find()
        return Pending(told) if found is None else found

    return wait_for("AWS lists what it says exists", probe, timeout_s=60, poll_s=2)


def remove_or_gone(remove: Callable[[], object], find: Callable[[], object]) -> None:
    """
    Remove something; an error does not matter if `find` finds nothing any more.

    The answer to the request that removed it may have been lost, or another client was quicker. A
    request for what is gone is answered NotFound, or that a right is missing: what does not exist
    has none of the tags that a policy asks for.
    """
    try:
        remove()
    except (ClientError, RunbookError):
        if find():
            raise


def once_ready(
    what: str,
    act: Callable[[], Any],
    codes: set[str],
    timeout_s: float = 60,
    next_step: str = "",
) -> None:
    """
    Retry an action that depends on something just created or removed; `codes` are AWS's errors
    until the change is visible.
    """

    def probe() -> bool | Pending:
        try:
            act()
        except ClientError as error:
            if error.response["Error"]["Code"] not in codes:
                raise
            return Pending(str(error))
        return True

    wait_for(what, probe, timeout_s=timeout_s, poll_s=2, next_step=next_step)


def operator_cidr(checkip_url: str, given: str = "") -> str:
    """
    Return `given`, or this machine's address as AWS sees it, as a /32.

    Raises AccessError if the address is not given and the service does not respond.
    """
    if given:
        return given
    try:
        # SSH bypasses an HTTP proxy, so this request must, too
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(checkip_url, timeout=10) as response:
            return f"{response.read().decode().strip()}/32"
    except OSError as error:
        raise AccessError(
            f"expected {checkip_url} to tell this machine's public address; it did not",
            evidence=str(error),
            next_step="set operator_cidr in the parameter file, for example 203.0.113.7/32",
        ) from error
