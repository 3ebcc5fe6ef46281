"""
The secrets of a broker of ours, as files: a password for each user, and the Erlang cookie.
"""

import secrets
from pathlib import Path

SERVICES = ("dealer", "worker", "updater", "admin-worker")
USERS = ("geodiff", *SERVICES)


def password_file(user: str) -> str:
    """
    The name of the secret with the password of a user; the notebooks' is "geodiff".
    """
    own = "" if user == "geodiff" else user.replace("-", "_") + "_"
    return f"rabbitmq_{own}password"


def make_secrets(folder: Path) -> dict[str, str]:
    """
    Write the secrets into a folder that a container can read; return the password of each user.
    """
    passwords = {user: secrets.token_urlsafe(24) for user in USERS}
    files = {password_file(user): password for user, password in passwords.items()}
    for name, value in (files | {"rabbitmq_erlang_cookie": secrets.token_urlsafe(24)}).items():
        (folder / name).write_text(value)
        (folder / name).chmod(0o444)
    folder.chmod(0o755)
    return passwords
