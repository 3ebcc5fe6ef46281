"""
The stack files: the guide's limits, placement, and the habits that every stack here has.
"""

import json
import re

import pytest
import yaml
from geodiff import topology as names

from runbook_lib.stacks.building.digests import PUSH_ADDRESS
from tests.places import ROOT

STACKS = ROOT / "stacks"
FILES = ["geo-diff/work.yml", "geo-diff/web.yml", "registry/stack.yml", "notice-board/stack.yml"]
# G10 of the guide: cpus and memory, limits then reservations
RESOURCES = {
    "rabbitmq": ("0.50", "512M", "0.25", "200M"),
    "dealer": ("0.30", "200M", "0.05", "30M"),
    "updater": ("0.30", "200M", "0.05", "20M"),
    "worker": ("0.75", "400M", "0.3", "100M"),
    "admin-worker": ("0.50", "400M", "0.1", "50M"),
}


def services(file):
    return yaml.safe_load((STACKS / file).read_text())["services"]


EVERY = [(file, name) for file in FILES for name in services(file)]
RUNNING = [each for each in EVERY if each != ("notice-board/stack.yml", "notices")]
"""All but the one-shot, which ends."""


@pytest.mark.parametrize(("name", "expected"), RESOURCES.items())
def test_resources_are_the_guides(name, expected):
    found = services("geo-diff/work.yml")[name]["deploy"]["resources"]
    limits, reservations = found["limits"], found["reservations"]
    assert expected == (*limits.values(), *reservations.values())


@pytest.mark.parametrize("name", ["rabbitmq", "dealer", "updater", "admin-worker"])
def test_all_but_the_workers_run_on_the_manager(name):
    placement = services("geo-diff/work.yml")[name]["deploy"]["placement"]
    assert ["node.labels.typeNode == master"] == placement["constraints"]


def test_workers_run_anywhere_else():
    placement = services("geo-diff/work.yml")["worker"]["deploy"]["placement"]
    assert ["node.labels.typeNode != master"] == placement["constraints"]


@pytest.mark.parametrize(("file", "name"), RUNNING)
def test_every_service_is_found_by_name_watched_and_restarted(file, name):
    """
    No virtual IPs: a kernel may lack IPVS, and then they fail silently.
    """
    service = services(file)[name]
    assert "dnsrr" == service["deploy"]["endpoint_mode"]
    assert "any" == service["deploy"]["restart_policy"]["condition"]
    assert "rollback" == service["deploy"]["update_config"]["failure_action"]
    assert "test" in service["healthcheck"]
    assert all("host" == port["mode"] for port in service.get("ports", ()))


@pytest.mark.parametrize(("file", "name"), EVERY)
def test_every_image_is_built_from_the_base_that_the_nodes_can_get(file, name):
    service = services(file)[name]
    context = (STACKS / file).parent / service["build"]["context"]
    lines = (context / "Dockerfile").read_text().splitlines()
    stages = [line.split() for line in lines if line[:5] == "FROM "]
    own = {stage[3] for stage in stages if len(stage) > 3}
    assert {"debian:trixie-slim"} == {stage[1] for stage in stages} - own
    assert context.name == service["image"]


def test_only_scaler_and_reaper_see_the_docker_socket_and_only_the_autoscaler_sees_them():
    found = services("geo-diff/work.yml")
    assert {"scaler", "reaper"} == {
        name for name, service in found.items() if "docker.sock" in str(service.get("volumes"))
    }
    assert {"scaler", "reaper", "admin-worker"} == {
        name for name, service in found.items() if "control" in service["networks"]
    }
    assert [["control"], ["control"]] == [found[n]["networks"] for n in ("scaler", "reaper")]


def test_autoscaler_and_scaler_have_the_same_bounds():
    """Otherwise the scaler would refuse what the policy decides."""
    found = services("geo-diff/work.yml")
    policy, scaler = (found[name]["environment"] for name in ("admin-worker", "scaler"))
    for bound in ("MIN_SCALE", "MAX_SCALE"):
        assert policy[bound] == scaler[bound]


@pytest.mark.parametrize("name", services("registry/stack.yml"))
def test_the_registry_writes_nowhere_but_into_its_volume_and_has_no_capability(name):
    service = services("registry/stack.yml")[name]
    assert (True, ["ALL"]) == (service["read_only"], service["cap_drop"])


def test_the_registry_that_containers_reach_takes_nothing_and_the_other_is_on_loopback():
    """
    The ports are tried by `tests/lab/test_registry.py`, on the real thing.
    """
    found = services("registry/stack.yml")
    folder = STACKS / "registry/images/registry"
    configs = {n: yaml.safe_load((folder / f"{n}.yml").read_text()) for n in ("config", "push")}
    reached, other = configs["config"], configs["push"]
    assert {"registry"} == {name for name, each in found.items() if "ports" in each}
    assert reached["storage"]["maintenance"]["readonly"]["enabled"]
    assert [True] == [volume["read_only"] for volume in found["registry"]["volumes"]]
    assert ["/etc/docker/registry/push.yml"] == found["push"]["command"]
    assert PUSH_ADDRESS == other["http"]["addr"]


