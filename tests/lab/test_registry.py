"""
The registry, attacked from a container on every node: nothing is planted, and nothing that a tag
means is run.
"""

import pytest

from runbook_lib.stacks import images
from runbook_lib.stacks.building import builds, digests
from runbook_lib.stacks.compose import reading
from runbook_lib.stacks.running.containers import find_services
from runbook_lib.swarm import membership

pytestmark = pytest.mark.lab

KNOCK = """
import http.client, itertools, sys
from concurrent.futures import ThreadPoolExecutor
ASKED = [("POST", "blobs/uploads/"), ("PUT", "manifests/1"), ("GET", "tags/list")]
def knock(asked):
    address, (method, path) = asked
    try:
        line = http.client.HTTPConnection(address, timeout=15)
        line.request(method, f"/v2/geo-diff/{path}", "{}" if method == "PUT" else None)
        return f"{method} {address} {line.getresponse().status}"
    except OSError:
        return f"{method} {address} none"
with ThreadPoolExecutor(16) as pool:
    print(*pool.map(knock, itertools.product(sys.argv[1:], ASKED)), sep="\\n")
"""


@pytest.fixture(scope="module")
def here(runbook):
    """The cluster, with the work stack on it."""
    return runbook.cluster()


def addresses_of_the_registry(here, engine):
    """Every address by which a container of this engine may reach it, with both ports."""
    manager, registries = here.instances["manager"], here.engines["manager"].containers
    found = {manager.private_ip, manager.public_ip, "127.0.0.1", "registry", "tasks.push"}
    for container in registries.list(filters={"name": "registry_"}):
        networks = container.attrs["NetworkSettings"]["Networks"].values()
        found |= {network["IPAddress"] for network in networks}
    for network in engine.networks.list():
        if network.name in ("bridge", "docker_gwbridge"):
            network.reload()
            found |= {
                config.get("Gateway", "172.17.0.1") for config in network.attrs["IPAM"]["Config"]
            }
    return [f"{address}:{port}" for address in sorted(found - {""}) for port in (5000, 5001, 5002)]


@pytest.mark.parametrize(("role", "service"), [("manager", "dealer"), ("worker-1", "worker")])
def test_no_container_of_the_cluster_can_push(here, runbook, role, service):
    """Not into our registry, and not into the mirror that has the image to build upon."""
    engine = here.engines[role]
    container = engine.containers.list(filters={"name": f"geo-diff-work_{service}."})[0]
    network = str(runbook.given["tiles_url"]).split("//")[1].rsplit(".", 1)[0]
    mirror = f"{network}.2:5000"
    knock = ["python", "-c", KNOCK, *addresses_of_the_registry(here, engine), mirror]
    said = container.exec_run(knock).output.decode()
    answers = {(method, at): status for method, at, status in map(str.split, said.splitlines())}

    ours = f"{here.instances['manager'].private_ip}:5001"
    assert "200" == answers["GET", ours], said
    # another service may be at port 5000 of an address, and says something else
    refused = {answers[method, at] for method in ("POST", "PUT") for at in (ours, mirror)}
    assert {"405"} == refused, said
    taken = {key for key, status in answers.items() if key[0] != "GET" and status < "400"}
    assert set() == taken, said
    push = {at for (_, at), status in answers.items() if at.endswith(":5002") and status < "400"}
    assert set() == push, said


def test_every_service_runs_what_the_manager_built_and_pushed(here):
    """The registry's own two by their id, which no name can stand for."""
    manager = membership.get_manager(here.engines)
    stack = reading.read("stacks/geo-diff/work.yml", complete=False)
    wanted = images.references(
        builds.builds(stack), images.registry_address(here.instances["manager"])
    )
    assert [] == images.find_unpublished(here.engines["manager"], wanted)
    pushed = set(digests.pinned(here.engines["manager"], wanted).values())
    assert pushed == images_of(manager, "geo-diff-work")
    own = images.references(builds.builds(reading.read("stacks/registry/stack.yml")), "")
    assert set(digests.pinned(here.engines["manager"], own).values()) == images_of(
        manager, "registry"
    )


def images_of(manager, stack):
    specs = [service.attrs["Spec"] for service in find_services(manager, stack)]
    return {str(spec["TaskTemplate"]["ContainerSpec"]["Image"]) for spec in specs}
