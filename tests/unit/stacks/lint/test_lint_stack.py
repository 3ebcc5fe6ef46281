"""
One seeded mistake of each kind, found in a cluster of six nodes; none in the project's own stacks.
"""

import dataclasses
import json

import pytest

from runbook_lib.cloud.firewall import Permission
from runbook_lib.core.project import PROJECT
from runbook_lib.stacks.building.pulled import Unavailable
from runbook_lib.stacks.compose import reading
from runbook_lib.stacks.lint.declared import find_declared
from runbook_lib.stacks.lint.facts import ClusterFacts
from runbook_lib.stacks.lint.linting import lint_stack
from runbook_lib.stacks.lint.problems import Problems, Report
from tests.places import DATA

OVERLAYS = sorted(PROJECT.glob("stacks/geo-diff/rabbitmq-cluster*.yml"))
WEB_TLS = PROJECT / "stacks/geo-diff/web-tls.yml"
OWN = sorted({*PROJECT.glob("stacks/*/*.yml")} - {*OVERLAYS, WEB_TLS})


def facts(**other):
    recorded = json.loads((DATA / "cluster" / "six_nodes.json").read_text())
    recorded["rules"] = [Permission(**rule) for rule in recorded["rules"]]
    return dataclasses.replace(ClusterFacts(**recorded), **other)


def lint(tmp_path, text, seen=None, name="mine", **options):
    """
    What is found in a stack file, without the path of the file.
    """
    file = tmp_path / "stack.yml"
    file.write_text(text)
    found = lint_stack(reading.read(file, complete=False), name, seen or facts(), **options)
    return [str(problem).replace(f"{tmp_path}/", "") for problem in found]


def service(**keys):
    """
    A stack of one service `web`, written in JSON, which is YAML; its keys stand in one line.
    """
    return json.dumps({"services": {"web": {"image": "a/b", **keys}}})


@pytest.mark.parametrize("path", OWN, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_projects_own_stacks_have_no_problem(path):
    stack = reading.read(path, complete=False)
    name = "registry" if path.parent.name == "registry" else f"{path.parent.name}-{path.stem}"

    assert "no problems" == repr(lint_stack(stack, name, facts()))


@pytest.mark.parametrize("overlays", [OVERLAYS[:1], OVERLAYS[-1:]], ids=["first", "last"])
def test_the_cluster_of_brokers_has_no_problem(overlays):
    overlays = [PROJECT / "stacks/geo-diff/rabbitmq-cluster.yml", *overlays]
    stack = reading.read("stacks/geo-diff/work.yml", list(dict.fromkeys(overlays)), complete=False)

    assert "no problems" == repr(lint_stack(stack, "geo-diff-work", facts()))


def test_the_web_stack_over_tls_needs_only_its_certificate():
    stack = reading.read("stacks/geo-diff/web.yml", [WEB_TLS], complete=False)

    [problem] = lint_stack(stack, "geo-diff-web", facts())
    assert "expected the external secret web_tls; there is none" in str(problem)
    assert "no problems" == repr(lint_stack(stack, "geo-diff-web", facts(), made={"web_tls"}))


def placed(*constraints, **deploy):
    return service(deploy={"placement": {"constraints": list(constraints)}, **deploy})


@pytest.mark.parametrize(
    ("constraint", "expected"),
    [
        (
            "node.labels.typenode == master",
            "no node has node.labels.typenode; there is typeNode\n"
            "  next: docker node update --label-add typenode=master NODE",
        ),
        (
            "node.labels.typeNode == mastr",
            "ip-172-31-0-4 has master, ip-172-31-0-7 has none",
        ),
        ("node.platform.arch == amd64", "ip-172-31-0-4 has x86_64"),
        ("node.hostname == manager", "ip-172-31-0-4 has ip-172-31-0-4"),
        ("engine.labels.disk == ssd", "no node has engine.labels.disk; there is none"),
        ("node.rol == worker", "saw 'node.rol == worker'\n  next: write node.role"),
        ("node.role = worker", "saw 'node.role = worker'\n  next: correct the constraint"),
    ],
)
def test_a_constraint_that_no_node_meets(tmp_path, constraint, expected):
    (found,) = lint(tmp_path, placed(constraint))

    assert found.startswith("error stack.yml:1: web: expected ")
    assert expected in found


def test_constraints_that_no_node_meets_together(tmp_path):
    (found,) = lint(tmp_path, placed("node.role == worker", "node.labels.typeNode == master"))

    assert "each is met by a node, but no node meets all" in found


def test_a_constraint_on_a_label_that_no_node_has_may_be_met_by_all(tmp_path):
    (found,) = lint(tmp_path, placed("node.labels.typNode != master"))

    assert found.startswith("warning")
    assert "no node has node.labels.typNode; there is typeNode" in found


def test_a_placement_of_nodes_that_are_drained(tmp_path):
    seen = facts()
    seen.nodes[0]["Spec"]["Availability"] = "drain"

    (found,) = lint(tmp_path, placed("node.labels.typeNode == master"), seen)

    assert found.startswith("warning")
    assert "ip-172-31-0-4: down or drained" in found


def test_a_preference_for_a_label_that_no_node_has(tmp_path):
    spread = {"preferences": [{"spread": "node.labels.zone"}, {"spread": "node.id"}]}

    (found,) = lint(tmp_path, service(deploy={"placement": spread}))

    assert found.startswith("warning")
    assert "labels to spread over; no node has node.labels.zone" in found


def test_more_replicas_than_the_nodes_may_have(tmp_path):
    text = service(deploy={"replicas": 7, "placement": {"max_replicas_per_node": 1}})

    (found,) = lint(tmp_path, text)

    assert "room for 7 replicas; 6 nodes meet the placement, each for 1" in found


def sized(replicas=1, constraints=(), **resources):
    placement = {"constraints": list(constraints)}
    return service(deploy={"replicas": replicas, "resources": resources, "placement": placement})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            sized(reservations={"memory": "8G"}),
            "a node that holds 8192 MiB; the largest of the 6 nodes of its placement has 2 CPUs",
        ),
        (
            sized(reservations={"cpus": "2"}, constraints=["node.role == worker"]),
            "a node that holds 2 CPUs; the largest of the 4 nodes of its placement has 1 CPUs",
        ),
        (
            sized(reservations={"memory": "200M"}, limits={"memory": "100M"}),
            "a reservation within the limit, 100 MiB; 200 MiB",
        ),
        (
            sized(5, ["node.role == worker"], reservations={"memory": "600M"}),
            "5 replicas of 600 MiB; 4 fit",
        ),
    ],
)
def test_a_reservation_that_the_nodes_cannot_hold(tmp_path, text, expected):
    (found,) = lint(tmp_path, text)

    assert found.startswith("error")
    assert expected in found