def test_no_secret_is_in_the_stack_file():
    content = yaml.safe_load((STACKS / "geo-diff/work.yml").read_text())
    generated = content["x-runbook"]["generated_secrets"]
    assert {name: {"external": True} for name in generated} == content["secrets"]


def test_each_client_of_the_broker_has_a_password_of_its_own():
    """One that is read out of a worker opens nothing but what a worker may do."""
    found = services("geo-diff/work.yml")
    having = {
        name: {s if isinstance(s, str) else s["source"] for s in service.get("secrets", ())}
        for name, service in found.items()
    }
    clients = ("dealer", "worker", "updater", "admin-worker")
    own = {name: {f"rabbitmq_{name.replace('-', '_')}_password"} for name in clients}
    assert own == {name: having[name] for name in clients}
    assert having["rabbitmq"] == {"rabbitmq_password", "rabbitmq_erlang_cookie"}.union(
        *own.values()
    )


def test_nobody_may_make_or_delete_a_queue_or_write_into_all_of_them():
    """Not even the operator: the broker makes its queues itself."""
    folder = STACKS / "geo-diff/images/rabbitmq"
    topology = json.loads((folder / "topology.json").read_text())
    allowed = {entry["user"]: entry for entry in topology["permissions"]}
    assert {"geodiff", "dealer", "worker", "updater", "admin-worker"} == set(allowed)
    assert {"^$"} == {entry["configure"] for entry in allowed.values()}
    exchanges = {exchange["name"] for exchange in topology["exchanges"]}
    for user, entry in allowed.items():
        into = {name for name in exchanges if re.fullmatch(entry["write"], name)}
        assert len(into) <= 3, user
        assert not re.fullmatch(entry["write"], "amq.default"), user
    assert "administrator" not in (folder / "entry.sh").read_text().replace("an administrator", "")


def test_the_broker_has_every_queue_that_the_services_name():
    topology = json.loads((STACKS / "geo-diff/images/rabbitmq/topology.json").read_text())
    named = {value for key, value in vars(names).items() if key.endswith("_QUEUE")}
    assert named == {queue["name"] for queue in topology["queues"]}
    bound = {(binding["source"], binding["destination"]) for binding in topology["bindings"]}
    assert {(name, name) for name in named} | {(names.RES_XCHG, names.RESULT_QUEUE)} == bound


@pytest.mark.parametrize(
    ("file", "name"), [each for each in EVERY if each[0] != "registry/stack.yml"]
)
def test_a_container_writes_only_where_it_is_said_and_has_no_rights_of_root(file, name):
    service = services(file)[name]
    assert (True, ["ALL"]) == (service.get("read_only"), service.get("cap_drop"))


def test_the_web_stack_needs_nothing_of_the_work_stack():
    """
    It stays up while the work stack is removed: no network, secret or volume is the other's own.
    """
    web = yaml.safe_load((STACKS / "geo-diff/web.yml").read_text())
    assert {"web"} == set(web["networks"])
    assert {"tile_api_token": {"external": True}} == web["secrets"]
    assert {"tiles-data": {"external": True}} == web["volumes"]
    tiles, _ = web["services"]["tile-server"]["volumes"]
    assert tiles["read_only"]


def test_the_tile_server_is_where_the_tiles_are_and_the_map_where_the_web_is():
    found = services("geo-diff/web.yml")
    placed = {name: each["deploy"]["placement"]["constraints"] for name, each in found.items()}
    assert {
        "tile-server": ["node.labels.typeNode == master"],
        "tile-gate": ["node.labels.typeNode == master"],
        "map": ["node.labels.typeNode == master-web"],
        "map-gate": ["node.labels.typeNode == master-web"],
    } == placed


def test_only_gates_are_public_and_each_stands_before_its_server():
    found = services("geo-diff/web.yml")
    public = {n: s["ports"][0]["published"] for n, s in found.items() if "ports" in s}
    assert {"tile-gate": 5000, "map-gate": 8080} == public
    for name, port in public.items():
        gate = found[name]["environment"]
        assert (f"{port}", f":{port}") == (gate["PORT"], gate["SERVICE"][-5:])
        assert gate["SERVICE"].removesuffix(f":{port}") in found


def test_the_lock_names_no_index_and_hashes_everything():
    lock = (STACKS / "geo-diff/images/geo-diff/requirements.lock").read_text()
    pins = [line for line in lock.splitlines() if line and line[0].isalpha()]
    asked_for = {"flask", "gunicorn", "isal", "opencv-python-headless", "pika"}
    assert asked_for <= {pin.split("==")[0] for pin in pins}
    assert all(pin.endswith("\\") for pin in pins)
    assert "://" not in lock


def test_the_locks_of_the_map_name_no_registry_and_hash_everything():
    folder = STACKS / "geo-diff/images/map"
    packages = json.loads((folder / "package-lock.json").read_text())["packages"]
    fetched = {name: entry for name, entry in packages.items() if name}
    assert fetched
    assert [] == [name for name, entry in fetched.items() if "resolved" in entry]
    assert [] == [name for name, entry in fetched.items() if not entry.get("integrity")]
    lock = (folder / "requirements.lock").read_text()
    assert "://" not in lock
    assert lock.count("==") == len(re.findall(r"^\S+==.+\\\n +--hash=sha256:", lock, re.M))
