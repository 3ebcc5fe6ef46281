"""
Hold the lock of a cluster while working on it: renewed meanwhile, and given back at the end.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from runbook_lib.cloud.aws import Place
from runbook_lib.cloud.lock import LIFETIME_S, Lock, read_lock, remove_lock, take_lock
from runbook_lib.cloud.tags import EXPIRES_TAG, time_text
from runbook_lib.core.errors import RunbookError

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

RENEW_S = 60.0
_TAKING_OVER_S = 3.0  # who takes a lock over removes it first, and then makes its own
_FAILURES = (ClientError, BotoCoreError, RunbookError)


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
    lock = take_lock(ec2, cluster, take_over=take_over)
    ended = threading.Event()
    renewer = threading.Thread(target=_renew, args=(ec2, cluster, lock, stop, ended), daemon=True)
    renewer.start()
    try:
        yield lock
    finally:
        ended.set()
        renewer.join()
        with suppress(*_FAILURES):  # it expires by itself
            remove_lock(ec2, cluster, lock)


def _renew(
    ec2: "EC2Client",
    cluster: str,
    lock: Lock,
    stop: Callable[[str], bool],
    ended: threading.Event,
) -> None:
    lifetime = timedelta(seconds=LIFETIME_S)
    ends = datetime.now(UTC) + lifetime  # by this machine's clock, which may not be AWS's
    while not ended.wait(RENEW_S):
        reason = ""
        try:
            now, seen = read_lock(ec2, cluster)
            if seen is None and not ended.wait(_TAKING_OVER_S):
                now, seen = read_lock(ec2, cluster)
            if seen is None or seen.group_id != lock.group_id:
                reason = f"{seen.holder} has taken it over" if seen else "somebody has removed it"
            else:
                tag: Any = {"Key": EXPIRES_TAG, "Value": time_text(now + lifetime)}
                ec2.create_tags(Resources=[lock.group_id], Tags=[tag])
                ends = datetime.now(UTC) + lifetime
        except _FAILURES as error:
            if datetime.now(UTC) >= ends:
                reason = f"it could not be renewed in time: {error}"
        if reason:
            while not ended.is_set() and not stop(f"the lock of {cluster} is lost: {reason}"):
                ended.wait(0.5)
            return