def test_a_limit_larger_than_any_node(tmp_path):
    (found,) = lint(tmp_path, sized(limits={"cpus": "8", "memory": "1g"}))

    assert found.startswith("warning")
    assert "8 CPUs, and the largest of the 6 nodes of its placement has 2 CPUs" in found


def test_reservations_count_beside_those_of_other_stacks(tmp_path):
    """The registry has 20 MiB of the manager."""
    text = sized(constraints=["node.labels.typeNode == master"], reservations={"memory": "4010M"})

    (found,) = lint(tmp_path, text)

    assert "room on ip-172-31-0-4 for all that runs only there; they reserve" in found
    assert 0 == len(lint(tmp_path, text, name="registry"))


def opened(*ports):
    return facts(rules=[Permission("web", "tcp", port, port, "0.0.0.0/0") for port in ports])


def published(port=9000, mode="ingress", **keys):
    return {"image": "a/b", "ports": [{"target": 80, "published": port, "mode": mode}], **keys}


@pytest.mark.parametrize(
    ("port", "who"),
    [(22, "SSH"), (2377, "the management"), (7946, "the Swarm"), (5001, "the registry")],
)
def test_a_port_of_the_host_itself(tmp_path, port, who):
    found = lint(tmp_path, json.dumps({"services": {"web": published(port)}}), opened(port))

    assert f"a port that is free, not tcp/{port}; {who}" in found[0]


def test_a_port_that_two_services_publish(tmp_path):
    both = {"a": published(), "b": published()}

    (found,) = lint(tmp_path, json.dumps({"services": both}), opened(9000))

    assert "one service for tcp/9000: ingress takes it on every node; b publishes it, too" in found


