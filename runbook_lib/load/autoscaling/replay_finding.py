"""
Recorded decisions decided again, where a recording has any that were the autoscaler's own.
"""

from dataclasses import dataclass

import pandas as pd

from runbook_lib.core.errors import NotFoundError, ParameterError
from runbook_lib.core.findings import Finding
from runbook_lib.load.autoscaling.replay import NOT_FOLLOWED, replay
from runbook_lib.load.recordings.schema import Recording


@dataclass(frozen=True)
class Replayed:
    """
    `unexplained`: decisions that differ for no reason that the log shows.
    """

    finding: Finding
    unexplained: int = 0


def replay_recording(recording: Recording) -> Replayed:
    """
    Decide again; a sweep held the replicas, so there the autoscaler decided nothing.
    """
    if recording.experiment.get("autoscaler_held"):
        return Replayed(
            Finding(
                "decisions of its own: the sweep held the replicas, and the autoscaler looked on"
            )
        )
    try:
        found = replay(recording)
    except NotFoundError:
        return Replayed(Finding("the autoscaler's decisions"))
    except ParameterError:
        return Replayed(Finding("QTY_TASK, or a load that would tell it"))
    changes = found.changes
    same = int((changes["difference"] == "").sum())
    table = pd.DataFrame(
        [
            ("compared", len(found.compared), f"{found.share:.1%}"),
            ("that change the replicas", len(changes), f"{same} of {len(changes)}"),
            ("the policy going on alone", len(found.compared), f"{found.alone_share:.1%}"),
            *((f"apart: {r.why}", r.decisions, "") for r in found.differences.itertuples()),
        ],
        columns=["decisions", "number", "as recorded"],
    )
    words = f"{found.share:.1%} of {len(found.compared)} recorded decisions are the policy's own"
    words += f"; assumed: {', '.join(found.assumed)}." if found.assumed else "."
    unexplained = int((found.compared["difference"] == NOT_FOLLOWED).sum())
    return Replayed(Finding(words, table), unexplained)
