"""
The instance metadata service. It knows an instance by the address that a request comes from.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable

from werkzeug.wrappers import Request, Response

from lab.aws.instances import LabInstance
from lab.aws.responses import text_response
from lab.aws.role_keys import RoleKeys

TOKEN_PATH = "/latest/api/token"  # noqa: S105 (a path)
TOKEN_HEADER = "X-aws-ec2-metadata-token"  # noqa: S105 (a header's name)
TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
LONGEST_TTL_S = 21600


class MetadataService:
    """
    Version 2 (a token first), and version 1 for the instances that allow it.
    """

    def __init__(self, find_instances: Callable[[], Iterable[LabInstance]]) -> None:
        self._find_instances = find_instances
        self._keys = RoleKeys()
        self._tokens: dict[str, tuple[str, float]] = {}  # token: (instance id, valid until)

    def answer(self, request: Request) -> Response:
        alive = [one for one in self._find_instances() if one.state in ("pending", "running")]
        instance = next((one for one in alive if one.private_ip == request.remote_addr), None)
        if instance is None:
            return text_response("not an instance of this lab\n", 404)
        if request.path == TOKEN_PATH:
            return self._new_token(request, instance)
        if request.method != "GET":
            return text_response("", 405)
        if not self._is_allowed(request, instance):
            return text_response("", 401)
        values = metadata_of(instance) | self._keys.metadata_of(instance)
        value = find_metadata(values, request.path.removeprefix("/latest/"))
        return text_response("", 404) if value is None else text_response(value)

    def _new_token(self, request: Request, instance: LabInstance) -> Response:
        ttl = request.headers.get(TTL_HEADER, "")
        if request.method != "PUT":
            return text_response("", 405)
        if not ttl.isdecimal() or not 1 <= int(ttl) <= LONGEST_TTL_S:
            return text_response("", 400)
        now = time.monotonic()
        self._tokens = {key: held for key, held in self._tokens.items() if held[1] > now}
        token = secrets.token_urlsafe(40)
        self._tokens[token] = (instance.id, now + int(ttl))
        response = text_response(token)
        response.headers[TTL_HEADER] = ttl
        return response

    def _is_allowed(self, request: Request, instance: LabInstance) -> bool:
        token = request.headers.get(TOKEN_HEADER)
        if token is None:
            return bool(instance.metadata_options.http_tokens != "required")
        owner, valid_until = self._tokens.get(token, ("", 0.0))
        return owner == instance.id and valid_until > time.monotonic()


def metadata_of(instance: LabInstance) -> dict[str, str]:
    """
    The metadata of an instance, by path below /latest/.
    """
    zone = instance.availability_zone or ""
    values = {
        "user-data": instance.user_data_bytes.decode(errors="replace"),
        "meta-data/ami-id": instance.image_id,
        "meta-data/hostname": instance.private_dns_name,
        "meta-data/instance-id": instance.id,
        "meta-data/instance-type": instance.instance_type,
        "meta-data/local-hostname": instance.private_dns_name,
        "meta-data/local-ipv4": instance.private_ip or "",
        "meta-data/placement/availability-zone": zone,
        "meta-data/placement/region": instance.region_name,
        "meta-data/public-hostname": instance.public_ip or "",
        "meta-data/public-ipv4": instance.public_ip or "",
        "meta-data/public-keys/0/openssh-key": instance.authorized_key,
        "meta-data/security-groups": "\n".join(group.name for group in instance.security_groups),
    }
    if instance.metadata_options.instance_metadata_tags == "enabled":
        values |= {
            f"meta-data/tags/instance/{tag['key']}": tag["value"] for tag in instance.get_tags()
        }
    return {path: value for path, value in values.items() if value}


def find_metadata(values: dict[str, str], path: str) -> str | None:
    """
    The value at a path, or the listing of a folder, in which subfolders end in a slash.
    """
    if path.rstrip("/") in values:
        return values[path.rstrip("/")]
    folder = path.rstrip("/") + "/" if path else ""
    below = [one.removeprefix(folder) for one in values if one.startswith(folder)]
    names = {name + slash for name, slash, _ in (one.partition("/") for one in below)}
    return "\n".join(sorted(names)) or None
