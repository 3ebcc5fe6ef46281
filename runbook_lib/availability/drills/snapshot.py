"""
The state that a drill must restore: instances, nodes, labels, services and the guide's tiles.
"""

from dataclasses import dataclass

import pandas as pd

from runbook_lib.availability.drills.ground import DrillCluster, wait_until_healthy
from runbook_lib.cloud.instances import find_instances
from runbook_lib.core import checks
from runbook_lib.geodiff import tiles
from runbook_lib.load.experiment import load_tiles
from runbook_lib.stacks.running.specs import find_specs
from runbook_lib.swarm import membership


@dataclass(frozen=True)
class Snapshot:
    """
    The state of a cluster at one time.

    Parameters
    ----------
    parts
        The state of each instance, node and service, by kind and name.
    tiles
        Counts from `tiles.count_tiles`.
    """

    parts: dict[tuple[str, str], str]
    tiles: pd.DataFrame

    @property
    def machines(self) -> pd.DataFrame:
        """
        The instances and nodes, one per row; columns: what, name, state.
        """
        rows = [(*part, state) for part, state in self.parts.items() if part[0] != "service"]
        return pd.DataFrame(rows, columns=["what", "name", "state"])

    def differences(self, later: "Snapshot") -> list[str]:
        """
        Return the names of parts with another state in a later snapshot.
        """
        parts = self.parts.keys() | later.parts.keys()
        changed = (part for part in parts if self.parts.get(part) != later.parts.get(part))
        return sorted(" ".join(part) for part in changed)


def take_snapshot(here: DrillCluster) -> Snapshot:
    """
    Read the cluster's state, except the numbers of replicas, which the autoscaler may change.
    """
    parts: dict[tuple[str, str], str] = {}
    for instance in find_instances(here.ec2, here.name):
        groups = ", ".join(instance.group_ids)
        parts["instance", instance.role] = f"{instance.state} in {groups}"
    for node in membership.node_table(here.manager, here.instances).itertuples():
        state = [node.state, node.availability, "a manager" if node.manager else "", node.labels]
        parts["node", str(node.role)] = ", ".join(filter(None, map(str, state)))
    for stack in (here.stacks.work, here.stacks.web):
        for name, spec in find_specs(here.manager, stack).items():
            fixed = sorted((key, value) for key, value in spec.items() if key != "Mode")
            parts["service", f"{stack}_{name}"] = repr(fixed)
    return Snapshot(parts, tiles.count_tiles(here.disk, here.data))


def check_restored(here: DrillCluster, before: Snapshot) -> None:
    """
    Check that the cluster is healthy and unchanged; remove the drill's links to tiles.

    Raises CheckFailedError with the differences.
    """
    checks.none("problems left in the cluster", wait_until_healthy(here))
    load_tiles.remove_load_tiles(here.disk)
    after = take_snapshot(here)
    checks.none("differences from before the drill", before.differences(after))
    checks.true("the guide's tiles are untouched", after.tiles.equals(before.tiles))
