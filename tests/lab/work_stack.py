"""
The services of the work stack as containers of one engine, with a real RabbitMQ.
"""

import json
import time
import uuid

import cv2
import numpy as np
import pika

from tests.broker_secrets import make_secrets, password_file
from tests.engine import build_image
from tests.places import IMAGES

SURFACES = ("FOREST-JUNGLE", "OCEAN-SEA", "DESERT")
DATE = "2004-01-15"
LOCKED_UP = {"read_only": True, "tmpfs": {"/tmp": ""}, "cap_drop": ["ALL"]}


def wait_until(what, predicate, timeout_s=120.0):
    deadline = time.monotonic() + timeout_s
    while not (value := predicate()):
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s} s; last saw {value!r}"
        time.sleep(0.1)
    return value


def make_tiles(root, count):
    """
    Write blurred noise as RAW tiles, and one that is cut off; return their names.
    """
    random = np.random.default_rng(7)
    names = [f"{DATE}/5/{n // 32}/{n % 32}" for n in range(count)]
    for name in names:
        path = root / "RAW" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = random.integers(0, 256, (16, 16, 3), np.uint8)
        cv2.imwrite(str(path), cv2.resize(coarse, (256, 256), interpolation=cv2.INTER_CUBIC))
    broken = root / "RAW" / f"{names[17]}.png"
    broken.write_bytes(broken.read_bytes()[:900])
    return names, names[17]


class Stack:
    """
    One RabbitMQ and any number of services, all carrying one label.
    """

    def __init__(self, engine, folder, disk=None):
        """
        With a folder for the manager's `disk`, tiles and the broker's data are there.
        """
        self.engine = engine
        self.name = f"geodiff-test-{uuid.uuid4().hex[:8]}"
        self.disk = disk
        self.tiles = (disk or folder) / "tiles"
        for path in [self.tiles, *([disk / "broker"] if disk else [])]:
            path.mkdir(exist_ok=True)
            path.chmod(0o777)
        self.secrets = folder / "secrets"
        self.secrets.mkdir()
        self.passwords = make_secrets(self.secrets)
        self.images = {
            name: build_image(engine, IMAGES / name) for name in ("rabbitmq", "geo-diff")
        }
        self.network = engine.networks.create(self.name, labels={"geodiff-test": self.name})

    def run(self, image, name, command=None, volumes=(), **options):
        return self.engine.containers.run(
            self.images[image],
            command,
            name=f"{self.name}-{name}",
            labels={"geodiff-test": self.name},
            network=self.name,
            detach=True,
            volumes={
                str(self.secrets): {"bind": "/run/secrets", "mode": "ro"},
                str(self.tiles): {"bind": "/tiles", "mode": "rw"},
                **dict(volumes),
            },
            **options,
        )

    def start_broker(self, cpus=0.5):
        home = {str(self.disk / "broker"): {"bind": "/var/lib/rabbitmq"}} if self.disk else {}
        limits = {"nano_cpus": int(cpus * 1e9), "mem_limit": "512m", **LOCKED_UP}
        self.broker = self.run("rabbitmq", "rabbitmq", hostname="rabbitmq", volumes=home, **limits)
        self.broker.reload()
        self.address = self.broker.attrs["NetworkSettings"]["Networks"][self.name]["IPAddress"]
        wait_until("the broker answers", self._answers)

    def _answers(self):
        try:
            self.connect().close()
        except pika.exceptions.AMQPError:
            return False
        return True

    def connect(self, user="updater"):
        """
        A connection of a user; the updater may read and write all three queues of the work.
        """
        return pika.BlockingConnection(
            pika.ConnectionParameters(
                self.address, credentials=pika.PlainCredentials(user, self.passwords[user])
            )
        )

    def service(self, command, name, volumes=(), **environment):
        host = {
            "AMQP_HOST": f"{self.name}-rabbitmq",
            "RABBITMQ_PASSWORD_FILE": f"/run/secrets/{password_file(command)}",
            "TASK_ID": name,
            **environment,
        }
        return self.run(
            "geo-diff",
            name,
            command,
            volumes,
            environment=host,
            **LOCKED_UP,
        )

    def queues(self):
        code, output = self.broker.exec_run(
            ["rabbitmqctl", "list_queues", "name", "messages", "--formatter", "json", "-q"]
        )
        assert code == 0, output
        return {queue["name"]: queue["messages"] for queue in json.loads(output)}

    def results(self):
        return [path for surface in SURFACES for path in (self.tiles / surface).rglob("*.png")]

    def remove(self):
        label = {"label": f"geodiff-test={self.name}"}
        for container in self.engine.containers.list(all=True, filters=label):
            container.remove(force=True, v=True)
        self.network.remove()
