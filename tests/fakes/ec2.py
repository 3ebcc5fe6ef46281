"""
An instance, as the library finds it in EC2.
"""

from runbook_lib.cloud.instances import Instance


def instance(
    role: str,
    private_ip: str = "10.0.0.4",
    public_ip: str = "",
    *,
    instance_id: str = "",
    state: str = "running",
) -> Instance:
    return Instance(role, instance_id or f"i-{role}", state, "t2.micro", private_ip, public_ip, ())
