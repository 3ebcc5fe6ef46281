"""
The log of the Swarm's managers: dropped before somebody has to replay it.
"""

import time

import docker

_SNAPSHOT_S = 1.0


def forget_past(manager: docker.DockerClient) -> None:
    """
    Let the manager write its state down and drop the log that led to it.

    Who joins would replay that log, with every manager that came and was forced out since the Swarm
    began, itself among them. Seen: half a minute and longer, in which a Swarm of two managers can
    be asked for nothing, and the one that leads gives up in the end. From what was written down it
    takes a tenth of a second. The log is dropped as entries come, so these settings, which are put
    back, are what drops it.
    """
    usual = manager.api.inspect_swarm()["Spec"]["Raft"]
    for raft in ({**usual, "SnapshotInterval": 1, "LogEntriesForSlowFollowers": 1}, usual):
        held = manager.api.inspect_swarm()
        spec = {**held["Spec"], "Raft": raft}
        manager.api.update_swarm(version=held["Version"]["Index"], swarm_spec=spec)
        time.sleep(_SNAPSHOT_S)
