"""
`make bench`: the machine, the ratios of the worker and of the tile server, and where the time of a
warm run goes.

Seconds are of this machine. The ratios say more: a step whose cores were busy all the time is
bounded by the CPU, and only another machine makes it faster; the rest of it is waiting.
"""

import os
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.bench import bench_load, bench_tile_server, bench_worker
from tests.lab.harness import PROJECT, Lab, Runbook


class Busy(threading.Thread):
    """
    Samples how busy all cores are, ten times a second: (seconds since the epoch, busy share).
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.samples: list[tuple[float, float]] = []
        self.stopped = threading.Event()

    def run(self) -> None:
        before = jiffies()
        while not self.stopped.wait(0.1):
            now = jiffies()
            total = sum(now) - sum(before)
            idle = now[3] + now[4] - before[3] - before[4]
            if total:
                self.samples.append((time.time(), 1 - idle / total))
            before = now

    def between(self, start: float, end: float) -> float:
        """
        The mean busy share in a span of time.
        """
        inside = [busy for when, busy in self.samples if start <= when <= end]
        return sum(inside) / max(1, len(inside))


def jiffies() -> list[int]:
    return [int(n) for n in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]


def describe_machine() -> None:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if "model name" in line), "?")
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    print(f"{os.cpu_count()} cores, {model}, {pages / 2**30:.0f} GiB, Linux {platform.release()}")


def measure_warm_run(folder: Path) -> None:
    """
    From no lab to processed tiles with the caches there, and a second run that changes nothing.
    """
    lab, runbook, busy = (
        Lab("bench", 5599, "172.28"),
        Runbook(folder, "bench", 5599, "172.28"),
        Busy(),
    )
    lab.down()
    busy.start()
    began = time.time()
    lab.up()
    up_s = time.time() - began
    pages = runbook.run()
    first_s = time.time() - began
    ended = time.time()
    second = runbook.run()
    second_s = time.time() - ended
    busy.stopped.set()
    lab.down()

    print(f"\nwarm run, lab up to processed tiles: {first_s:.0f} s (target 210)")
    print(f"second run, no changes: {second_s:.0f} s, {second_s / first_s:.2f} of the first")
    print(f"{'step':<22}{'seconds':>8}{'cores busy':>12}{'second run':>12}")
    print(f"{'lab up':<22}{up_s:>8.1f}{busy.between(began, began + up_s):>12.0%}")
    for number, page in pages.items():
        start = page["started"]
        share = busy.between(start, start + page["seconds"])
        again = second[number]["seconds"]
        print(f"{page['name']:<22}{page['seconds']:>8.1f}{share:>12.0%}{again:>12.1f}")


def main() -> None:
    describe_machine()
    bench_worker.main()
    bench_load.main()
    bench_tile_server.main()
    folder = PROJECT / "runs" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    measure_warm_run(folder)


if __name__ == "__main__":
    try:
        main()
    except subprocess.TimeoutExpired as error:
        sys.exit(f"expected the run to end in time; it did not: {error}")
