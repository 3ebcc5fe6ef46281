"""
What there is of a cluster, in EC2, on its hosts, in its Swarm and here, as lines that can be
compared: nothing twice, nothing unknown, nothing half written.
"""

import re
from collections import Counter
from pathlib import Path
from typing import Any

from runbook_lib.hosts import clusters
from runbook_lib.hosts.ssh import run
from runbook_lib.swarm.membership import get_manager, node_table
from tests.lab.harness import Runbook

_ANOTHER_TIME = re.compile(r"\b172\.[\d.]+|\b[0-9a-f]{12,64}\b")
"""Addresses, digests and names by chance: those of a cluster that is made again are others."""

HALF = r"""
find /etc /srv /opt /root /home -xdev -name '*.partial*' 2>/dev/null || true
dpkg --audit | head -3
ls /var/lib/dpkg/updates
"""


def find_resources(runbook: Runbook) -> list[str]:
    """
    All that there is in the account, whoever made it; not the VPC's own group.
    """
    ec2 = runbook.ec2()
    described = ec2.describe_instances()["Reservations"]
    found = [i for r in described for i in r["Instances"] if i["State"]["Name"] != "terminated"]
    lines = [
        f"instance {tags(i).get('runbook:role')} {i['InstanceType']} {i['State']['Name']} "
        f"in {sorted(g['GroupName'] for g in i['SecurityGroups'])}"
        for i in found
    ]
    groups = [
        g for g in ec2.describe_security_groups()["SecurityGroups"] if g["GroupName"] != "default"
    ]
    names = {group["GroupId"]: group["GroupName"] for group in groups}
    for group in groups:
        lines += [f"group {group['GroupName']}"]
        lines += [f"rule {group['GroupName']} {rule}" for rule in rules(group, names)]
    lines += [f"volume of {volume['Size']} GiB" for volume in ec2.describe_volumes()["Volumes"]]
    lines += [f"key pair {pair['KeyName']}" for pair in ec2.describe_key_pairs()["KeyPairs"]]
    return sorted(lines)


def rules(group: dict[str, Any], names: dict[str, str]) -> list[str]:
    found = []
    for its in group["IpPermissions"]:
        peers = [names.get(p["GroupId"], p["GroupId"]) for p in its["UserIdGroupPairs"]]
        peers += [r["CidrIp"] for r in its["IpRanges"]]
        ports = f"{its['IpProtocol']} {its.get('FromPort', '')}-{its.get('ToPort', '')}"
        found += [f"{ports} from {peer}" for peer in peers]
    return found


def tags(thing: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in thing.get("Tags", [])}


def find_state(runbook: Runbook) -> list[str]:
    """
    Everything of a deployed cluster; AssertionError for what is twice or half written.
    """
    given = runbook.given
    here = clusters.get_cluster(str(given["cluster"]), str(given["key_file"]), runbook.place)
    lines = find_resources(runbook)
    for role, connection in here.connections.items():
        half = run(connection, HALF, sudo=True).split()
        assert [] == half, f"half written on {role}: {half}"
        lines += [f"host {role} {run(connection, 'cat /etc/docker/daemon.json').split()}"]
    manager = get_manager(here.engines)
    for node in node_table(manager, here.instances).itertuples():
        lines.append(f"node {node.role} {node.state} {node.availability} {node.labels}")
    for service in manager.api.services():
        spec = service["Spec"]
        container = spec["TaskTemplate"]["ContainerSpec"]
        placement = spec["TaskTemplate"].get("Placement", {}).get("Constraints")
        image = container["Image"].rpartition("/")[2]
        lines.append(f"service {spec['Name']} {image} {placement} {sorted(spec['Mode'])}")
    for kind, things in {
        "network": manager.networks.list(filters={"scope": "swarm"}),
        "secret": manager.secrets.list(),
        "volume": [v for engine in here.engines.values() for v in engine.volumes.list()],
    }.items():
        lines += [f"{kind} {thing.name}" for thing in things]
    lines += [f"file {path.name}" for path in Path(str(given["key_file"])).parent.iterdir()]
    named = [line for line in lines if not line.startswith("volume ")]
    assert [] == [line for line, count in Counter(named).items() if count > 1]
    return sorted(_ANOTHER_TIME.sub("*", line) for line in lines)
