"""
A tile segmented in a process of its own, with bounded memory and time: for one that was in the
hands of workers that ended. Whatever it does to its reader, the worker lives on and has the reason.
"""

import base64
import json
import os
import resource
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from geodiff.segmentation import BadTileError, Surface, segment

LIMIT_S = 60.0  # a t2.micro without CPU credits needs 15 to start it
# OpenCV and NumPy map 275 MiB, of which they use 45; the container has 400 for two processes
LIMIT_BYTES = 512 * 1024 * 1024


def segment_alone(data: bytes) -> list[Surface]:
    """
    Segment a tile as `segment` does; BadTileError also if the process does not survive it.
    """
    command = [sys.executable, "-m", "geodiff.alone"]
    folder = Path(__file__).parents[1]
    environ = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # each thread maps another 60 MiB
    try:
        done = subprocess.run(
            command,
            input=data,
            capture_output=True,
            timeout=LIMIT_S,
            cwd=folder,
            env=environ,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise BadTileError(f"alone in a process, it had no result within {LIMIT_S:g} s") from exc
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise BadTileError(
            f"alone in a process of {LIMIT_BYTES >> 20} MiB, that ended with {done.returncode}"
            + f": {last[:200]}" * bool(last)
        )
    answer = json.loads(done.stdout)
    if isinstance(answer, str):
        raise BadTileError(answer)
    return [Surface(name, base64.b64decode(png), share) for name, png, share in answer]


def main() -> None:
    with suppress(OSError):  # should the container run out of memory, this process goes first
        Path("/proc/self/oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    try:
        surfaces = segment(sys.stdin.buffer.read())
    except BadTileError as exc:
        print(json.dumps(str(exc)))
    else:
        print(json.dumps([(s.name, base64.b64encode(s.png).decode(), s.share) for s in surfaces]))


if __name__ == "__main__":
    main()