def test_a_port_that_another_stack_publishes(tmp_path):
    spec = {
        "Name": "other_web",
        "Labels": {"com.docker.stack.namespace": "other"},
        "Mode": {"Replicated": {"Replicas": 1}},
        "TaskTemplate": {"ContainerSpec": {"Image": "a/b"}},
        "EndpointSpec": {"Ports": [{"Protocol": "tcp", "PublishedPort": 9000}]},
    }
    seen = dataclasses.replace(opened(9000), services=[{"Spec": spec}])
    text = service(ports=["9000:80"])

    (found,) = lint(tmp_path, text, seen)

    assert "other_web publishes it, too" in found
    assert [] == lint(tmp_path, text, seen, name="other")


def test_tcp_and_udp_of_one_port_are_two_ports(tmp_path):
    rules = [Permission("web", p, 9000, 9000, "0.0.0.0/0") for p in ("tcp", "udp")]

    assert [] == lint(tmp_path, service(ports=["9000:80", "9000:80/udp"]), facts(rules=rules))


@pytest.mark.parametrize(
    ("deploy", "expected"),
    [
        ({"replicas": 7}, "6 for 7 of web"),
        ({"replicas": 6}, ""),
        ({"mode": "global"}, ""),
        ({"replicas": 2, "placement": {"constraints": ["node.id != x", "node.labels.broker == 2"]}},
         "1 for 2 of web"),
    ],
)  # fmt: skip
def test_more_tasks_in_host_mode_than_nodes(tmp_path, deploy, expected):
    rules = [Permission("worker", "tcp", 9000, 9000, "worker")]
    web = published(mode="host", deploy=deploy)

    found = lint(tmp_path, json.dumps({"services": {"web": web}}), facts(rules=rules))

    assert bool(expected) == bool(found)
    assert expected in "".join(found)


def test_two_services_in_host_mode_on_one_node(tmp_path):
    on_master = {"placement": {"constraints": ["node.labels.typeNode == master"]}}
    both = {name: published(mode="host", deploy=on_master) for name in ("a", "b")}

    (found,) = lint(tmp_path, json.dumps({"services": both}), opened(9000))

    assert (
        "a node for each task that publishes tcp/9000 in host mode; 1 for 1 of a and 1 of b"
        in found
    )


def test_an_update_that_starts_a_second_task_on_a_port_of_the_only_node(tmp_path):
    only = {"constraints": ["node.labels.typeNode == master"]}
    web = published(
        mode="host", deploy={"placement": only, "update_config": {"order": "start-first"}}
    )

    (found,) = lint(tmp_path, json.dumps({"services": {"web": web}}), opened(9000))

    assert found.startswith("error")
    assert "it publishes tcp/9000; 1 nodes, all in use\n  next: set order: stop-first" in found


def test_a_port_that_the_security_groups_close(tmp_path):
    (found,) = lint(tmp_path, service(ports=["9000:80"]))

    assert found == (
        "error stack.yml:1: web: expected a rule that opens tcp/9000 on a node that serves it; "
        "no security group opens it\n"
        "  next: add to open_ports of 02_security_groups:  web: tcp/9000 from 0.0.0.0/0"
    )


def test_a_port_that_is_open_on_other_nodes_only(tmp_path):
    on_worker = {"placement": {"constraints": ["node.role == worker"]}}
    web = published(8080, "host", deploy=on_worker)

    (found,) = lint(tmp_path, json.dumps({"services": {"web": web}}))

    assert found.startswith("warning")
    assert "only web: tcp/8080 from 0.0.0.0/0" in found
    assert "worker: tcp/8080 from 0.0.0.0/0" in found


@pytest.mark.parametrize(("monitor", "interval"), [("5s", "30s"), ("2s", "3s"), ("20s", "1m")])
def test_an_update_that_is_watched_for_less_than_one_check(tmp_path, monitor, interval):
    check = {"test": ["CMD", "true"], "interval": interval}
    deploy = {"update_config": {"failure_action": "rollback", "monitor": monitor}}

    (found,) = lint(tmp_path, service(healthcheck=check, deploy=deploy))

    assert found.startswith("warning")
    assert (
        f"{monitor[:-1]} s, in which no check comes after the one that let the task start" in found
    )


