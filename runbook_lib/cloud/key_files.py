"""
The files of a cluster's SSH key: the private key, which is made here and stays here, and the pinned
host keys beside it.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from runbook_lib.core.errors import AccessError, NotFoundError
from runbook_lib.core.project import writable


def key_path(key_file: str) -> Path:
    """
    Return the path of the private key, after checking that only its owner can read it.

    Raises NotFoundError if it is missing, or AccessError if others can read it.
    """
    path = Path(key_file).expanduser()
    if not path.is_file():
        raise NotFoundError(
            f"expected the private key at {path}; there is no such file",
            next_step="run 01_instances, or set key_file to where the key is",
        )
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise AccessError(
            f"expected {path} to be readable by its owner only, saw mode {mode:04o}",
            evidence="ssh refuses such a key as well",
            next_step=f"chmod 600 {path}",
        )
    return path


def new_key_path(key_file: str, cluster: str) -> Path:
    """
    Return the file of a cluster's private key while EC2 may not have its public half.
    """
    return Path(f"{Path(key_file).expanduser()}.{cluster}.new")


def known_hosts_path(key_file: str) -> Path:
    """
    Return the file of the cluster's pinned host keys, next to its private key.
    """
    path = Path(key_file).expanduser()
    return path.with_name(f"{path.name}.known_hosts")


def public_key(path: Path) -> str:
    """
    Return the public half of a private key; "" if the file holds none, or one with a passphrase.
    """
    data = path.read_bytes()
    for load in (load_ssh_private_key, load_pem_private_key):  # the latter reads EC2's own
        with suppress(ValueError, TypeError, UnsupportedAlgorithm):
            key = load(data, password=None).public_key()
            return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return ""


def make_key(path: Path) -> None:
    """
    Make a private key in a new file, for its owner's eyes only.
    """
    key = Ed25519PrivateKey.generate()
    data = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    with writable(path.parent):
        path.touch(0o600, exist_ok=False)
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # before EC2 has its public half


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """
    Make the folder, and let one run at a time make a key in it; a killed run leaves no lock.
    """
    with writable(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
