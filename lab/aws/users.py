"""
The two IAM users of a lab, the file with their keys, and what else an administrator has made.
"""

from __future__ import annotations

import json
from pathlib import Path

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends

from lab.core.config import LabConfig
from lab.core.files import replace_file

EVERYTHING = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
    }
)
DEFAULT_VPC = "@default-vpc"


def ensure_users(config: LabConfig) -> None:
    """
    Create the operator, with the configured policy and tags, and an administrator; then the
    configured managed policies.

    Keys survive restarts of the lab.
    """
    policies = [Path(path).read_text(encoding="utf-8") for path in config.operator_policies]
    profiles = {
        "default": _ensure_user(config, "operator", policies or [EVERYTHING]),
        "administrator": _ensure_user(config, "administrator", [EVERYTHING]),
    }
    text = "".join(
        f"[{profile}]\naws_access_key_id = {key_id}\naws_secret_access_key = {secret}\n"
        for profile, (key_id, secret) in profiles.items()
    )
    replace_file(config.credentials_file, text.encode(), mode=0o600)
    _set_tags(config)
    for name, _, path in (text.partition("=") for text in config.account_policies):
        _ensure_policy(name, Path(path).read_text(encoding="utf-8"))


def _set_tags(config: LabConfig) -> None:
    pairs = dict(text.split("=", 1) for text in config.operator_tags)
    vpc_id = ec2_backends[DEFAULT_ACCOUNT_ID][config.region].default_vpc.id
    values = {key: vpc_id if value == DEFAULT_VPC else value for key, value in pairs.items()}
    backend = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
    earlier = [tag["Key"] for tag in backend.list_user_tags("operator")]
    backend.untag_user("operator", earlier)
    backend.tag_user("operator", [{"Key": k, "Value": v} for k, v in values.items()])


def _ensure_policy(name: str, document: str) -> None:
    backend = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
    arn = f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:policy/{name}"
    if arn in backend.managed_policies:
        for version in backend.managed_policies[arn].versions:
            version.document = document
    else:
        backend.create_policy(
            description="", path="/", policy_document=document, policy_name=name, tags=[]
        )


def _ensure_user(config: LabConfig, name: str, policies: list[str]) -> tuple[str, str]:
    backend = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
    if not any(user.name == name for user in backend.users.values()):
        backend.create_user(config.region, name)
    for old in list(backend.list_user_policies(name)):
        backend.delete_user_policy(name, old)
    for number, policy in enumerate(policies, 1):
        backend.put_user_policy(name, f"lab-{number}", policy)
    keys = backend.list_access_keys(name) or [backend.create_access_key(name)]
    return str(keys[0].access_key_id), str(keys[0].secret_access_key)
