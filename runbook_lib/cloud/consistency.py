"""
What AWS has just made or told, and may not find again for some seconds.

EC2 and IAM are eventually consistent: a request that names a new thing may be answered NotFound,
and a list may lack it. So every client repeats, for a limited time, a request that does not find
what this process knows to be there. That is done here alone, by botocore's own hook for retries,
and not by each caller.

Source: https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
"""

import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runbook_lib.cloud.tags import BY_CLUSTER, CLUSTER_TAG
from runbook_lib.core.errors import NotFoundError

LIMIT_S = 60.0
"""How long after AWS made or told it a thing may be missing."""

_ID = re.compile(r"[a-z]+(-[a-z]+)*-[0-9a-f]{8,}")
_NAMED = ("KeyName", "RoleName", "InstanceProfileName", "Bucket")
_MAKES = {
    "RunInstances": "i-",
    "CreateSecurityGroup": "sg-",
    "AuthorizeSecurityGroupIngress": "sgr-",
    "AssociateIamInstanceProfile": "iip-assoc-",
    "ImportKeyPair": "KeyName ",
    "CreateRole": "RoleName ",
    "CreateInstanceProfile": "InstanceProfileName ",
    "CreateBucket": "Bucket ",
}
"""What a request makes: the beginning of an id, or the parameter that names it."""
_LISTS = {
    "DescribeInstances": "i-",
    "DescribeSecurityGroups": "sg-",
    "DescribeSecurityGroupRules": "sgr-",
    "DescribeKeyPairs": "KeyName ",
    "DescribeIamInstanceProfileAssociations": "iip-assoc-",
}
_REMOVES = ("Delete", "Terminate", "Revoke", "Disassociate", "Remove")

PARAMS = "runbook:params"
"""The key of a request's parameters in its context, once `watch` is called."""
_MISSING, _UNSURE = "runbook:missing", "runbook:unsure"


@dataclass(frozen=True)
class _Known:
    """
    When AWS told of a thing, and what a list of it is asked by; nothing if we did not make it.
    """

    since: float
    found_by: frozenset[str] = frozenset()


