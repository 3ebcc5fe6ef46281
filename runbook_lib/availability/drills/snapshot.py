"""
A cluster as a drill must leave it: its instances, nodes, labels and services, to be compared.
"""

import pandas as pd

from runbook_lib.availability.drills.ground import DrillCluster
from runbook_lib.cloud.instances import find_instances
from runbook_lib.stacks import specs
from runbook_lib.swarm import membership


def picture(here: DrillCluster) -> pd.DataFrame:
    """
    What must be the same before and after: one row a thing; columns: what, name, state.

    Services by their whole specification, save the number of replicas, which is the autoscaler's.
    """
    rows: list[tuple[str, str, str]] = []
    for instance in find_instances(here.ec2, here.cluster):
        state = f"{instance.state} in {', '.join(instance.group_ids)}"
        rows.append(("instance", instance.role, state))
    for node in membership.node_table(here.manager, here.nodes).itertuples():
        said = f"{node.state}, {node.availability}, {node.labels}, manager {bool(node.manager)}"
        rows.append(("node", str(node.role), said))
    for stack in (here.stacks.work, here.stacks.web):
        for name, spec in sorted(specs.find_specs(here.manager, stack).items()):
            fixed = {key: value for key, value in spec.items() if key != "Mode"}
            rows.append(("service", f"{stack}_{name}", repr(sorted(fixed.items()))))
    return pd.DataFrame(rows, columns=["what", "name", "state"])


def differences(before: pd.DataFrame, now: pd.DataFrame) -> list[str]:
    """
    The things whose state differs between two pictures, by name.
    """
    first, then = (
        dict(zip(p["what"] + " " + p["name"], p["state"], strict=True)) for p in (before, now)
    )
    return sorted(name for name in first.keys() | then.keys() if first.get(name) != then.get(name))
