"""
The two IAM users of a lab, and the file with their keys.
"""

from __future__ import annotations

import json
from pathlib import Path

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends

from lab.core.config import LabConfig
from lab.core.files import replace_file

EVERYTHING = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
    }
)


def ensure_users(config: LabConfig) -> None:
    """
    Create the operator, with the configured policy, and an administrator.

    Their keys survive restarts of the lab.
    """
    policy = EVERYTHING
    if config.operator_policy:
        policy = Path(config.operator_policy).read_text(encoding="utf-8")
    profiles = {
        "default": _ensure_user(config, "operator", policy),
        "administrator": _ensure_user(config, "administrator", EVERYTHING),
    }
    text = "".join(
        f"[{profile}]\naws_access_key_id = {key_id}\naws_secret_access_key = {secret}\n"
        for profile, (key_id, secret) in profiles.items()
    )
    replace_file(config.credentials_file, text.encode(), mode=0o600)


def _ensure_user(config: LabConfig, name: str, policy: str) -> tuple[str, str]:
    backend = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
    if not any(user.name == name for user in backend.users.values()):
        backend.create_user(config.region, name)
    backend.put_user_policy(name, "lab", policy)
    keys = backend.list_access_keys(name) or [backend.create_access_key(name)]
    return str(keys[0].access_key_id), str(keys[0].secret_access_key)
