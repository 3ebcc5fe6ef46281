"""
An engine that joins a Swarm.

The engine's API answers after twenty seconds, joined or not: right after the boot, or on a busy
machine, an engine joins later.
"""

import docker
from docker.errors import APIError

from runbook_lib.core.wait import Pending, wait_for

PORT = 2377
_GOES_ON = "continue in the background"


def join(
    engine: docker.DockerClient,
    *,
    manager_ip: str,
    token: str,
    advertise_ip: str,
    timeout_s: float = 90,
) -> None:
    """
    Join through one of the managers; the token decides whether as a manager or as a worker.
    """
    try:
        engine.swarm.join(
            remote_addrs=[f"{manager_ip}:{PORT}"], join_token=token, advertise_addr=advertise_ip
        )
    except APIError as error:
        if _GOES_ON not in str(error.explanation):
            raise

    def probe() -> bool | Pending:
        state = str(engine.info()["Swarm"]["LocalNodeState"])
        return state == "active" or Pending(f"it is {state}")

    wait_for(f"{advertise_ip} joins the Swarm", probe, timeout_s=timeout_s)
