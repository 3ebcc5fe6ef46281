"""
What the Swarm stores and what Docker's command line sends, compared.
"""

from copy import deepcopy

import pytest

from runbook_lib.stacks.deployment.spec_fields import canonical, differences, restarts

SENT = {
    "Name": "app_web",
    "Labels": {"com.docker.stack.image": "web:1", "com.docker.stack.namespace": "app"},
    "TaskTemplate": {
        "ContainerSpec": {
            "Image": "web:1@sha256:aa",
            "Env": ["A=1", "B=x=y", "EMPTY=", "INHERITED"],
            "Privileges": {"CredentialSpec": None, "SELinuxContext": None},
            "Mounts": [
                {"Type": "bind", "Source": "/a", "Target": "/a", "BindOptions": {}},
                {"Type": "volume", "Source": "v", "Target": "/v", "VolumeOptions": {"Labels": {}}},
            ],
            "Secrets": [{"File": {"Name": "t", "Mode": 292}, "SecretID": "s", "SecretName": "t"}],
        },
        "Resources": {"Limits": {"NanoCPUs": 500000000}},
        "RestartPolicy": {"Delay": 0},
        "Placement": {"Constraints": ["node.role==manager", "node.labels.a==b"]},
        "Networks": [{"Target": "app_default", "Aliases": ["web"]}],
        "ForceUpdate": 0,
    },
    "Mode": {"Replicated": {}},
    "UpdateConfig": {"Parallelism": 0, "MaxFailureRatio": 0},
    "EndpointSpec": {"Ports": [{"TargetPort": 80, "PublishedPort": 8080}]},
}
STORED = {
    "Name": "app_web",
    "Labels": {"com.docker.stack.namespace": "app"},
    "TaskTemplate": {
        "ContainerSpec": {
            "Image": "web:1@sha256:aa",
            "Env": ["INHERITED", "EMPTY=", "B=x=y", "A=1"],
            "Isolation": "default",
            "Mounts": [
                {"Type": "volume", "Source": "v", "Target": "/v", "VolumeOptions": {}},
                {"Type": "bind", "Source": "/a", "Target": "/a", "Consistency": "default"},
            ],
            "Secrets": [
                {
                    "File": {"Name": "t", "UID": "", "GID": "", "Mode": 292},
                    "SecretID": "s",
                    "SecretName": "t",
                }
            ],
        },
        "Resources": {"Limits": {"NanoCPUs": 500000000}, "Reservations": {}},
        "RestartPolicy": {"Condition": "any", "Delay": 0, "MaxAttempts": 0},
        "Placement": {
            "Constraints": ["node.labels.a==b", "node.role==manager"],
            "Platforms": [{"Architecture": "amd64", "OS": "linux"}],
        },
        "Networks": [{"Target": "n1", "Aliases": ["web"]}],
        "ForceUpdate": 0,
        "Runtime": "container",
    },
    "Mode": {"Replicated": {"Replicas": 1}},
    "UpdateConfig": {"Parallelism": 0, "FailureAction": "pause", "Order": "stop-first"},
    "EndpointSpec": {
        "Mode": "vip",
        "Ports": [
            {"TargetPort": 80, "PublishedPort": 8080, "Protocol": "tcp", "PublishMode": "ingress"}
        ],
    },
}
CONTAINER = "TaskTemplate.ContainerSpec"


def fields(old, new):
    return differences(canonical(old, {"n1": "app_default"}), canonical(new, {}))


def test_what_is_stored_equals_what_was_sent():
    assert [] == fields(STORED, SENT)


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ((CONTAINER, "Env"), ["A=2", "B=x=y", "EMPTY=", "INHERITED"], ("Env.A", "1", "2")),
        ((CONTAINER, "Env"), ["A=1", "B=x=y", "EMPTY="], ("Env.INHERITED", "(unset)", None)),
        ((CONTAINER, "Init"), False, ("Init", None, False)),
        ((CONTAINER, "ReadOnly"), True, ("ReadOnly", None, True)),
        (("Mode", "Replicated"), {"Replicas": 0}, ("Mode.Replicated.Replicas", 1, 0)),
        (("UpdateConfig", "Parallelism"), 2, ("UpdateConfig.Parallelism", 0, 2)),
        (("UpdateConfig", "Order"), "start-first", ("UpdateConfig.Order", None, "start-first")),
        (("EndpointSpec", "Mode"), "dnsrr", ("EndpointSpec.Mode", "vip", "dnsrr")),
        (("TaskTemplate.RestartPolicy", "Delay"), 5, ("RestartPolicy.Delay", 0, 5)),
        (("Labels", "note"), "", ("Labels.note", None, "")),
        (
            ("TaskTemplate.Placement", "Constraints"),
            ["node.role==manager"],
            ("Constraints", ["node.labels.a==b", "node.role==manager"], ["node.role==manager"]),
        ),
    ],
)
def test_one_change_is_one_field(path, value, expected):
    changed = deepcopy(SENT)
    place = changed
    for name in path[0].split("."):
        place = place[name]
    place[path[1]] = value

    [(field, *values)] = fields(STORED, changed)

    assert (True, list(expected[1:])) == (field.endswith(expected[0]), values)


def test_a_port_a_mount_and_a_network_are_known_by_name():
    changed = deepcopy(SENT)
    changed["EndpointSpec"]["Ports"].insert(0, {"TargetPort": 81, "PublishedPort": 81})
    changed["TaskTemplate"]["ContainerSpec"]["Mounts"][1]["Source"] = "w"
    changed["TaskTemplate"]["Networks"] = [{"Target": "other"}]

    assert [
        (f"{CONTAINER}.Mounts./v.Source", "v", "w"),
        ("TaskTemplate.Networks.app_default.Target", "app_default", None),
        ("TaskTemplate.Networks.app_default.Aliases", ["web"], None),
        ("TaskTemplate.Networks.other.Target", None, "other"),
        ("EndpointSpec.Ports.81:81/tcp.TargetPort", None, 81),
        ("EndpointSpec.Ports.81:81/tcp.PublishedPort", None, 81),
    ] == fields(STORED, changed)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"{CONTAINER}.Image", True),
        ("EndpointSpec.Ports.80:80/tcp.TargetPort", True),
        ("Mode.Replicated.Replicas", False),
        ("UpdateConfig.Parallelism", False),
        ("Labels.note", False),
        ("TaskTemplate.Placement.Constraints", False),
    ],
)
def test_only_a_change_of_the_tasks_restarts_them(path, expected):
    assert expected is restarts([path])
