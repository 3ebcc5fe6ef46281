"""
The services of the work stack against a real RabbitMQ: nothing is lost, whoever is killed.

Containers on the Docker engine that DOCKER_HOST names, or on the runbook's own.
"""

import functools
import json
import os

import pika
import pytest
from geodiff import control
from geodiff.png_encoder import _chunk

from tests.broker_secrets import USERS
from tests.engine import build_image, ready_engine
from tests.lab.work_stack import SURFACES, Stack, make_tiles, wait_until
from tests.places import IMAGES

pytestmark = pytest.mark.lab

TILES = 300
OWN_ENGINE = "unix:///run/geo-diff-runbook/docker.sock"
# OpenCV with a fault: what has this chunk ends its process. Python imports it when it starts.
FAULT = """
import os
import cv2
decode = cv2.imdecode
def hostile(data, flags):
    if b"PLTEkill" in bytes(data):
        os.kill(os.getpid(), 9)
    return decode(data, flags)
cv2.imdecode = hostile
"""


def docker_socket():
    return os.environ.get("DOCKER_HOST", OWN_ENGINE).removeprefix("unix://")


@pytest.fixture
def engine():
    client = ready_engine()
    yield client
    client.close()


@pytest.fixture
def stack(engine, tmp_path):
    stack = Stack(engine, tmp_path)
    try:
        yield stack
    finally:
        stack.remove()


def test_every_tile_gets_its_results_although_worker_and_updater_are_killed(stack):
    """
    Exactly three results for each good tile, the broken one in the dead letter queue, all else
    empty; then every task once more, and no file is touched.
    """
    names, broken = make_tiles(stack.tiles, TILES)
    stack.start_broker()
    # it deals a sixth; a second one deals the rest, once they were killed: there is work left,
    # however fast the machine is
    dealer = stack.service("dealer", "dealer", BATCH="50", WAIT="600")
    workers = [stack.service("worker", f"worker-{n}", KEEP_ALIVE="0.5") for n in range(2)]
    updaters = [stack.service("updater", f"updater-{n}") for n in range(2)]

    wait_until("the first results", lambda: len(stack.results()) > 60)
    for victim in (workers[0], updaters[0]):
        victim.kill("SIGKILL")
        victim.start()
    rejection = stack.tiles / "REJECTED" / f"{broken}.json"
    wait_until("the rejection", rejection.exists)
    dealer.kill("SIGKILL")
    stack.service("dealer", "second-dealer", BATCH="50", WAIT="0.6")

    expected = {stack.tiles / s / f"{n}.png" for s in SURFACES for n in names if n != broken}
    wait_until("all results", lambda: len(stack.results()) >= len(expected))
    idle = {"TASK_QUEUE": 0, "RESULT_QUEUE": 0, "DEAD_LETTER_QUEUE": 1}
    wait_until("idle queues", lambda: idle.items() <= stack.queues().items())

    assert expected == set(stack.results())
    assert "chunk IDAT at byte" in json.loads(rejection.read_text())["reason"]
    assert [] == list(stack.tiles.rglob("*.writing"))

    stamps = {path: path.stat().st_mtime_ns for path in (*expected, rejection)}
    with stack.connect() as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        _, properties, body = channel.basic_get("DEAD_LETTER_QUEUE", auto_ack=True)
        assert (broken, (stack.tiles / "RAW" / f"{broken}.png").read_bytes()) == (
            properties.message_id,
            body,
        )
        assert "chunk IDAT at byte" in properties.headers["reason"]
        for name in names[:40]:
            raw = stack.tiles / "RAW" / f"{name}.png"
            headers = {"raw-mtime-ns": raw.stat().st_mtime_ns}
            again = pika.BasicProperties(message_id=name, headers=headers)
            channel.basic_publish("TASK_QUEUE", "", raw.read_bytes(), again, mandatory=True)
    wait_until("idle queues again", lambda: idle.items() <= stack.queues().items())
    assert stamps == {path: path.stat().st_mtime_ns for path in stamps}

    for service in (*workers, *updaters):
        service.stop(timeout=10)
        service.reload()
        assert 0 == service.attrs["State"]["ExitCode"], service.logs().decode()[-2000:]


def test_a_tile_that_ends_its_process_is_rejected_and_the_tiles_behind_it_are_done(stack):
    """The worker lives on, so nothing is delivered again: its queue is a classic one."""
    names, _ = make_tiles(stack.tiles, TILES)
    fatal = names[1]
    path = stack.tiles / "RAW" / f"{fatal}.png"
    data = path.read_bytes()
    path.write_bytes(data[:33] + _chunk(b"PLTE", b"kill") + data[33:])
    (stack.tiles / "fault").mkdir()
    (stack.tiles / "fault" / "sitecustomize.py").write_text(FAULT)
    stack.start_broker()
    stack.service("dealer", "dealer", BATCH="300", WAIT="0.1")
    stack.service("updater", "updater")
    app = "/opt/geodiff/app"
    worker = stack.service("worker", "worker", PYTHONPATH=f"/tiles/fault:{app}")

    wait_until("all results", lambda: len(stack.results()) >= 3 * (TILES - 2))
    rejection = stack.tiles / "REJECTED" / f"{fatal}.json"
    wait_until("the rejection", rejection.exists)
    reason = "3 times, the process that segments it ended with -9"
    assert reason == json.loads(rejection.read_text())["reason"]
    worker.reload()
    assert ("running", 0) == (worker.status, worker.attrs["RestartCount"])
    idle = {"TASK_QUEUE": 0, "RESULT_QUEUE": 0, "DEAD_LETTER_QUEUE": 2}
    wait_until("idle queues", lambda: idle.items() <= stack.queues().items())


