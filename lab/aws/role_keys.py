"""
The keys of an instance's role, which its metadata service hands out.

moto keeps roles, profiles and the keys of sessions, but gives none of them to an instance.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.sts.models import AssumedRole, sts_backends

if TYPE_CHECKING:
    from lab.aws.instances import LabInstance

LIFETIME = timedelta(hours=6)  # as long as EC2's
RENEWED_BEFORE = timedelta(hours=1)
FOLDER = "meta-data/iam"


class RoleKeys:
    """
    The keys of every instance, renewed before they expire; gone with the association.
    """

    def __init__(self) -> None:
        self._sessions: dict[tuple[str, str], AssumedRole] = {}  # by instance and role

    def metadata_of(self, instance: LabInstance) -> dict[str, str]:
        """
        What an instance reads below meta-data/iam; empty without a profile.
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
            # what distinguishes these keys from those of anybody who assumes the role
            held.source_instance_arn = (  # type: ignore[attr-defined] # read by iam/principals.py
                f"arn:aws:ec2:{instance.region_name}:{DEFAULT_ACCOUNT_ID}:instance/{instance.id}"
            )
            self._sessions[instance.id, role.arn] = held
        return held


def find_profile(instance: LabInstance) -> Any:  # noqa: ANN401 (moto's InstanceProfile)
    """
    The instance profile that is associated with an instance, or None.
    """
    associations = instance.ec2_backend.iam_instance_profile_associations
    association = associations.get(instance.id)
    return None if association is None else association.iam_instance_profile
