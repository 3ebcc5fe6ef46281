"""
Three real brokers behind the real proxy: what is confirmed is never lost, work goes on without one
of them and stops without two.

Containers on the Docker engine that DOCKER_HOST names, or on the runbook's own.
"""

import asyncio
import json
import os
import socket
import time
import uuid
from contextlib import suppress
from dataclasses import replace

import pytest
from geodiff.broker import Link
from geodiff.carry import QUEUES, Carrier
from geodiff.settings import BrokerSettings
from geodiff.topology import DEAD_LETTER_QUEUE, TASK_QUEUE

from tests.broker_secrets import make_secrets
from tests.engine import build_image, ready_engine
from tests.lab.work_stack import wait_until
from tests.places import IMAGES

pytestmark = pytest.mark.lab

NODES = ("rabbitmq-1", "rabbitmq-2", "rabbitmq-3")
BODY = os.urandom(20_000)


def says_hello(address):
    """
    Whether a broker answers there, be it through the proxy.
    """
    with suppress(OSError), socket.create_connection((address, 5672), 2) as connection:
        connection.sendall(b"AMQP\0\0\x09\x01")
        return connection.recv(1) == b"\x01"
    return False


class Brokers:
    """
    Containers of brokers and their proxy on a network of their own.
    """

    def __init__(self, engine, folder):
        self.engine = engine
        self.name = f"geodiff-test-{uuid.uuid4().hex[:8]}"
        self.secrets = folder
        password = make_secrets(folder)["updater"]  # who carries messages over
        self.images = {
            name: build_image(engine, IMAGES / name) for name in ("rabbitmq", "broker-proxy")
        }
        self.network = engine.networks.create(self.name, labels={"geodiff-test": self.name})
        self.settings = BrokerSettings("", 5672, 15672, "updater", password, "/", 20)
        self.containers = {}

    def start(self, name, image="rabbitmq", environment=None):
        container = self.engine.containers.create(
            self.images[image],
            name=f"{self.name}-{name}",
            hostname=name,
            labels={"geodiff-test": self.name},
            environment=environment or {},
            volumes={str(self.secrets): {"bind": "/run/secrets", "mode": "ro"}},
            read_only=True,
            tmpfs={"/tmp": ""},
            cap_drop=["ALL"],
            mem_limit="512m" if image == "rabbitmq" else "64m",
            # as Swarm does: a node whose peer goes while it boots gives up, and tries again
            restart_policy={"Name": "on-failure"},
        )
        self.engine.networks.get("bridge").disconnect(container)
        self.network.connect(container, aliases=[name])
        container.start()
        self.containers[name] = container

    def address(self, name):
        self.containers[name].reload()
        return self.containers[name].attrs["NetworkSettings"]["Networks"][self.name]["IPAddress"]

    def at(self, name):
        return replace(self.settings, host=self.address(name))

    def queues(self, node):
        columns = ["name", "type", "members", "online", "leader", "messages"]
        command = ["rabbitmqctl", "-q", "--formatter", "json", "list_queues", *columns]
        code, output = self.containers[node].exec_run(command)
        assert code == 0, output
        return {queue["name"]: queue for queue in json.loads(output)}

    def is_alive(self, node):
        return self.containers[node].exec_run(["bash", "/opt/alive.sh"]).exit_code == 0

    def remove(self):
        label = {"label": f"geodiff-test={self.name}"}
        for container in self.engine.containers.list(all=True, filters=label):
            container.remove(force=True, v=True)
        self.network.remove()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """
    Three nodes that start at the same time, the proxy, and the queues that they make.
    """
    engine = ready_engine()
    brokers = Brokers(engine, tmp_path_factory.mktemp("secrets"))
    try:
        for node in reversed(NODES):
            brokers.start(node, environment={"CLUSTER_NODES": " ".join(NODES)})
        brokers.start("broker-proxy", "broker-proxy")
        for node in NODES:
            wait_until(f"{node} serves", lambda node=node: says_hello(brokers.address(node)))
        wait_until("the proxy lets in", lambda: says_hello(brokers.address("broker-proxy")))
        wait_until("three members of each queue", lambda: is_whole(brokers))
        yield brokers
    finally:
        brokers.remove()
        engine.close()


def is_whole(brokers):
    queues = brokers.queues(NODES[0]).values()
    return queues and all(q["type"] == "quorum" and len(q["online"]) == 3 for q in queues)


async def publish(settings, queue, names):
    """
    Publish until each message is confirmed, on a new connection if need be.
    """
    left = list(names)
    deadline = time.monotonic() + 60
    while True:
        with suppress(OSError):
            link = await Link.open(settings)
            try:
                while left:
                    await asyncio.wait_for(link.publish(queue, BODY, message_id=left[0]), 20)
                    left.pop(0)
                return
            finally:
                await link.close()
        assert time.monotonic() < deadline, f"{len(left)} messages were not confirmed"
        await asyncio.sleep(0.2)


async def consume(settings, queue, seen, is_done):
    """
    Take messages and acknowledge them until `is_done`, on a new connection if need be.
    """
    deadline = time.monotonic() + 60
    while not is_done():
        with suppress(OSError):
            link = await Link.open(settings)

            def take(delivery, link=link):
                seen.append(delivery.message_id)
                link.ack(delivery)

            try:
                await link.consume(queue, 8, take)
                while not is_done() and not link.lost.done():
                    assert time.monotonic() < deadline, f"{len(seen)} messages came"
                    await asyncio.sleep(0.1)
            finally:
                await link.close()
        await asyncio.sleep(0.2)


