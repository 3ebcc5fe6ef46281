"""
The lock on a cluster, in EC2, where operators on different machines see it.

It is a security group without rules or members, named `<cluster>-lock`: of two requests to make it
EC2 refuses one, since a VPC has a name only once. EC2's tags have no compare-and-set, so a tag
alone could be set by two. Its tags say who holds it and since when; `runbook:expires` says until
when, by AWS's clock, and its holder moves that on. An expired lock is taken over by deleting that
very group by its id, and making a new one: of two who try, one gets it.

A window remains. A holder that cannot reach AWS, or was suspended, notices up to a minute after the
time has passed that it has lost the lock; until then two may work. Cells run by hand take no lock:
a kernel stays open for days, and a person who reads a page does not say when the work ends. The
steps themselves bear both: each adopts what another has just made.
"""

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from runbook_lib.cloud.aws import remove_or_gone
from runbook_lib.cloud.holder import has_ended, holder_name, machine_id
from runbook_lib.cloud.security_groups import get_default_vpc
from runbook_lib.cloud.tags import (
    EXPIRES_TAG,
    LOCK,
    ROLE_TAG,
    expiry_of,
    find_tagged,
    tag_list,
    tag_specifications,
    tags_of,
    time_text,
)
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import CapacityError, ConflictError
from runbook_lib.core.wait import Pending, wait_for

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

LIFETIME_S = 300.0
_HOLDER, _SINCE, _MACHINE, _PID, _TOKEN = (
    f"runbook:{name}" for name in ("holder", "since", "machine", "pid", "token")
)


@dataclass(frozen=True)
class Lock:
    """
    The lock as EC2 shows it; `until` is None where somebody has removed its tag.
    """

    group_id: str
    holder: str
    since: str
    until: datetime | None
    machine: str
    pid: str
    token: str


def find_lock(ec2: "EC2Client", cluster: str) -> Lock | None:
    """
    Find the lock of a cluster, also an expired one; None if there is none.
    """
    for raw in find_tagged(ec2, cluster, "describe_security_groups", "SecurityGroups[]"):
        tags = tags_of(raw)
        if tags.get(ROLE_TAG) == LOCK:
            keys = (_HOLDER, _SINCE, _MACHINE, _PID, _TOKEN)
            holder, since, *rest = (tags.get(key, "?") for key in keys)
            return Lock(raw["GroupId"], holder, since, expiry_of(tags), *rest)
    return None


def remove_expired_lock(ec2: "EC2Client", cluster: str) -> Changes:
    """
    Remove the lock that a killed run has left, once its time has passed.
    """
    changes = Changes()
    now, lock = read_lock(ec2, cluster)
    if lock and lock.until and lock.until < now:
        remove_lock(ec2, cluster, lock)
        changes.add("lock", cluster, f"removed, of {lock.holder}")
    return changes


def take_lock(ec2: "EC2Client", cluster: str, *, take_over: bool = False) -> Lock:
    """
    Take the lock of a cluster; one that is expired, or left behind on this machine, is replaced.

    Raises ConflictError if another holds it, unless `take_over`; CapacityError if the account has
    no room for its group.
    """
    token, full_name = secrets.token_hex(8), f"{cluster}-{LOCK}"
    now, other = read_lock(ec2, cluster)
    if other:
        is_over = has_ended(other.machine, other.pid) or (other.until and other.until <= now)
        if not (take_over or is_over):
            raise _refusal(cluster, other, now)
        remove_lock(ec2, cluster, other)
    mine = {
        EXPIRES_TAG: time_text(now + timedelta(seconds=LIFETIME_S)),
        "Name": full_name,
        _HOLDER: holder_name(),
        _SINCE: time_text(now),
        _MACHINE: machine_id(),
        _PID: str(os.getpid()),
        _TOKEN: token,
    }
    try:
        ec2.create_security_group(
            GroupName=full_name,
            Description="Held while a run of the runbook works on this cluster",
            VpcId=get_default_vpc(ec2),
            TagSpecifications=tag_specifications(tag_list(cluster, LOCK, **mine), "security-group"),
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidGroup.Duplicate":
            raise CapacityError(
                f"expected AWS to make the security group {full_name}, the lock; it refuses",
                evidence=str(error),
                next_step=f"make room for it in {ec2.meta.region_name}: delete a group that nobody "
                "needs, or ask AWS for a larger quota; then run this again",
            ) from error

    def probe() -> Lock | Pending:
        return find_lock(ec2, cluster) or Pending("EC2 does not list it")

    lock = wait_for(f"EC2 lists {full_name}", probe, timeout_s=60, poll_s=2)
    if lock.token != token:  # somebody was quicker; ours by a lost answer has our token
        raise _refusal(cluster, lock, now)
    return lock


def _refusal(cluster: str, lock: Lock, now: datetime) -> ConflictError:
    until = f"{lock.until:%Y-%m-%d %H:%M:%S} UTC" if lock.until else "no time that can be read"
    left = f", in {(lock.until - now).total_seconds():.0f} s" if lock.until else ""
    return ConflictError(
        f"expected nobody else to work on the cluster {cluster!r}; {lock.holder} does",
        evidence=f"since {lock.since}, until {until}{left}, unless it is renewed ({lock.group_id})",
        next_step="wait until that run ends; that of a killed one ends by itself at this time, and "
        " runbook run --take-over  takes it at once, and stops a run that still goes on",
    )


def remove_lock(ec2: "EC2Client", cluster: str, lock: Lock) -> None:
    """
    Remove this lock; that of a later holder stays.
    """

    def find() -> bool:
        seen = find_lock(ec2, cluster)
        return seen is not None and seen.group_id == lock.group_id

    remove_or_gone(lambda: ec2.delete_security_group(GroupId=lock.group_id), find)


def read_lock(ec2: "EC2Client", cluster: str) -> tuple[datetime, Lock | None]:
    """
    Return the time by AWS's clock, and the lock: two operators' clocks may differ by more than a
    lock lasts.
    """
    answers: list[Any] = []

    def note(parsed: Any, **_: object) -> None:  # noqa: ANN401 - as botocore parsed it
        answers.append(parsed["ResponseMetadata"]["HTTPHeaders"].get("date", ""))

    event = "after-call.ec2.DescribeSecurityGroups"
    ec2.meta.events.register(event, note)
    try:
        lock = find_lock(ec2, cluster)
    finally:
        ec2.meta.events.unregister(event, note)
    with suppress(TypeError, ValueError, IndexError):
        return parsedate_to_datetime(answers[-1]).astimezone(UTC), lock
    return datetime.now(UTC), lock
