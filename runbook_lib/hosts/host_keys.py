"""
The host keys of instances: read from the console output, and pinned in a known_hosts file.

It lists a key under its instance id, which stays the same when the address changes. With OpenSSH:
ssh -o HostKeyAlias=<instance id> -o UserKnownHostsFile=<file> ...
"""

import re
from typing import TYPE_CHECKING

from runbook_lib.cloud.instances import Instance
from runbook_lib.cloud.key_files import known_hosts_path
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import NotFoundError
from runbook_lib.core.wait import Pending, wait_for

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

_BLOCK = re.compile(r"-----BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS-----", re.S)
_KEY = re.compile(r"((?:ssh|ecdsa)-\S+) (AAAA\S+)")


def find_host_keys(console_output: str) -> list[tuple[str, str]]:
    """
    Find the host keys printed by cloud-init, as (type, base64); empty until then.
    """
    blocks = _BLOCK.findall(console_output)
    return _KEY.findall(blocks[-1]) if blocks else []


def ensure_host_keys(ec2: "EC2Client", instances: list[Instance], key_file: str) -> Changes:
    """
    Pin the host keys of every instance; on AWS the console output appears after a few minutes.

    Removes the keys of all other instances.
    """
    changes = Changes()
    pinned = pinned_instances(key_file)
    wanted = {i.instance_id for i in instances}
    lines = [line for line in _pinned_lines(key_file) if line.split()[0] in wanted]
    missing = {i.instance_id: i for i in instances if i.instance_id not in pinned}

    def probe() -> bool | Pending:
        for instance_id, instance in list(missing.items()):
            output = ec2.get_console_output(InstanceId=instance_id).get("Output", "")
            if keys := find_host_keys(output):
                lines.extend(f"{instance_id} {kind} {key}" for kind, key in keys)
                changes.add("host keys", instance.role, "pinned")
                del missing[instance_id]
        if missing:
            names = ", ".join(i.role for i in missing.values())
            done = len(instances) - len(missing)
            return Pending(f"no host keys yet on the console of {names}", done, len(instances))
        return True

    if missing:
        wait_for("Host keys read from the console output", probe, timeout_s=600, poll_s=1)
    for instance_id in sorted(pinned - wanted):
        changes.add("host keys", instance_id, "removed: the instance is gone")
    if changes:
        path = known_hosts_path(key_file)
        partial = path.with_name(f"{path.name}.partial")
        partial.write_text("\n".join(lines) + "\n")
        partial.rename(path)
    return changes


def pinned_instances(key_file: str) -> set[str]:
    """
    Return the ids of the instances whose host keys are pinned.
    """
    return {line.split()[0] for line in _pinned_lines(key_file)}


def _pinned_lines(key_file: str) -> list[str]:
    path = known_hosts_path(key_file)
    return [line for line in path.read_text().splitlines() if line] if path.exists() else []


def get_pinned_keys(instance: Instance, key_file: str) -> list[str]:
    """
    Return an instance's host keys as lines of the known_hosts file.

    Raises NotFoundError if none is pinned.
    """
    lines = _pinned_lines(key_file)
    if keys := sorted(line for line in lines if line.startswith(f"{instance.instance_id} ")):
        return keys
    raise NotFoundError(
        f"expected a pinned host key of {instance.role} ({instance.instance_id})",
        evidence=f"{known_hosts_path(key_file)} has none",
        next_step="run 01_instances: it reads the host keys from the console output",
    )
