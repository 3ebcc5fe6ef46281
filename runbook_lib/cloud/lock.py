"""
The lock on a cluster, in EC2, where operators on different machines see it.

It is a security group without rules or members, named `<cluster>-lock`: of two requests to make it
EC2 refuses one, since a VPC has a name only once. EC2's tags have no compare-and-set, so a tag
alone could be set by two. Its tags say who holds it and since when; `runbook:expires` says until
when, by AWS's clock, and its holder moves that on. An expired lock is taken over by deleting that
very group by its id, and making a new one: of two who try, one gets it.

A window remains. A holder that cannot reach AWS, or was suspended, notices up to `RENEW_S` seconds
after the time has passed that it has lost the lock; until then two may work. The steps themselves
bear that: each adopts what another has just made.
"""

import getpass
import hashlib
import os
import re
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from runbook_lib.cloud.aws import Place, remove_or_gone
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
)
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import ConflictError, RunbookError
from runbook_lib.core.wait import Pending, wait_for

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

LIFETIME_S, RENEW_S = 300.0, 60.0
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

    @property
    def is_left_behind(self) -> bool:
        """
        Whether a process of this machine held it, and has ended.
        """
        if self.machine != _machine() or not self.pid.isdigit():
            return False
        try:
            os.kill(int(self.pid), 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False


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
    now, lock = _aws_time(ec2, cluster)
    if lock and lock.until and lock.until < now:
        _delete(ec2, cluster, lock)
        changes.add("lock", cluster, f"removed, of {lock.holder}")
    return changes


@contextmanager
def held(
    place: Place, cluster: str, stop: Callable[[str], bool], *, take_over: bool = False
) -> Iterator[Lock]:
    """
    Hold the lock of a cluster, and renew it meanwhile.

    Parameters
    ----------
    stop
        Called with the reason once the lock is lost, until it returns True.
    take_over
        Take the lock even if another holds it; that one's run then stops.

    Raises ConflictError if another holds it.
    """
    ec2 = place.client("ec2")
    lock = _take(ec2, cluster, take_over=take_over)
    ended = threading.Event()
    renewer = threading.Thread(target=_renew, args=(ec2, cluster, lock, stop, ended), daemon=True)
    renewer.start()
    try:
        yield lock
    finally:
        ended.set()
        renewer.join()
        with suppress(ClientError, BotoCoreError, RunbookError):  # it expires by itself
            _delete(ec2, cluster, lock)


def _take(ec2: "EC2Client", cluster: str, *, take_over: bool) -> Lock:
    token, full_name = secrets.token_hex(8), f"{cluster}-{LOCK}"
    now, other = _aws_time(ec2, cluster)
    if other:
        if not (take_over or other.is_left_behind or (other.until and other.until <= now)):
            raise _refusal(cluster, other, now)
        _delete(ec2, cluster, other)
    mine = {
        EXPIRES_TAG: _text(now + timedelta(seconds=LIFETIME_S)),
        "Name": full_name,
        _HOLDER: _me(),
        _SINCE: _text(now),
        _MACHINE: _machine(),
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
            raise

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
        next_step="wait until that run ends; or, if you know that it has ended, repeat the command "
        "with  --take-over , which stops a run that still goes on",
    )


def _renew(
    ec2: "EC2Client",
    cluster: str,
    lock: Lock,
    stop: Callable[[str], bool],
    ended: threading.Event,
) -> None:
    until = lock.until
    while not ended.wait(RENEW_S):
        reason = ""
        try:
            now, seen = _aws_time(ec2, cluster)
            if seen is None or seen.group_id != lock.group_id:
                reason = f"{seen.holder} has taken it over" if seen else "somebody has removed it"
            else:
                until = now + timedelta(seconds=LIFETIME_S)
                tag: Any = {"Key": EXPIRES_TAG, "Value": _text(until)}
                ec2.create_tags(Resources=[lock.group_id], Tags=[tag])
        except (ClientError, BotoCoreError, RunbookError) as error:
            if until is None or datetime.now(UTC) >= until:
                reason = f"it could not be renewed in time: {error}"
        if reason:
            while not ended.is_set() and not stop(f"the lock of {cluster} is lost: {reason}"):
                ended.wait(0.5)
            return


def _delete(ec2: "EC2Client", cluster: str, lock: Lock) -> None:
    def find() -> bool:
        seen = find_lock(ec2, cluster)
        return seen is not None and seen.group_id == lock.group_id

    remove_or_gone(lambda: ec2.delete_security_group(GroupId=lock.group_id), find)


def _aws_time(ec2: "EC2Client", cluster: str) -> tuple[datetime, Lock | None]:
    # two operators' clocks may differ by more than a lock lasts; AWS's answers have one time
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


def _text(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def _me() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's uid may have no name
        user = f"uid {os.getuid()}"
    # what a tag may hold
    return re.sub(r"[^\w .:/=+@-]", "?", f"{user}@{socket.gethostname()} pid {os.getpid()}")[:200]


def _machine() -> str:
    # pids mean something on one machine, in one boot and one container
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
        parts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:12]
