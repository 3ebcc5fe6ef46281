"""
Tiles a second of each step: counted by workers or by the queue, over restarts and edges.
"""

import numpy as np
import pandas as pd
import pytest

from runbook_lib.load.analysis.throughput import step_points
from runbook_lib.load.recordings.schema import Recording, empty_frame

T0 = pd.Timestamp("2026-01-15T10:00:00Z")


def at(second):
    return T0 + pd.Timedelta(seconds=second)


def steps(*rows):
    columns = ["step", "repetition", "replicas", "began", "steady_from", "ended"]
    return pd.DataFrame(rows, columns=columns)


ONE_STEP = steps((0, 0, 2, at(0), at(10), at(40)))


def workers(*rows):
    return pd.DataFrame(
        [(at(second), task, "worker-1", done) for second, task, done in rows],
        columns=["time", "task", "node", "tiles_done"],
    )


def queue(*rows):
    frame = empty_frame("queues").reindex(range(len(rows)))
    seconds, ready, acknowledged = zip(*rows, strict=True)
    times = [at(second) for second in seconds]
    return frame.assign(time=times, queue="TASK_QUEUE", ready=ready, acknowledged=acknowledged)


def test_workers_tell_their_tiles_at_their_own_times():
    """Ten a second each; neither says so exactly at the window's edges."""
    said = [(s, task, 10.0 * s) for task in "ab" for s in range(3, 60, 7)]
    table = step_points(Recording("x", workers=workers(*said), steps=ONE_STEP))
    assert ["workers"] == table["counted_by"].tolist()
    assert pytest.approx(20) == table["tiles_per_s"].iloc[0]


def test_a_worker_of_an_earlier_step_does_not_count():
    said = [(s, "gone", 10.0 * s) for s in range(0, 9)] + [(s, "a", 10.0 * s) for s in range(60)]
    table = step_points(Recording("x", workers=workers(*said), steps=ONE_STEP))
    assert pytest.approx(10) == table["tiles_per_s"].iloc[0]


def test_a_worker_that_is_taken_away_at_the_end_worked_until_then():
    """It spoke every seven seconds, last at second 38 of 40: the two seconds are not lost."""
    said = [(s, "a", 10.0 * s) for s in range(3, 40, 7)]
    table = step_points(Recording("x", workers=workers(*said), steps=ONE_STEP))
    assert pytest.approx(10) == table["tiles_per_s"].iloc[0]


def test_a_worker_that_died_early_did_no_more():
    """Silent for four times its usual spacing: nothing is made up for it."""
    said = [(s, "a", 10.0 * s) for s in range(0, 21, 5)]
    table = step_points(Recording("x", workers=workers(*said), steps=ONE_STEP))
    assert pytest.approx(100 / 30) == table["tiles_per_s"].iloc[0]


def test_without_workers_the_queue_tells():
    table = step_points(
        Recording("x", queues=queue((0, 5, 0), (50, 7, 1000)), steps=ONE_STEP),
    )
    assert "queue" == table["counted_by"].iloc[0]
    assert pytest.approx(20) == table["tiles_per_s"].iloc[0]


def test_a_broker_that_restarted_counts_on():
    """500 by second 20, then from zero to 400 by second 40."""
    told = queue((0, 5, 0), (10, 5, 250), (20, 5, 500), (21, 5, 0), (40, 5, 400))
    table = step_points(Recording("x", queues=told, steps=ONE_STEP))
    assert pytest.approx((250 + 400) / 30) == table["tiles_per_s"].iloc[0]


def test_the_queue_in_the_window_is_reported():
    told = queue((0, 900, 0), (15, 3, 0), (20, 5, 0), (30, 4, 0), (90, 900, 0))
    table = step_points(Recording("x", queues=told, steps=ONE_STEP))
    assert 4 == table["waiting"].iloc[0]


def test_a_step_that_never_was_steady_or_counted_is_left_out():
    table = steps((0, 0, 2, at(0), pd.NaT, at(40)), (1, 0, 4, at(40), at(50), at(90)))
    said = [(s, "a", 10.0 * s) for s in range(45)]
    assert step_points(Recording("x", workers=workers(*said), steps=table)).empty


def test_an_autoscaled_run_is_taken_apart_where_the_replicas_change():
    """Two minutes at 8, five seconds at 10, two minutes at 12, then idle."""
    running = [8.0] * 120 + [10.0] * 5 + [12.0] * 120 + [12.0] * 200
    light = ["GREEN"] * 245 + ["GREY"] * 200
    rate = [80.0] * 125 + [100.0] * 120 + [0.0] * 200
    decisions = pd.DataFrame(
        {
            "time": [at(s) for s in range(445)],
            "published_per_s": rate,
            "light": light,
            "running": running,
        }
    )
    table = step_points(Recording("x", autoscaler=decisions))
    assert [(8, 80.0), (12, 100.0)] == [
        (row.replicas, row.tiles_per_s) for row in table.itertuples()
    ]
    assert np.isnan(table["waiting"]).all()


def test_nothing_recorded_is_no_step():
    assert step_points(Recording("x")).empty