@pytest.mark.parametrize(
    ("update", "check"),
    [
        ({"monitor": "1m"}, {"test": "true", "interval": "30s"}),
        ({}, {"test": "true", "interval": "30s"}),
        ({"monitor": "5s"}, {"test": "true", "interval": "10s"}),
        ({"monitor": "5s", "failure_action": "continue"}, {"test": "true"}),
        ({"monitor": "5s"}, {"test": ["NONE"]}),
        ({"monitor": "5s"}, {"disable": True}),
    ],
)
def test_an_update_that_is_watched_long_enough_or_not_at_all(tmp_path, update, check):
    assert [] == lint(tmp_path, service(healthcheck=check, deploy={"update_config": update}))


@pytest.mark.parametrize(
    ("top", "keys", "expected"),
    [
        (
            {"networks": {"n": {"external": True}}},
            {"networks": ["n"]},
            "the external network n; there is none\n"
            "  next: docker network create --driver overlay --attachable n",
        ),
        (
            {"networks": {"n": {"external": True, "name": "docker_gwbridge"}}},
            {"networks": ["n"]},
            "docker_gwbridge as a network of the whole Swarm; its driver is bridge",
        ),
        (
            {"networks": {"n": {"driver": "bridge"}}},
            {"networks": ["n"]},
            "bridge makes one on the manager alone\n  next: set driver: overlay",
        ),
        (
            {"secrets": {"tls": {"external": True}}},
            {"secrets": ["tls"]},
            "the external secret tls; there is none\n  next: docker secret create tls FILE",
        ),
        (
            {"configs": {"c": {"external": True, "name": "c2"}}},
            {"configs": ["c"]},
            "the external config c2; there is none\n  next: docker config create c2 FILE",
        ),
        (
            {"volumes": {"v": {"external": True}}},
            {"volumes": ["v:/v"]},
            "the external volume v wherever web may run; ip-172-31-0-4, ",
        ),
    ],
    ids=["network", "local network", "driver", "secret", "config", "volume"],
)
def test_something_external_that_does_not_exist(tmp_path, top, keys, expected):
    text = json.dumps({"services": {"web": {"image": "a/b", **keys}}, **top})

    (found,) = lint(tmp_path, text)

    assert found.startswith("error")
    assert expected in found


def test_a_volume_that_is_not_on_every_node_where_the_service_may_run(tmp_path):
    volumes = {"tiles-data": {"external": True}}
    web = {"image": "a/b", "volumes": ["tiles-data:/tiles"]}

    (found,) = lint(tmp_path, json.dumps({"services": {"web": web}, "volumes": volumes}))

    assert found.startswith("warning")
    assert "ip-172-31-0-9 lacks it and would get an empty one" in found


def test_a_secret_that_will_be_made_is_not_missing(tmp_path):
    text = json.dumps(
        {
            "services": {"web": {"image": "a/b", "secrets": ["a", "b"]}},
            "secrets": {"a": {"external": True, "name": "a2"}, "b": {"external": True}},
            "x-runbook": {"generated_secrets": ["a"]},
        }
    )

    assert [] == lint(tmp_path, text, made=["b"])


def test_dockers_own_networks_are_everywhere(tmp_path):
    networks = {"n": {"external": True, "name": "host"}}
    web = {"image": "a/b", "networks": ["n"]}

    assert [] == lint(tmp_path, json.dumps({"services": {"web": web}, "networks": networks}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("container_name", "x"),
        ("restart", "always"),
        ("network_mode", "host"),
        ("links", ["db"]),
        ("privileged", True),
        ("depends_on", ["db"]),
        ("devices", ["/dev/fuse"]),
        ("security_opt", ["no-new-privileges"]),
    ],
)
def test_a_key_that_docker_ignores(tmp_path, key, value):
    (found,) = lint(tmp_path, service(**{key: value}))

    assert f"warning stack.yml:1: web: expected keys that a Swarm uses; {key}, which is" in found


def test_an_address_of_a_port_is_ignored(tmp_path):
    (found,) = lint(tmp_path, service(ports=["127.0.0.1:9000:80"]), opened(9000))

    assert "127.0.0.1, which is ignored" in found


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (
            {"ports": ["9000:80"], "deploy": {"endpoint_mode": "dnsrr"}},
            "host mode beside dnsrr; tcp/9000 in ingress mode",
        ),
        (
            {"deploy": {"resources": {"limits": {"memory": "512"}}}},
            "at least 0.001 CPUs and 4 MiB; 512 bytes\n  next: add the unit",
        ),
        (
            {"volumes": ["a:/data", "/b:/data/:ro"]},
            "one mount on a folder; /data is mounted 2 times",
        ),
        (
            {"deploy": {"mode": "replicated-job", "update_config": {"parallelism": 1}}},
            "no update_config; a job, which has no updates",
        ),
    ],
    ids=["dnsrr", "no unit", "two mounts", "job"],
)
def test_what_swarm_refuses_in_the_middle_of_a_deployment(tmp_path, keys, expected):
    text = json.dumps({"services": {"web": {"image": "a/b", **keys}}, "volumes": {"a": {}}})

    (found,) = lint(tmp_path, text, opened(9000))

    assert found.startswith("error")
    assert expected in found


