"""
The stack `board` in a Swarm in memory: its specifications, deployed one after another.
"""

from pathlib import Path

from runbook_lib.stacks.compose.stack_file import StackFile
from runbook_lib.stacks.compose.variables import Variable
from tests.fakes.docker import Engine, Service

FILE = StackFile(Path("board.yml"), {"services": {}})
HIDDEN = Variable("A", "5", "values.env:1", "board.yml:3", shown=False)
STACK = "com.docker.stack.namespace"


def spec(name, image="board:1", *, replicas=1, networks=(), secrets=(), **labels):
    container = {"Image": image}
    if secrets:
        container["Secrets"] = [{"SecretID": f"id of {s}", "SecretName": s} for s in secrets]
    return {
        "Name": f"board_{name}",
        "Labels": {STACK: "board", **labels},
        "TaskTemplate": {
            "ContainerSpec": container,
            "Networks": [{"Target": network} for network in networks],
        },
        "Mode": {"Replicated": {"Replicas": replicas}},
    }


def manager(*specs, **more):
    return Engine(services=[Service(its["Name"], its) for its in specs], **more)


def deploy(engine, *specs):
    """As a deployment does: what it has not is removed."""
    for service in list(engine.services):
        service.remove()
    for its in specs:
        engine.services.add(Service(its["Name"], its))


def live(engine):
    return {service.name: service.attrs["Spec"] for service in engine.services}
