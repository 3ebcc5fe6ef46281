"""
The AWS credentials that a run uses: where they come from, and how long they last.
"""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.session
from botocore.exceptions import BotoCoreError
from botocore.loaders import create_loader

from runbook_lib.core.errors import AccessError

_RENEWED = (
    *("assume-role", "assume-role-with-web-identity", "container-role"),
    *("custom-process", "iam-role", "login", "sso"),
)
_LOADER = create_loader()
"""One for all sessions: the description of EC2's API takes 0.3 s and 20 MiB to read."""
_NEW = {
    "env": "export new AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN",
    "sso": "aws sso login",
    "login": "aws login",
}


@dataclass(frozen=True)
class Lifetime:
    """
    How long credentials last; `ends` is None where nobody says, or they have no end.

    Parameters
    ----------
    method
        botocore's word for where they come from, for example `env` or `sso`.
    is_renewed
        Whether the SDK gets new ones by itself, while a sign-in or another key lasts.
    has_end
        Whether they are temporary.
    """

    method: str
    ends: datetime | None
    is_renewed: bool
    has_end: bool

    @property
    def minutes_left(self) -> float:
        """
        The minutes until they end; infinite where that is not known or they are renewed.
        """
        if self.ends is None or self.is_renewed:
            return float("inf")
        return (self.ends - datetime.now(UTC)).total_seconds() / 60

    def __repr__(self) -> str:
        if not self.has_end:
            return f"the credentials ({self.method}) have no end"
        if self.is_renewed:
            return f"the credentials ({self.method}) are renewed while your sign-in or key lasts"
        if self.ends is None:
            return f"the credentials ({self.method}) are temporary, and nothing says when they end"
        return (
            f"the credentials ({self.method}) end in {max(0, self.minutes_left):.0f} min, "
            f"at {self.ends:%H:%M} UTC"
        )


def aws_session(credentials_file: str) -> botocore.session.Session:
    """
    Return a session that reads this file; "" for the usual search.
    """
    session = botocore.session.Session()
    session.register_component("data_loader", _LOADER)
    if credentials_file:
        session.set_config_variable("credentials_file", str(Path(credentials_file).expanduser()))
    return session


def lifetime(
    credentials_file: str, session: botocore.session.Session | None = None
) -> Lifetime | None:
    """
    Return how long the credentials of a file, or of a session that reads it, last; None if there
    are none.

    Raises AccessError if they have ended already.
    """
    try:
        found: Any = (session or aws_session(credentials_file)).get_credentials()
        frozen = found.get_frozen_credentials() if found else None  # now it knows its end
    except (BotoCoreError, RuntimeError) as error:  # the latter: they are new, and over already
        raise ended(credentials_file, str(error)) from error
    if frozen is None:
        return None
    ends = getattr(found, "_expiry_time", None)  # botocore keeps it to itself
    life = Lifetime(found.method, ends, found.method in _RENEWED, bool(frozen.token))
    if life.minutes_left <= 0:
        raise ended(credentials_file, repr(life))
    return life


def ended(credentials_file: str, evidence: str) -> AccessError:
    """
    Return the error for credentials that are no longer valid, with the command for new ones.
    """
    profile = os.environ.get("AWS_PROFILE", "default")
    try:
        found = aws_session(credentials_file).get_credentials()
        method = found.method if found else ""
    except (BotoCoreError, RuntimeError):
        method = ""
    place = credentials_file or "~/.aws/credentials"
    renew = _NEW.get(method, f"put new keys into {place}")
    return AccessError(
        f"expected AWS credentials that are still valid (profile {profile}); they have ended",
        evidence=evidence[:500],
        next_step=f"{renew}; then run this again: what is done is not done twice",
    )
