"""
The SSH key pair: the private key is generated here, and only the public key goes to EC2.

Source: section "Getting Resources & Dependencies" of the guide.
"""

import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from runbook_lib.cloud.aws import make_or_adopt
from runbook_lib.cloud.tags import CLUSTER_TAG, tag_list, tag_specifications, tags_of
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import AccessError, ConflictError, NotFoundError

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import KeyPairInfoTypeDef

ORIGIN_TAG, MADE = "runbook:key-file", "made"


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


def ensure_key_pair(ec2: "EC2Client", cluster: str, key_file: str) -> Changes:
    """
    Create the private key file if it is missing, and import its public key into EC2.

    The file is written first, so a run killed in between loses nothing.

    Raises NotFoundError or ConflictError if EC2 has the pair, but the file is missing or of another
    pair; AccessError if others can read the file.
    """
    changes = Changes()
    path = Path(key_file).expanduser()
    known = find_key_pair(ec2, cluster)
    if known and not path.exists():
        raise NotFoundError(
            f"EC2 has the key pair {cluster!r}, but its private key is not at {path}",
            next_step="put the file back, set key_file, or start over with 90_teardown",
        )
    if made := not path.exists() and _write_key(path):
        changes.add("key file", str(path), "made")
    key_path(key_file)
    if known is None:
        known = _import(ec2, cluster, path, MADE if made else "brought", changes)
    if not matches(known, path):
        if made:  # another run has imported its own at the same moment: ours opens nothing
            path.unlink()
        raise ConflictError(
            f"the key pair {cluster!r} of EC2 is not the one in {path}",
            evidence=f"EC2 has {known.get('PublicKey', 'no public key')[:60]}…",
            next_step="set key_file to its private key, or choose another cluster name",
        )
    return changes


def _import(
    ec2: "EC2Client", cluster: str, path: Path, origin: str, changes: Changes
) -> "KeyPairInfoTypeDef":
    key, tags = _public_key(path), tag_list(cluster, "key-pair", **{ORIGIN_TAG: origin})

    def make() -> "KeyPairInfoTypeDef":
        ec2.import_key_pair(
            KeyName=cluster,
            PublicKeyMaterial=key,
            TagSpecifications=tag_specifications(tags, "key-pair"),
        )
        changes.add("key pair", cluster, "imported")
        return {"PublicKey": key.decode()}

    return make_or_adopt(make, lambda: find_key_pair(ec2, cluster))


def known_hosts_path(key_file: str) -> Path:
    """
    Return the file of the cluster's pinned host keys, next to its private key.
    """
    path = Path(key_file).expanduser()
    return path.with_name(f"{path.name}.known_hosts")


def _public_key(path: Path) -> bytes:
    key = load_ssh_private_key(path.read_bytes(), password=None)
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)


def matches(pair: "KeyPairInfoTypeDef", path: Path) -> bool:
    """
    Check whether the private key in a file belongs to an EC2 key pair.
    """
    return pair.get("PublicKey", "").split()[:2] == _public_key(path).decode().split()[:2]


def find_key_pair(ec2: "EC2Client", cluster: str) -> "KeyPairInfoTypeDef | None":
    """
    Find the key pair of the cluster.

    Raises ConflictError if a pair of that name exists without our tag.
    """
    filters: list[Any] = [{"Name": "key-name", "Values": [cluster]}]
    found = ec2.describe_key_pairs(Filters=filters, IncludePublicKey=True)["KeyPairs"]
    pairs = [pair for pair in found if pair["KeyName"] == cluster]  # the filter expands * and ?
    if not pairs:
        return None
    tags = tags_of(pairs[0])
    if tags.get(CLUSTER_TAG) != cluster:
        raise ConflictError(
            f"the key pair {cluster!r} exists, but this runbook did not make it",
            evidence=f"its tags: {tags or 'none'}",
            next_step="choose another cluster name",
        )
    return pairs[0]


def _write_key(path: Path) -> bool:
    # False if another run has just written one: it may have imported it already
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = Ed25519PrivateKey.generate()
    data = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f"{path.name}.") as partial:
        partial.write(data)
        partial.flush()
        try:
            os.link(partial.name, path)  # unlike a rename, it replaces nothing
        except FileExistsError:
            return False
    return True
