"""
How fast recordings are read: experiment 1, ten million rows in bounded memory, and against a loop
over the rows. `python -m tests.bench.bench_load` prints the figures.
"""

import gzip
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from tests.places import LOGS

DATA = LOGS / "experiment_1"
PERIOD_S = 75 * 60  # experiment 1 took 72 minutes: its copies follow one another
CLOCKS = [f"{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}" for s in range(86_400)]
READ = """
import json, sys, time
from pathlib import Path
from runbook_lib.load.recordings.counters import total_counters
from runbook_lib.load.recordings.source import read_published_logs
from runbook_lib.load.recordings.separate_runs import find_runs
from tests.places import LOGS
def peak_mib():  # of this program: ru_maxrss also remembers the one that started it
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
read_published_logs(sys.argv[2])  # what is loaded at first use is not the reading's
loaded = peak_mib()
began, cpu = time.perf_counter(), time.process_time()
recording = read_published_logs(sys.argv[1])
totals = total_counters(recording.stats)
runs = len(find_runs(recording.stats)) if len(recording.stats) < 100_000 else None
print(json.dumps({
    "seconds": time.perf_counter() - began, "cpu_s": time.process_time() - cpu,
    "runs": runs, "loaded_mib": loaded,
    "peak_mib": peak_mib(),
    "kept": len(recording.stats), "sent_bytes": float(totals["net_out_bytes"].sum()),
}))
"""


def write_copies(folder: Path, rows: int) -> tuple[int, float]:
    """
    Repeat the real rows, each time with other containers and 75 minutes later; returns how many
    rows there are, and what all their containers sent.
    """
    folder.mkdir()
    written, sent = 0, 0.0
    originals = {p: gzip.decompress(p.read_bytes()).decode() for p in DATA.glob("*.csv.gz")}
    copies = -(-rows // sum(len(text.splitlines()) - 1 for text in originals.values()))
    for path, text in originals.items():
        header, *lines = text.splitlines()
        cells = [(line[:8], *line[9:].split(",", 1)) for line in lines if ",--," not in line]
        samples = [
            (sum(n * int(t) for n, t in zip((3600, 60, 1), c.split(":"), strict=True)), i, rest)
            for c, i, rest in cells
        ]
        highest: dict[str, float] = {}
        for _, container, rest in samples:
            value = float(rest.split(",")[6])
            highest[container] = max(value, highest.get(container, 0.0))
        sent += copies * sum(highest.values())
        with (folder / path.name.removesuffix(".gz")).open("w") as file:
            file.write(header + "\n")
            for copy in range(copies):
                later = copy * PERIOD_S
                file.write(
                    "".join(
                        f"{CLOCKS[(second + later) % 86_400]},{container}{copy:x},{rest}\n"
                        for second, container, rest in samples
                    )
                )
        written += copies * len(samples)
    return written, sent


def read_in_a_process(folder: Path) -> dict[str, float]:
    """
    Read and sum a folder in a process of its own, which says how much memory it took.
    """
    command = [sys.executable, "-c", READ, str(folder), str(DATA)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def loop_over_rows(folder: Path) -> float:
    """
    The same job the straightforward way: a loop over the rows that pandas read, which parses what
    each says, follows its container's counters over restarts, and keeps the samples in a table.
    """
    samples, before = [], {}
    last: dict[tuple[str, str, str], float] = {}
    for path in sorted(folder.glob("*.csv")):
        days, previous = pd.Timedelta(0), pd.Timedelta(0)
        for _, row in pd.read_csv(path, dtype=str, skipinitialspace=True).iterrows():
            if row["CONTAINER ID"] == "--" or (row["PIDS"] == "0" and row["MEM USAGE"] == "0"):
                continue
            clock = pd.Timedelta(row["UPTIME"])
            if clock < previous:
                days += pd.Timedelta(days=1)
            previous = clock
            sample = {
                "time": pd.Timestamp("2021-01-01", tz="UTC") + days + clock,
                "node": path.stem,
                "service": row["NAME"].split("_", 1)[1],
                "container": row["CONTAINER ID"],
                "cpu_percent": float(row["CPU %"].rstrip("%")),
                "pids": float(row["PIDS"]),
            }
            for name in ("MEM USAGE", "MEM LIMIT", "NET I", "NET O", "BLOCK I", "BLOCK O"):
                value = float(row[name])
                if name not in ("MEM USAGE", "MEM LIMIT"):
                    key = path.stem, row["CONTAINER ID"], name
                    if 0 < value < last.get(key, 0.0) / 2:
                        before[key] = before.get(key, 0.0) + last[key]
                    last[key] = value or last.get(key, 0.0)
                    value += before.get(key, 0.0)
                sample[name] = value
            samples.append(sample)
    stats = pd.DataFrame(samples).sort_values("time")
    highest = stats.groupby(["service", "node", "container"])["NET O"].max()
    return float(highest.groupby("service").sum().sum())


def main() -> None:
    best = min((read_in_a_process(DATA) for _ in range(3)), key=lambda d: d["seconds"])
    print(
        f"{best['seconds']:8.2f} s    experiment 1: five files read, {best['runs']:.0f} runs "
        f"found, summed (under 1 s), best of 3; CPU {best['cpu_s']:.2f} s"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows, sent = write_copies(folder / "some", 100_000)
        ours = min((read_in_a_process(folder / "some") for _ in range(3)), key=lambda d: d["cpu_s"])
        began = time.process_time()
        looped = loop_over_rows(folder / "some")
        loop_s = time.process_time() - began
        assert looped == sent == ours["sent_bytes"]
        print(
            f"{loop_s / ours['cpu_s']:8.0f} x    CPU time of a pandas loop over {rows:,} rows, "
            f"{loop_s:.1f} s, by ours, {ours['cpu_s']:.2f} s (at least 50)"
        )
        per_row = {}
        for millions in (2.5, 10):
            rows, sent = write_copies(folder / "many", int(millions * 1e6))
            found = read_in_a_process(folder / "many")
            assert abs(found["sent_bytes"] - sent) < 1e-9 * sent
            per_row[millions] = found["cpu_s"] / rows
            print(
                f"{found['seconds']:8.1f} s    {rows:,} rows, CPU {found['cpu_s']:.1f} s, "
                f"peak memory {found['peak_mib']:.0f} "
                f"MiB ({found['loaded_mib']:.0f} MiB before the first row), {found['kept']:,} kept"
            )
            for path in (folder / "many").iterdir():
                path.unlink()
            (folder / "many").rmdir()
        print(f"{per_row[10] / per_row[2.5]:8.2f}      CPU time a row, 10 M by 2.5 M (linear: 1)")


if __name__ == "__main__":
    main()
