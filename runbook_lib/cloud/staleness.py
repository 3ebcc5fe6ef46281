"""
What AWS was just told to change, and may still describe as it was for some seconds.

`consistency` waits for what is made; this, for a rule or a group that is removed and an instance
that has changed its groups. A list that shows the state before is asked for again, by the same hook
of botocore. After the limit it is taken for true: somebody else may have changed it back.

Source: https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
"""

import threading
import time
from collections import defaultdict
from typing import Any

from runbook_lib.cloud.consistency import LIMIT_S, PARAMS, delay_s
from runbook_lib.cloud.instances import ALIVE

_GONE: frozenset[str] = frozenset()


class Staleness:
    """
    What the clients of one region have changed in the last minute: the groups of an instance, by
    its id; none for a rule or a group that is removed.
    """

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self.limit_s = limit_s
        self._lock = threading.Lock()
        self._changed: dict[str, tuple[float, frozenset[str]]] = {}

    def delay(
        self,
        response: Any,  # noqa: ANN401 - (HTTP response, its content), or None
        operation: Any,  # noqa: ANN401 - botocore's operation model
        request_dict: dict[str, Any],
        attempts: int,
        **_: object,
    ) -> float | None:
        """
        Return the seconds until a list is asked for again; None if it may be true.
        """
        if response is None or response[0].status_code >= 300:
            return None
        changed = _changes(operation.name, request_dict["context"].get(PARAMS, {}))
        now = time.monotonic()
        with self._lock:
            kept = {n: one for n, one in self._changed.items() if now - one[0] < self.limit_s}
            self._changed = kept | {name: (now, groups) for name, groups in changed.items()}
            recent = {name: groups for name, (_, groups) in self._changed.items()}
        shown = _shown(operation.name, response[1])
        is_old = any(shown[name] != recent[name] for name in shown.keys() & recent.keys())
        return delay_s(attempts) if is_old else None


def _changes(action: str, params: dict[str, Any]) -> dict[str, frozenset[str]]:
    if action == "ModifyInstanceAttribute" and "Groups" in params:
        return {params["InstanceId"]: frozenset(params["Groups"])}
    if action == "RevokeSecurityGroupIngress":
        return dict.fromkeys(params.get("SecurityGroupRuleIds", []), _GONE)
    return {params["GroupId"]: _GONE} if action == "DeleteSecurityGroup" else {}


def _shown(action: str, content: dict[str, Any]) -> dict[str, frozenset[str] | None]:
    # what is there is not gone, whatever it has
    if action == "DescribeSecurityGroupRules":
        return {one["SecurityGroupRuleId"]: None for one in content["SecurityGroupRules"]}
    if action == "DescribeSecurityGroups":
        return {one["GroupId"]: None for one in content["SecurityGroups"]}
    if action != "DescribeInstances":
        return {}
    return {
        one["InstanceId"]: frozenset(group["GroupId"] for group in one.get("SecurityGroups", []))
        for each in content["Reservations"]
        for one in each["Instances"]
        if one["State"]["Name"] in ALIVE  # a terminated one has no groups
    }


CHANGED: defaultdict[str, Staleness] = defaultdict(Staleness)
"""Of all clients of a region."""


def watch_changes(client: Any) -> None:  # noqa: ANN401 - a boto3 client
    """
    Have a client repeat lists that show what was just changed in its region as it was.
    """
    client.meta.events.register("needs-retry.*", CHANGED[client.meta.region_name].delay)
