"""
How many tiles a second one tile server gives on one CPU, beside Debian's nginx with the same files,
and how long a tile takes at half of that rate. `python -m tests.bench.bench_tile_server`.

The clients (wrk, and h2load for a constant rate) run in an image of their own, on the cores that
the server leaves: where others use this machine too, tiles a second of the CPU time that the server
got say more than tiles a second.
"""

import os
import secrets
import statistics
import subprocess
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.models.containers import Container

from tests.bench.bench_worker import IMAGES, sample_tiles
from tests.engine import build_image

CLIENTS = Path(__file__).parent / "clients"
ROUNDS, ROUND_S = 2, 5
STEADY_S, CONNECTIONS = 10, 16
NGINX = ["nginx", "-e", "stderr", "-c", "/bench/nginx.conf"]
WANTED_PER_S, WANTED_P99_MS = 1000, 50


@dataclass(frozen=True)
class Throughput:
    """
    What wrk counted in one round, and the CPU time that the server used for it.
    """

    per_s: float
    per_cpu_s: float
    failed: int


@dataclass(frozen=True)
class Steady:
    """
    Latencies at a constant rate.
    """

    per_s: float
    median_ms: float
    p99_ms: float
    failed: int


class Bench:
    """
    Two servers of the same tiles, each held to one CPU, on a network of their own.
    """

    def __init__(self, folder: Path) -> None:
        url = os.environ.get("DOCKER_HOST", "unix:///run/geo-diff-runbook/docker.sock")
        self._engine = docker.DockerClient(base_url=url)
        self.name = f"geodiff-bench-{uuid.uuid4().hex[:8]}"
        self.tiles, self.given = folder / "tiles", folder / "given"
        self.given.mkdir()
        self.token = secrets.token_urlsafe(24)
        (self.given / "token").write_text(self.token)
        (self.given / "paths").write_text("\n".join(write_tiles(self.tiles)))
        subprocess.run(["chmod", "-R", "a+rX", str(folder)], check=True)
        self._images = {
            path.name: build_image(self._engine, path) for path in (IMAGES / "geo-diff", CLIENTS)
        }
        self._network = self._engine.networks.create(self.name, labels={"geodiff-bench": self.name})

    def serve(self, image: str, name: str, **options: object) -> Container:
        container = self._engine.containers.run(
            self._images[image],
            detach=True,
            name=f"{self.name}-{name}",
            labels={"geodiff-bench": self.name},
            network=self.name,
            volumes={
                str(self.tiles): {"bind": "/tiles", "mode": "ro"},
                str(self.given / "token"): {"bind": "/run/secrets/tile_api_token", "mode": "ro"},
            },
            nano_cpus=1_000_000_000,
            mem_limit="200m",
            read_only=True,
            cap_drop=["ALL"],
            tmpfs={"/tmp": ""},
            **options,
        )
        check = ["bash", "-c", "until (exec 3<>/dev/tcp/127.0.0.1/5000); do sleep 0.1; done"]
        assert container.exec_run(check).exit_code == 0
        return container

    def client(self, *command: str) -> str:
        output = self._engine.containers.run(
            self._images["clients"],
            list(command),
            remove=True,
            labels={"geodiff-bench": self.name},
            network=self.name,
            volumes={str(self.given): {"bind": "/given", "mode": "ro"}},
        )
        return output.decode()

    def throughput(self, server: Container) -> Throughput:
        """
        As many tiles as it gives to sixteen connections.
        """
        before = cpu_s(server)
        url = f"http://{server.name}:5000"
        script = ("-s", "/bench/tiles.lua", url)
        output = self.client("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{ROUND_S}s", *script)
        used_s = cpu_s(server) - before
        line = next(line for line in output.splitlines() if line.startswith("RESULT"))
        count, duration_us, failed = map(int, line.split()[1:])
        return Throughput(count / duration_us * 1e6, count / used_s, failed)

    def steady(self, server: Container, per_s: float) -> Steady:
        """
        A constant rate, whatever the answers take, as the log of each request tells.
        """
        load = (
            f"h2load --h1 -c {CONNECTIONS} -t 1 -D {STEADY_S} --rps {per_s / CONNECTIONS:.2f} "
            f'-H "Authorization: Bearer $(cat /given/token)" -B http://{server.name}:5000 '
            "-i /given/paths --log-file /tmp/log >/dev/null && cat /tmp/log"
        )
        rows = [line.split("\t") for line in self.client("sh", "-c", load).splitlines()]
        taken_ms = [int(row[2]) / 1000 for row in rows]
        failed = sum(row[1] != "200" for row in rows)
        span_s = (max(int(row[0]) for row in rows) - min(int(row[0]) for row in rows)) / 1e6
        p99_ms = statistics.quantiles(taken_ms, n=100)[98]
        return Steady(len(rows) / span_s, statistics.median(taken_ms), p99_ms, failed)

    def remove(self) -> None:
        label = {"label": f"geodiff-bench={self.name}"}
        for container in self._engine.containers.list(all=True, filters=label):
            container.remove(force=True, v=True)
        self._network.remove()
        self._engine.close()


