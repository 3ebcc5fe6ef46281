"""
The cost of tiles on S3: measured throughput, and money by list prices.

The measurement runs an updater's and a tile server's work on S3 and on the local disk, in the
services' own image, with an updater's eight threads, CPU and memory limits. The two places
alternate in one run, so that other load on the machine affects both.

The prices are for S3 Standard in us-east-1; other regions differ by up to a half:
https://aws.amazon.com/s3/pricing/ . Transfers to instances of the same region are free.
"""

import json
from typing import Any

import docker
import pandas as pd

from runbook_lib.availability.tiles_on_s3.volume_users import find_users
from runbook_lib.cloud.tiles_bucket import Content
from runbook_lib.core.charts import alt
from runbook_lib.core.errors import NotFoundError
from runbook_lib.core.progress import Progress
from runbook_lib.geodiff.tiles import VOLUME

DISK, S3 = "local disk", "S3"
WRITE, READ = "results written", "tiles read"
USD_PER_GIB_MONTH = 0.023
USD_PER_WRITE, USD_PER_READ = 0.005 / 1000, 0.0004 / 1000  # PUT, COPY and LIST are writes
_LABEL = "runbook.volume-speed"  # on a measurement's resources, to find those of a killed one

# runs in a container of the services' image
_WORK = """
import itertools, json, shutil, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from geodiff.tiles import SURFACES, write_atomic
seconds, rounds, threads = float(sys.argv[1]), int(sys.argv[2]), 8
found = (f for s in SURFACES for f in sorted(Path("/tiles", s).glob("*/*/*/*.png")))
bodies = [f.read_bytes() for f in itertools.islice(found, 200)]
pool = ThreadPoolExecutor(threads)
def timed(act):
    began = time.perf_counter()
    def work(thread):
        made = []
        while time.perf_counter() < began + seconds or not made:
            made.append(act(thread, len(made)))
        return made
    done = [one for made in pool.map(work, range(threads)) for one in made]
    return len(done), sum(done), time.perf_counter() - began
if Path("/tiles/.speed").exists():  # of one that was killed
    shutil.rmtree("/tiles/.speed")
rows = []
for number in range(rounds):
    places = [("local disk", Path("/disk/.speed")), ("S3", Path("/tiles/.speed"))]
    for where, root in places if number % 2 == 0 else places[::-1]:
        written = [0] * threads
        def path(thread, count):
            return root / str(thread) / f"{count}.png"
        def write(thread, count):
            written[thread] += 1
            return write_atomic(path(thread, count), bodies[count % len(bodies)])
        def read(thread, count):
            count %= written[thread]
            return path(thread, count).read_bytes() == bodies[count % len(bodies)]
        for work, act in (("results written", write), ("tiles read", read)):
            rows.append((number + 1, where, work, *timed(act)))
        shutil.rmtree(root)
print(json.dumps(rows))
"""


def measure_speed(
    manager: docker.DockerClient, leader: docker.DockerClient, *, seconds: float, rounds: int
) -> pd.DataFrame:
    """
    Write real results, then read them, for some seconds in each place, `rounds` times.

    Columns: round, where, work, files, good (files that were new when written, or equal when read),
    seconds, per_s. The folder on the disk is a volume of the engine.

    Raises NotFoundError if no updater is deployed: its image has the code to measure.
    """
    updater = next((s for s in find_users(leader, VOLUME) if "updater" in str(s.name)), None)
    if updater is None:
        raise NotFoundError(
            f"expected a service updater that uses {VOLUME}", next_step="run 06_work_stack"
        )
    task: dict[str, Any] = updater.attrs["Spec"]["TaskTemplate"]
    image, limits = task["ContainerSpec"]["Image"], task["Resources"]["Limits"]
    options: dict[str, Any] = {"network_mode": "none", "remove": True, "labels": {_LABEL: ""}}
    _remove_left(manager)
    disk = f"{manager.volumes.create(labels={_LABEL: ''}).name}:/disk"
    with Progress(f"{seconds:g} s of each work, {rounds} times on each of the two"):
        try:
            # a new volume belongs to root, but the services run as uid 1000
            root: dict[str, Any] = {"entrypoint": "chown", "user": "0:0", "volumes": [disk]}
            manager.containers.run(image, ["1000:1000", "/disk"], **root, **options)
            output = manager.containers.run(
                image,
                ["-c", _WORK, str(seconds), str(rounds)],
                entrypoint="python",
                user="1000:1000",
                volumes=[f"{VOLUME}:/tiles", disk],
                nano_cpus=limits["NanoCPUs"],
                mem_limit=limits["MemoryBytes"],
                read_only=True,
                **options,
            )
        finally:
            _remove_left(manager)
    columns = ["round", "where", "work", "files", "good", "seconds"]
    rows = pd.DataFrame(json.loads(output), columns=columns)
    rows["per_s"] = (rows["files"] / rows["seconds"]).round(1)
    rows["seconds"] = rows["seconds"].round(2)
    return rows


