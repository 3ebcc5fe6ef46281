"""
Thresholds that a load test is held to: at its end, and after each step, so that it need not go on.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from runbook_lib.core.words import count_of
from runbook_lib.load.analysis.latency import latency_table
from runbook_lib.load.analysis.throughput import dead_letters, step_points
from runbook_lib.load.recordings.schema import Recording, read_recording


@dataclass(frozen=True)
class Thresholds:
    """
    `most_p95_ms` and `least_tiles_per_s` hold in the steady part of every step, 0 sets none;
    `most_dead_letters` in the whole recording, -1 sets none.
    """

    most_p95_ms: float
    least_tiles_per_s: float
    most_dead_letters: int

    def missed(self, folder: Path) -> list[str]:
        """
        Say which are missed in a recording, be it in progress. What was not measured counts as
        missed: a test must not pass by it.
        """
        if (self.most_p95_ms, self.least_tiles_per_s, self.most_dead_letters) == (0, 0, -1):
            return []
        recording = read_recording(folder)
        return self._missed_in_steps(recording) + self._missed_in_all(recording)

    def _missed_in_steps(self, recording: Recording) -> list[str]:
        if not (self.most_p95_ms or self.least_tiles_per_s):
            return []
        points = step_points(recording)
        steps = set(recording.steps["step"]) - set(points["step"])
        missed = [f"step {step + 1} had no steady part" for step in sorted(steps)]
        if points.empty and not missed:
            missed.append("no time with a steady load was recorded")
        p95_by_step = latency_table(recording, points).set_index("step")["p95_ms"].to_dict()
        for point in points.to_dict("records"):
            workers = count_of(int(point["replicas"]), "worker")
            where = f"step {point['step'] + 1}, {workers}"
            rate = point["tiles_per_s"]
            if rate < self.least_tiles_per_s:
                missed.append(f"{where}: {rate:.1f} tiles/s, at least {self.least_tiles_per_s:g}")
            if not self.most_p95_ms:
                continue
            p95_ms = p95_by_step.get(point["step"], np.nan)
            if np.isnan(p95_ms):
                missed.append(f"{where}: latency was not recorded")
            elif p95_ms > self.most_p95_ms:
                missed.append(f"{where}: p95 {p95_ms:.0f} ms, at most {self.most_p95_ms:g}")
        return missed

    def _missed_in_all(self, recording: Recording) -> list[str]:
        if self.most_dead_letters < 0:
            return []
        buried = dead_letters(recording)
        if np.isnan(buried):
            return ["dead letters were not recorded"]
        if buried > self.most_dead_letters:
            return [f"{count_of(int(buried), 'dead letter')}, at most {self.most_dead_letters}"]
        return []
