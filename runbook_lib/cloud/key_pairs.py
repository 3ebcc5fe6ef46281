"""
The SSH key pair of a cluster in EC2, which has the public key alone.

Source: section "Getting Resources & Dependencies" of the guide.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbook_lib.cloud.aws import make_or_adopt
from runbook_lib.cloud.key_files import key_path, make_key, new_key_path, only_run, public_key
from runbook_lib.cloud.tags import CLUSTER_TAG, tag_list, tag_specifications, tags_of
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import ConflictError, NotFoundError, ParameterError

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import KeyPairInfoTypeDef

ORIGIN_TAG, MADE = "runbook:key-file", "made"


def ensure_key_pair(ec2: "EC2Client", cluster: str, key_file: str) -> Changes:
    """
    Create the private key file if it is missing, and import its public key into EC2.

    A key that is made here is `<key_file>.<cluster>.new` until EC2 has its public half: the next
    run goes on with that of a killed one, and still knows that it was made here.

    Raises NotFoundError or ConflictError if EC2 has the pair, but the file is missing or of another
    pair; AccessError if others can read the file; ParameterError if it is no private key.
    """
    changes, path, new = Changes(), Path(key_file).expanduser(), new_key_path(key_file, cluster)
    with only_run(path.parent):
        if new.is_symlink() or (new.exists() and not public_key(new)):
            new.unlink()  # half a key was never imported, and a link is not ours
        known = find_key_pair(ec2, cluster)
        is_new = not path.exists()
        if known and is_new and not (new.exists() and matches(known, new)):
            raise NotFoundError(
                f"EC2 has the key pair {cluster!r}, but its private key is not at {path}",
                next_step="put the file back, set key_file, or start over with 90_teardown",
            )
        if made := is_new and not new.exists():
            make_key(new)
        file = key_path(str(new if is_new else path))
        if known is None:
            known = _import(ec2, cluster, file, MADE if is_new else "brought", changes)
        if not matches(known, file):
            if made:  # another run has imported its own: this one opens nothing
                new.unlink()
            raise ConflictError(
                f"the key pair {cluster!r} of EC2 is not the one in {path}",
                evidence=f"EC2 has {known.get('PublicKey', 'no public key')[:60]}…",
                next_step="set key_file to its private key, or choose another cluster name",
            )
        if is_new:
            new.rename(path)
            changes.add("key file", str(path), "made")
        new.unlink(missing_ok=True)  # made by a killed run, before the owner brought another
    return changes


def _import(
    ec2: "EC2Client", cluster: str, path: Path, origin: str, changes: Changes
) -> "KeyPairInfoTypeDef":
    key, tags = public_key(path), tag_list(cluster, "key-pair", **{ORIGIN_TAG: origin})
    if not key:
        raise ParameterError(
            f"expected a private key without a passphrase at {path}; it is none",
            next_step="set key_file to another file, or to a new path: 01_instances makes the key",
        )

    def make() -> "KeyPairInfoTypeDef":
        ec2.import_key_pair(
            KeyName=cluster,
            PublicKeyMaterial=key.encode(),
            TagSpecifications=tag_specifications(tags, "key-pair"),
        )
        changes.add("key pair", cluster, "imported")
        return {"PublicKey": key}

    return make_or_adopt(make, lambda: find_key_pair(ec2, cluster))


def matches(pair: "KeyPairInfoTypeDef", path: Path) -> bool:
    """
    Check whether the private key in a file belongs to an EC2 key pair.
    """
    key = public_key(path)
    return bool(key) and pair.get("PublicKey", "").split()[:2] == key.split()[:2]


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