def test_nothing_is_lost_and_work_goes_on_while_the_leaders_node_is_killed(cluster):
    """
    Publishers and consumers share the proxy; the node is killed in the middle, and comes back.
    """
    proxy = cluster.at("broker-proxy")
    victim = cluster.queues(NODES[0])[TASK_QUEUE]["leader"].partition("@")[2]
    before, after = ([f"{phase}-{n}" for n in range(300)] for phase in ("before", "after"))
    wanted, seen = {*before, *after}, []

    async def work():
        consumer = asyncio.create_task(
            consume(proxy, TASK_QUEUE, seen, lambda: wanted <= set(seen))
        )
        publisher = asyncio.create_task(publish(proxy, TASK_QUEUE, before))
        while len(seen) < 50:
            await asyncio.sleep(0.05)
        await asyncio.to_thread(cluster.containers[victim].kill, "SIGKILL")
        await publisher
        await publish(proxy, TASK_QUEUE, after)  # all of it without that node
        await consumer

    asyncio.run(asyncio.wait_for(work(), 120))
    assert wanted == set(seen)
    cluster.containers[victim].reload()
    assert "running" != cluster.containers[victim].status

    cluster.containers[victim].start()
    wait_until("it is back", lambda: says_hello(cluster.address(victim)))
    wait_until("three members again", lambda: is_whole(cluster))


async def take_and_end(settings, queue, most):
    """
    Take a message and end without a word about it, so many times; return the deliveries.
    """
    taken = []
    for _ in range(most):
        link = await Link.open(settings)
        count = len(taken)
        await link.consume(queue, 1, taken.append)
        for _ in range(200):
            if len(taken) > count:
                break
            await asyncio.sleep(0.01)
        await link.close()
    return taken


def test_a_message_that_ends_its_reader_is_buried_after_twenty_one_deliveries(cluster):
    """
    It would come back for ever. By default RabbitMQ 4 drops it instead, without a trace.
    """
    proxy = cluster.at("broker-proxy")
    asyncio.run(publish(proxy, TASK_QUEUE, ["fatal"]))
    taken = asyncio.run(asyncio.wait_for(take_and_end(proxy, TASK_QUEUE, 24), 240))
    assert ["fatal"] * 21 == [delivery.message_id for delivery in taken]
    seen = []
    asyncio.run(consume(proxy, DEAD_LETTER_QUEUE, seen, lambda: seen))
    assert ["fatal"] == seen


def test_a_dead_letter_that_is_looked_at_often_is_not_dropped(cluster):
    """
    RabbitMQ 4 drops it after twenty times, unless told otherwise.
    """
    proxy = cluster.at("broker-proxy")
    asyncio.run(publish(proxy, DEAD_LETTER_QUEUE, ["unlucky"]))
    taken = asyncio.run(asyncio.wait_for(take_and_end(proxy, DEAD_LETTER_QUEUE, 25), 240))
    assert ["unlucky"] * 25 == [delivery.message_id for delivery in taken]
    seen = []
    asyncio.run(consume(cluster.at("broker-proxy"), DEAD_LETTER_QUEUE, seen, lambda: seen))
    assert ["unlucky"] == seen


def test_a_single_brokers_messages_are_carried_over_and_only_those(cluster):
    """
    And a second time there is nothing to carry.
    """
    cluster.start("rabbitmq")
    wait_until("the single broker serves", lambda: says_hello(cluster.address("rabbitmq")))
    names = {queue: [f"{queue}-{n}" for n in range(40)] for queue in QUEUES}
    for queue in QUEUES:
        asyncio.run(publish(cluster.at("rabbitmq"), queue, names[queue]))

    for expected in (40, 0):
        carrier = Carrier(cluster.at("rabbitmq"), cluster.at("broker-proxy"))
        asyncio.run(asyncio.wait_for(carrier.start(asyncio.Event()), 60))
        assert dict.fromkeys(QUEUES, expected) == carrier.carried
    for queue in QUEUES:
        seen = []
        done = lambda queue=queue, seen=seen: len(seen) == len(names[queue])  # noqa: E731
        asyncio.run(consume(cluster.at("broker-proxy"), queue, seen, done))
        assert names[queue] == sorted(seen, key=names[queue].index)
    cluster.containers["rabbitmq"].remove(force=True, v=True)


def test_a_minority_pauses_and_goes_on_where_it_was(cluster):
    """
    Alone, a node must not serve: the two others might do so elsewhere. It stays alive meanwhile, so
    that Swarm does not kill it, and what was confirmed before is there afterwards.
    """
    names = [f"kept-{n}" for n in range(20)]
    asyncio.run(publish(cluster.at("broker-proxy"), TASK_QUEUE, names))
    for node in NODES[1:]:
        cluster.containers[node].kill("SIGKILL")
    wait_until("it pauses", lambda: not says_hello(cluster.address(NODES[0])))
    wait_until("nobody is let in", lambda: not says_hello(cluster.address("broker-proxy")))
    assert cluster.is_alive(NODES[0])

    for node in NODES[1:]:
        cluster.containers[node].start()
    wait_until("it serves again", lambda: says_hello(cluster.address("broker-proxy")))
    seen = []
    asyncio.run(consume(cluster.at("broker-proxy"), TASK_QUEUE, seen, lambda: len(seen) >= 20))
    assert names == sorted(set(seen), key=names.index)
    wait_until("three members again", lambda: is_whole(cluster))


def test_a_node_that_lost_its_data_joins_again_instead_of_founding_a_second_cluster(cluster):
    """
    Also the founder, whose name the others still know.
    """
    cluster.containers[NODES[0]].remove(force=True, v=True)
    cluster.start(NODES[0], environment={"CLUSTER_NODES": " ".join(NODES)})
    wait_until("it serves", lambda: says_hello(cluster.address(NODES[0])))
    wait_until("three members again", lambda: is_whole(cluster))