def test_a_name_that_is_too_long(tmp_path):
    (found,) = lint(tmp_path, service(), name="n" * 60)

    assert "a name of at most 63 characters; " in found


@pytest.mark.parametrize(
    ("mode", "expected"), [("global", "mine_web is replicated"), ("replicated", "")]
)
def test_a_deployed_service_keeps_its_mode(tmp_path, mode, expected):
    live = {"Name": "mine_web", "Labels": {}, "Mode": {"Replicated": {"Replicas": 1}}}
    seen = facts(services=[{"Spec": {**live, "TaskTemplate": {}}}])

    found = lint(tmp_path, service(deploy={"mode": mode}), seen)

    assert bool(expected) == bool(found)
    assert expected in "".join(found)


@pytest.mark.parametrize(
    ("severity", "reason"),
    [
        ("error", "the registry docker.io does not have it"),
        ("error", "the registry x.test is not reachable: dial tcp: lookup x.test: no such host"),
        ("warning", "the registry docker.io takes no more requests for now"),
        ("warning", "its registry did not answer within 30 s"),
    ],
)
def test_an_image_that_nobody_has(tmp_path, severity, reason):
    missing = [Unavailable("a/b", "web", reason)]

    (found,) = lint(tmp_path, service(), unavailable=missing)

    assert found.startswith(severity)
    assert f"web: expected to get the image a/b; {reason}" in found


def test_problems_are_a_table_with_the_errors_first(tmp_path):
    file = tmp_path / "stack.yml"
    file.write_text(service(restart="always", ports=["22:22"]))

    found = lint_stack(reading.read(file), "mine", facts())

    assert ["error", "warning"] == [problem.severity for problem in found]
    assert 1 == len(found.errors)
    assert found._repr_html_().startswith("<table>")
    assert "1 error, 1 warning" == repr(found).splitlines()[0]
    assert "<p>no problems</p>" == Problems()._repr_html_()


def test_all_problems_are_found_at_once_with_their_lines(tmp_path):
    text = """services:
  web:
    image: a/b
    container_name: web
    ports:
      - "9000:80"
    deploy:
      placement:
        constraints:
          - node.role == worker
          - node.labels.disk == ssd
      resources:
        reservations:
          memory: 64G
"""
    expected = [
        "error stack.yml:11: web",
        "error stack.yml:6: web",
        "warning stack.yml:4: web",
    ]

    found = lint(tmp_path, text)

    assert expected == [": ".join(one.split(": ")[:2]) for one in found]


@pytest.mark.parametrize(
    "text",
    [
        "ports: ['1-4000000000:80']",
        f"ports: ['{'9' * 5000}:80']",
        "deploy: {resources: {limits: {cpus: '1e999999999'}}}",
        "deploy: {resources: {limits: {cpus: '1e400', memory: '1e400g'}}}",
        f"deploy: {{resources: {{limits: {{memory: '{'9' * 5000}'}}}}}}",
    ],
)
def test_an_amount_that_docker_refuses_is_left_to_it(tmp_path, text):
    (tmp_path / "stack.yml").write_text(f"services:\n  a:\n    image: x\n    {text}\n")
    [found] = find_declared(reading.read(tmp_path / "stack.yml"), "app", None)
    assert ((), (0, 0)) == (found.ports, found.limits)


def test_a_value_that_is_not_shown_is_in_no_problem(tmp_path):
    (tmp_path / "values.env").write_text("A=hunter2\n")
    (tmp_path / "stack.yml").write_text("services: {a: {image: 'x:${A}'}}\n")
    stack = reading.read(tmp_path / "stack.yml", env_file=str(tmp_path / "values.env"))
    report = Report(stack, [])
    report.error(("services", "a", "image"), "the image x:hunter2", "'hunter2'", "pull x:hunter2")
    assert "hunter2" not in str(report.found)