class Consistency:
    """
    What the clients of one region have made or seen in the last minute.
    """

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self.limit_s = limit_s
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}

    def register(self, client: Any) -> None:  # noqa: ANN401 - a boto3 client
        client.meta.events.register("before-parameter-build.*", _keep_params)
        client.meta.events.register("needs-retry.*", self._delay)

    def forget_all(self) -> None:
        """
        Know nothing, as for another account.
        """
        with self._lock:
            self._known = {}

    def _delay(
        self,
        response: Any,  # noqa: ANN401 - (HTTP response, its content), or None
        operation: Any,  # noqa: ANN401 - botocore's operation model
        request_dict: dict[str, Any],
        attempts: int,
        **_: object,
    ) -> float | None:
        # the seconds until the request is repeated; None leaves it to botocore's own rules
        context, action = request_dict["context"], operation.name
        params = context.get(PARAMS, {})
        if response is None or response[0].status_code >= 500:
            context[_UNSURE] = True  # it may have been carried out
            self._forget(action, params)
            return None
        content, error = response[1], response[1].get("Error", {})
        if response[0].status_code < 300:
            self._learn(action, params, content)
            missing = self._unlisted(action, params, content)
        else:
            missing = self._unfound(action, params, error, _UNSURE in context)
        if missing:
            context[_MISSING] = missing
            return delay_s(attempts)
        earlier = context.get(_MISSING)
        if earlier is None or not _says_missing(error):
            return None
        raise NotFoundError(
            f"expected AWS to find {earlier}, which it made or listed {self.limit_s:g} s ago; it "
            "does not",
            evidence=f"{action}: {error.get('Message')}",
            next_step="run this notebook again; if it stays so, somebody else has removed it",
        )

    def _learn(self, action: str, params: Any, content: Any) -> None:  # noqa: ANN401 - as botocore has them
        now = time.monotonic()
        asked, told = set(_tokens(params)), set(_tokens(content))
        with self._lock:
            kept = {n: one for n, one in self._known.items() if now - one.since < self.limit_s}
            if kind := _MAKES.get(action):
                on = {params.get("GroupId"), params.get("InstanceId")}  # of a rule, an association
                by = on - {None} | {t for t in asked if t.startswith("cluster ")}
                made = {t for t in asked | told if t.startswith(kind)}
                kept |= {name: _Known(now, frozenset(by | {name})) for name in made}
            elif not action.startswith(_REMOVES):
                kept = {name: _Known(now) for name in told if _ID.fullmatch(name)} | kept
            self._known = kept
        self._forget(action, params)

    def _forget(self, action: str, params: Any) -> None:  # noqa: ANN401 - as above
        if action.startswith(_REMOVES):
            asked = set(_tokens(params))
            with self._lock:
                self._known = {
                    name: known
                    for name, known in self._known.items()
                    if name not in asked and not known.found_by & asked
                }

    def _unfound(self, action: str, params: Any, error: dict[str, Any], unsure: bool) -> str:  # noqa: ANN401 - as above
        """
        Return the known thing that an error calls missing; "" if there is none.
        """
        if not _says_missing(error):
            return ""
        code, message = str(error.get("Code")), str(error.get("Message"))
        for name in set(_tokens(params)) & self._known.keys():
            known = self._known.get(name)
            if known is None or time.monotonic() - known.since > self.limit_s:
                continue
            if action.startswith(_REMOVES) and (unsure or not known.found_by):
                continue  # a request whose answer was lost has removed it, or somebody else
            kind, _, value = name.rpartition(" ")
            if kind == "Bucket":
                if code == "NoSuchBucket" or action == "HeadBucket":
                    return name
            elif value in message:
                return name
        return ""

    def _unlisted(self, action: str, params: Any, content: Any) -> str:  # noqa: ANN401 - as above
        """
        Return a thing that this process made and a list of one page lacks; "" if there is none.
        """
        if action not in _LISTS or "NextToken" in params or content.get("NextToken"):
            return ""
        asked, listed = set(_tokens(params)), set(_tokens(content))
        for name, known in self._known.items():
            is_new = time.monotonic() - known.since < self.limit_s
            wanted = name.startswith(_LISTS[action]) and known.found_by & asked
            if is_new and wanted and name not in listed:
                return name
        return ""


def delay_s(attempts: int) -> float:
    """
    Return how long to wait after so many attempts that AWS answered too early.
    """
    return float(min(5, 0.25 * 2 ** min(attempts, 5)))


def _says_missing(error: dict[str, Any]) -> bool:
    code = str(error.get("Code"))
    return code.endswith(".NotFound") or code in ("NoSuchEntity", "NoSuchBucket", "404")


def _keep_params(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
    context[PARAMS] = params


def _tokens(part: Any, key: str = "") -> Iterator[str]:  # noqa: ANN401 - a part of a request or an answer
    """
    Yield every id in it, every name as `KeyName geo-diff`, and the cluster's tag.
    """
    if isinstance(part, dict):
        if part.get("Name") == BY_CLUSTER:
            yield from (f"cluster {value}" for value in part["Values"])
        elif part.get("Name") == "key-name":
            yield from (f"KeyName {value}" for value in part["Values"])
        elif part.get("Key") == CLUSTER_TAG:
            yield f"cluster {part['Value']}"
        for name, value in part.items():
            yield from _tokens(value, name)
    elif isinstance(part, list):
        for value in part:
            yield from _tokens(value, key)
    elif isinstance(part, str):
        if _ID.fullmatch(part):
            yield part
        elif key.removesuffix("s") in _NAMED:
            yield f"{key.removesuffix('s')} {part}"


KNOWN: defaultdict[str, Consistency] = defaultdict(Consistency)
"""Of all clients of a region: what one has made, another may not find. IAM and S3 have none."""


def watch(client: Any) -> None:  # noqa: ANN401 - a boto3 client
    """
    Have a client repeat requests that do not find what is known to be in its region.
    """
    is_regional = client.meta.service_model.service_name == "ec2"
    KNOWN[client.meta.region_name if is_regional else ""].register(client)
