"""
What a request to the endpoint asks for, in the words of its service.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from urllib.parse import parse_qsl

from werkzeug.wrappers import Request

QUERY_SERVICES = ("ec2", "iam", "sts")


@dataclass(frozen=True)
class Call:
    """
    One call of the API.

    Parameters
    ----------
    names
        The things that it names, as (parameter, value): `("GroupId", "sg-1")`.
    """

    service: str
    action: str
    parameters: dict[str, str]
    names: tuple[tuple[str, str], ...]
    caller: str

    @property
    def creates(self) -> bool:
        return self.action.startswith(("Create", "Run", "Import", "Associate"))

    @property
    def looks(self) -> bool:
        return self.action.startswith(("Describe", "Get", "List", "Head"))


def read_call(request: Request) -> Call:
    """
    Read a request; whoever serves it can read its body again.
    """
    caller, _, rest = (
        request.headers.get("Authorization", "").partition("Credential=")[2].partition("/")
    )
    service = rest.split("/")[2] if rest.count("/") >= 3 else ""
    if service == "s3":
        bucket, _, key = request.path.lstrip("/").partition("/")
        action = _s3_action(request, bool(key))
        return Call(service, action, {}, (("Bucket", bucket),) if bucket else (), caller)
    if service not in QUERY_SERVICES:
        action = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        return Call(service, action, {}, (), caller)
    body = request.get_data()
    request.environ["wsgi.input"] = io.BytesIO(body)
    parameters = dict(parse_qsl(body.decode(), keep_blank_values=True))
    names = tuple((_last(key), value) for key, value in parameters.items())
    return Call(service, parameters.get("Action", ""), parameters, names, caller)


def _last(key: str) -> str:
    """
    The name in `InstanceId.1` or `IpPermissions.1.Groups.1.GroupId`.
    """
    return next(part for part in [*reversed(key.split(".")), key] if not part.isdigit())


_VERBS = {"GET": "Get", "PUT": "Put", "DELETE": "Delete", "HEAD": "Head", "POST": "Post"}


def _s3_action(request: Request, is_object: bool) -> str:
    """
    An action as S3 names it, for a bucket: PutBucketTagging; for an object, PutObject.
    """
    verb = _VERBS.get(request.method, request.method.title())
    if is_object:
        return f"{verb}Object"
    setting = next((key for key in request.args if key not in ("list-type", "prefix")), "")
    if request.method == "PUT" and not setting:
        return "CreateBucket"
    if request.method == "GET" and "list-type" in request.args:
        return "ListObjectsV2"
    return f"{verb}Bucket{setting[:1].upper()}{setting[1:]}"