def ratio_table(rows: pd.DataFrame) -> pd.DataFrame:
    """
    Return the median of the rounds; columns: work, local disk, S3 (files a second), times_slower.
    """
    medians = rows.pivot_table(index="work", columns="where", values="per_s", aggfunc="median")
    table = medians.reindex([WRITE, READ])[[DISK, S3]]
    table["times_slower"] = (table[DISK] / table[S3]).round(2)
    return table.reset_index()


def speed_finding(table: pd.DataFrame) -> str:
    """
    Describe the ratio in words.
    """
    slower = table.set_index("work")["times_slower"]
    return (
        f"On S3 an updater writes {slower[WRITE]:.3g} times slower than on the disk, "
        f"and reading is {slower[READ]:.3g} times slower"
    )


def plot_speed(rows: pd.DataFrame) -> alt.VConcatChart:
    """
    Draw rounds as points, the median as a line, on a scale of factors, titled with the finding.
    """
    panels, colours = [], alt.Scale(domain=[DISK, S3], range=["#5b7f95", "#d9822b"])
    for work in (WRITE, READ):
        chart = alt.Chart(rows[rows["work"] == work]).encode(
            y=alt.Y("where:N", title=None, sort=[DISK, S3]),
            color=alt.Color("where:N", legend=None, scale=colours),
        )
        axis = alt.X("per_s:Q", title=f"{work} a second, by factors", scale=alt.Scale(type="log"))
        points = chart.mark_point(size=60, filled=True, opacity=0.6).encode(x=axis)
        medians = chart.mark_tick(thickness=3, size=24).encode(x="median(per_s):Q")
        panels.append((points + medians).properties(width=520, height=64))
    drawn: alt.VConcatChart = alt.vconcat(*panels, title=speed_finding(ratio_table(rows)))
    return drawn


def s3_cost_table(content: Content, listing_s: int) -> pd.DataFrame:
    """
    Tabulate prices; columns: what, how_often, usd.

    A result is a PUT under another name and a COPY (the updater's rename); the removal is free. An
    idle dealer walks the whole tree, so each folder is listed once per `listing_s`.
    """
    listed = content.folders * 3600 / listing_s
    rows = [
        ("storage", "a month", content.mib / 1024 * USD_PER_GIB_MONTH),
        ("moving the tiles here", "once", content.objects * USD_PER_WRITE),
        ("1,000 results written", "each time", 1000 * 2 * USD_PER_WRITE),
        ("1,000 tiles shown", "each time", 1000 * USD_PER_READ),
        ("the folders listed while a dealer idles", "an hour", listed * USD_PER_WRITE),
    ]
    return pd.DataFrame(rows, columns=["what", "how_often", "usd"]).round({"usd": 4})


def _remove_left(manager: docker.DockerClient) -> None:
    """
    Remove the container and the volume of a measurement, including a killed one's.
    """
    for container in manager.containers.list(all=True, filters={"label": _LABEL}):
        container.remove(force=True)
    for volume in manager.volumes.list(filters={"label": _LABEL}):
        volume.remove(force=True)