def write_tiles(root: Path) -> list[str]:
    """
    Write real imagery and what the worker makes of it; return the names, as in the URL.
    """
    from geodiff.segmentation import segment  # noqa: PLC0415 - on the path since bench_worker
    from geodiff.tiles import RAW, Tile  # noqa: PLC0415

    names = []
    for number, data in enumerate(sample_tiles()):
        tile = Tile("2004-01-15", 4, number // 16, number % 16)
        layers = {RAW: data} | {surface.name: surface.png for surface in segment(data)}
        for layer, content in layers.items():
            path = tile.path(root, layer)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            names.append(f"/{layer}/{tile}")
    return names


def cpu_s(container: Container) -> float:
    return container.stats(stream=False)["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9


def rss_mib(container: Container) -> float:
    """
    Return the memory of all its processes.
    """
    rows = container.top(ps_args="-eo pid,rss")["Processes"]
    return sum(int(row[1]) for row in rows) / 1024


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        try:
            measure(bench)
        finally:
            bench.remove()


def measure(bench: Bench) -> None:
    origin = {"UI_ORIGIN": "http://127.0.0.1:8080"}
    servers = {
        "tile server": bench.serve("geo-diff", "tiles", command="tile-server", environment=origin),
        "nginx": bench.serve("clients", "nginx", command=NGINX, user="1000"),
    }
    tiles = servers["tile server"]
    rounds: dict[str, list[Throughput]] = {name: [] for name in servers}
    for _ in range(ROUNDS):  # in turns, so that a noisy neighbour troubles both alike
        for name, server in servers.items():
            rounds[name].append(bench.throughput(server))
    before_mib = rss_mib(tiles)
    best = {name: max(found, key=lambda each: each.per_s) for name, found in rounds.items()}
    for name, found in best.items():
        print(
            f"{found.per_s:8.0f} tiles/s  {found.per_cpu_s:8.0f} in a second of CPU  "
            f"{sum(each.failed for each in rounds[name])} failed  {name}, 1 CPU, best of {ROUNDS}"
        )
    ours, reference = best["tile server"], best["nginx"]
    print(f"{ours.per_s:8.0f} tiles/s, at least {WANTED_PER_S}")
    print(f"{ours.per_s / reference.per_s:8.2f} of nginx; of its tiles in a second of CPU: "
          f"{ours.per_cpu_s / reference.per_cpu_s:.2f}")  # fmt: skip
    half, wanted = WANTED_PER_S / 2, f", below {WANTED_P99_MS}"
    # nginx at the same rate tells how much of a latency is the machine's
    loads = (tiles, half, wanted), (tiles, ours.per_s / 2, wanted), (servers["nginx"], half, "")
    for server, rate, limit in loads:
        found = bench.steady(server, rate)
        print(
            f"{found.p99_ms:8.1f} ms p99{limit} (median {found.median_ms:.1f}) at "
            f"{found.per_s:.0f} of {rate:.0f} tiles/s, {found.failed} failed  "
            f"{server.name.split('-')[-1]}"
        )
    after_mib = rss_mib(tiles)
    print(f"{after_mib:8.1f} MiB of memory, {after_mib / before_mib:.2f} of that before")


if __name__ == "__main__":
    main()
