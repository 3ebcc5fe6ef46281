"""
What an instance may do by itself: the role of its profile, and short-lived keys for it.

moto keeps roles, profiles and the keys of sessions; it hands none of them to an instance.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends
from moto.sts.models import AssumedRole, sts_backends

from lab.iam.policy import Statement, statements_of

if TYPE_CHECKING:
    from lab.machines.instances import LabInstance

LIFETIME = timedelta(hours=6)  # as long as EC2's
RENEWED_BEFORE = timedelta(hours=1)
FOLDER = "meta-data/iam"


class RoleKeys:
    """
    The keys that the metadata service gives out, renewed in time; gone with the association.
    """

    def __init__(self) -> None:
        self._sessions: dict[tuple[str, str], AssumedRole] = {}  # by instance and role

    def metadata_of(self, instance: LabInstance) -> dict[str, str]:
        """
        What an instance reads below meta-data/iam; nothing where it has no profile.
        """
        profile = find_profile(instance)
        if profile is None or not profile.roles:
            return {}
        role = profile.roles[0]
        session = self._session(instance, role)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        info = {
            "Code": "Success",
            "LastUpdated": now,
            "InstanceProfileArn": profile.arn,
            "InstanceProfileId": profile.id,
        }
        keys = {
            "Code": "Success",
            "LastUpdated": now,
            "Type": "AWS-HMAC",
            "AccessKeyId": session.access_key_id,
            "SecretAccessKey": session.secret_access_key,
            "Token": session.session_token,
            "Expiration": session.expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        return {
            f"{FOLDER}/info": json.dumps(info),
            f"{FOLDER}/security-credentials/{role.name}": json.dumps(keys),
        }

    def _session(self, instance: LabInstance, role: Any) -> AssumedRole:  # noqa: ANN401 (moto's Role)
        held = self._sessions.get((instance.id, role.arn))
        soon = datetime.now(UTC).replace(tzinfo=None) + RENEWED_BEFORE
        if held is None or held.expiration < soon:
            held = sts_backends[DEFAULT_ACCOUNT_ID]["aws"].assume_role(
                region_name=instance.region_name,
                role_session_name=instance.id,
                role_arn=role.arn,
                policy="",
                duration=int(LIFETIME.total_seconds()),
                external_id="",
            )
            self._sessions[instance.id, role.arn] = held
        return held


def find_profile(instance: LabInstance) -> Any:  # noqa: ANN401 (moto's InstanceProfile)
    """
    The instance profile that is associated with an instance, or None.
    """
    associations = instance.ec2_backend.iam_instance_profile_associations
    found = associations.get(instance.id)
    return None if found is None else found.iam_instance_profile


def bucket_statements(caller_arn: str, resource: str) -> list[Statement]:
    """
    What a bucket's own policy says of this caller; `resource` is the ARN of bucket or object.
    """
    name = resource.removeprefix("arn:aws:s3:::").partition("/")[0]
    bucket = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets.get(name)
    if bucket is None or bucket.policy is None:
        return []
    names = {"*", _principal(caller_arn)}
    return [s for s in statements_of(json.loads(bucket.policy)) if names & _principals(s)]


def _principal(caller_arn: str) -> str:
    """
    Who a policy means: the role itself for a session of it (.../assumed-role/NAME/SESSION).
    """
    kind, _, rest = caller_arn.rpartition(":")[2].partition("/")
    if kind != "assumed-role":
        return caller_arn
    roles = iam_backends[DEFAULT_ACCOUNT_ID]["aws"].roles.values()
    return next((role.arn for role in roles if role.name == rest.partition("/")[0]), caller_arn)


def _principals(statement: Statement) -> set[str]:
    said = statement.get("Principal", {})
    named = said.get("AWS", []) if isinstance(said, dict) else said
    return set(named if isinstance(named, list) else [named])