def may(connect, act):
    """Whether the broker lets a user do it; if not, it closes the channel."""
    try:
        with connect() as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            act(channel)
    except pika.exceptions.ChannelClosedByBroker:
        return False
    return True


WORK = {"RESULT_QUEUE", "TASK_QUEUE", "DEAD_LETTER_QUEUE"}
QUEUES = {*WORK, "KEEP_ALIVE_QUEUE", "CONTROL_QUEUE"}
WRITES = {
    "geodiff": set(),
    "dealer": {"TASK_QUEUE"},
    "worker": {"RES_XCHG", "KEEP_ALIVE_QUEUE", "DEAD_LETTER_QUEUE"},
    "updater": WORK,
    "admin-worker": {"CONTROL_QUEUE"},
}
READS = {
    "geodiff": QUEUES,
    "dealer": {"CONTROL_QUEUE"},
    "worker": {"TASK_QUEUE"},
    "updater": WORK,
    "admin-worker": {"KEEP_ALIVE_QUEUE"},
}


def test_each_user_may_do_what_its_service_does_and_no_more(stack):
    """The default exchange would reach every queue; and nobody makes or deletes one."""
    stack.start_broker()
    for user in USERS:
        connect = functools.partial(stack.connect, user)
        writes = {
            exchange
            for exchange in (*QUEUES, "RES_XCHG", "")
            if may(connect, lambda channel, to=exchange: channel.basic_publish(to, "", b"x"))
        }
        reads = {q for q in QUEUES if may(connect, lambda channel, q=q: channel.basic_get(q))}
        assert (WRITES[user], READS[user]) == (writes, reads), user
        assert not may(connect, lambda channel: channel.queue_delete("TASK_QUEUE")), user
        assert not may(connect, lambda channel: channel.queue_declare("other")), user
    listed = ["rabbitmqctl", "-q", "--formatter", "json", "list_users"]
    code, output = stack.broker.exec_run(listed)
    assert code == 0, output
    tags = {tag for entry in json.loads(output) for tag in entry["tags"]}
    assert {"management", "monitoring"} == tags


def test_the_brokers_volume_has_no_secret(stack):
    """It outlives the broker."""
    stack.start_broker()
    cookie = (stack.secrets / "rabbitmq_erlang_cookie").read_text()
    find = ["grep", "-rlF", "--", cookie, "/var/lib/rabbitmq"]
    assert (1, b"") == tuple(stack.broker.exec_run(find))


@pytest.fixture
def gate(engine):
    """
    Start scaler or reaper without capabilities, as the stack file does; return its address.
    """
    image = build_image(engine, IMAGES / "geo-diff")
    started = []

    def start(command, **options):
        container = engine.containers.run(image, command, detach=True, cap_drop=["ALL"], **options)
        started.append(container)
        container.reload()
        return container

    yield start
    for container in started:
        container.remove(force=True, v=True)


def with_the_socket(command):
    return {
        "command": [command],
        "user": "0",
        "read_only": True,
        "tmpfs": {"/tmp": ""},
        "environment": {"WORKER_SERVICE": "s_worker", "REAPER_SERVICE": "s_reaper"},
        "volumes": {docker_socket(): {"bind": "/var/run/docker.sock", "mode": "ro"}},
    }


def address_of(container):
    wait_until("its port", lambda: "listening" in container.logs().decode())
    return f"{container.attrs['NetworkSettings']['Networks']['bridge']['IPAddress']}:8000"


def test_the_scaler_asks_the_engine_about_the_workers_and_nothing_else(gate):
    """
    What gets through is answered by the engine, which is no Swarm; 403 is the scaler's own word.
    """
    scaler = address_of(gate(**with_the_socket("scaler")))
    for method, path in [("GET", "/workers"), ("POST", "/workers/3")]:
        with pytest.raises(control.ControlError, match=r"502 .*not a swarm manager"):
            control.call(scaler, method, path)
    for method, path in [("GET", "/info"), ("POST", "/services/s_worker/update"),
                         ("POST", "/containers/create"), ("POST", "/kill/t1")]:  # fmt: skip
        with pytest.raises(control.ControlError, match=r"40[03]"):
            control.call(scaler, method, path)


def test_the_reaper_kills_the_container_of_a_workers_task_and_no_other(gate):
    labels = {"com.docker.swarm.service.name": "s_worker", "com.docker.swarm.task.id": "t1"}
    foreign = labels | {"com.docker.swarm.service.name": "rabbitmq"}
    worker, other = (
        gate(command=["300"], entrypoint=["sleep"], labels=each)
        for each in (labels, foreign | {"com.docker.swarm.task.id": "t2"})
    )
    reaper = address_of(gate(**with_the_socket("reaper")))
    with pytest.raises(control.ControlError, match=r"404 .*no such task of s_worker"):
        control.call(reaper, "POST", "/kill/t2")
    assert {"killed": "t1"} == control.call(reaper, "POST", "/kill/t1")
    assert 137 == worker.wait(timeout=60)["StatusCode"]
    other.reload()
    assert "running" == other.status
