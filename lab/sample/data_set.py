"""
The sample data set: twelve dates of tiles in a spanned zip with checksums, cached and uploaded.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from filelock import FileLock

from lab.aws import credentials
from lab.core.config import LabConfig
from lab.core.errors import LabError
from lab.core.processes import find_processes, stop_process
from lab.engine import packages

NAME = "blue-marble"
BUCKET = "geo-diff-tiles"
SUMS = "SHA256SUMS"
PART_SIZE = "16m"
MONTHS = range(1, 13)
WORK_PREFIX = "work-"
LOCK = "sample.lock"
# zip records local times: one fixed time gives the same archive everywhere
EPOCH = 1_074_168_000  # 2004-01-15 12:00 UTC
READ_FOR_ALL = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{BUCKET}/*",
        }
    ],
}


def recipe() -> str:
    """
    A digest of what the tiles depend on: the rules that draw them, and how they are packed.
    """
    text = Path(__file__).with_name("imagery.py").read_text(encoding="utf-8") + PART_SIZE
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def find_sample(cache: Path) -> Path | None:
    """
    The cached data set, if every part exists and matches SHA256SUMS.
    """
    folder = cache / f"{NAME}-{recipe()}"
    try:
        expected = dict(
            line.split(maxsplit=1)[::-1]
            for line in (folder / SUMS).read_text(encoding="ascii").splitlines()
        )
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            actual = dict(
                zip(expected, pool.map(_sha256, map(folder.joinpath, expected)), strict=True)
            )
    except (OSError, ValueError):
        return None
    return folder if expected and actual == expected else None


def ensure_sample(cache: Path) -> Path:
    """
    The folder with the parts and SHA256SUMS: cached and verified, or made now on every core.
    """
    with FileLock(cache / LOCK):
        return find_sample(cache) or _make(cache)


def _make(cache: Path) -> Path:
    packages.ensure_programs(["zip"])
    _remove_abandoned(cache)
    work = Path(tempfile.mkdtemp(prefix=WORK_PREFIX, dir=cache))
    try:
        draw(work / "RAW")
        pack(work, work / "parts")
        for old in cache.glob(f"{NAME}-*"):
            shutil.rmtree(old)
        folder = cache / f"{NAME}-{recipe()}"
        (work / "parts").replace(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder


def draw(raw: Path) -> None:
    """
    Draw all months below `raw`, with as many processes as there are cores.
    """
    workers = min(os.cpu_count() or 1, len(MONTHS))
    command = [sys.executable, "-m", "lab.sample.imagery", str(raw)]
    shares = [[str(month) for month in MONTHS[start::workers]] for start in range(workers)]
    processes = [
        subprocess.Popen([*command, *share], stderr=subprocess.PIPE, text=True) for share in shares
    ]
    errors = [process.communicate()[1] for process in processes]
    if any(process.returncode for process in processes):
        raise LabError(
            "expected to draw the sample tiles, but drawing failed",
            evidence="; ".join("".join(errors).strip().splitlines()[-3:]),
            next_step=f"run by hand: {' '.join(command)} 1",
        )


def pack(folder: Path, parts: Path) -> None:
    """
    Pack `folder/RAW` into a spanned zip and write its checksums; PNG is stored as it is.
    """
    parts.mkdir()
    tiles = sorted((folder / "RAW").rglob("*.png"))
    for tile in tiles:
        os.utime(tile, (EPOCH, EPOCH))
    names = "".join(f"{tile.relative_to(folder)}\n" for tile in tiles)
    command = ["zip", "-q", "-0", "-X", "-D", "-s", PART_SIZE, f"{parts}/{NAME}.zip", "-@"]
    result = subprocess.run(
        command,
        cwd=folder,
        input=names,
        env={**os.environ, "TZ": "UTC"},
        check=False,
        capture_output=True,
        text=True,
    )
    if result.returncode:
        raise LabError(
            f"expected zip to pack {len(tiles)} tiles, but it ended with {result.returncode}",
            evidence=(result.stderr or result.stdout).strip()[-300:],
            next_step="check the space on the disk of the cache: df -h ~/.cache",
        )
    made = sorted(parts.iterdir())
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        sums = list(pool.map(_sha256, made))
    lines = [f"{digest}  {path.name}\n" for digest, path in zip(sums, made, strict=True)]
    (parts / SUMS).write_text("".join(lines), encoding="ascii")


def upload(config: LabConfig, folder: Path) -> bool:
    """
    Upload the data set to the lab's bucket, readable by everybody; False if it was there already.
    """
    s3 = boto3.client(
        "s3",
        region_name=config.region,
        **credentials.administrator(config),
        endpoint_url=config.endpoint_url,
        config=Config(
            s3={"addressing_style": "path"}, request_checksum_calculation="when_required"
        ),
    )
    sums = (folder / SUMS).read_bytes()
    try:
        if s3.get_object(Bucket=BUCKET, Key=SUMS)["Body"].read() == sums:
            return False
    except ClientError:
        s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(READ_FOR_ALL))
    try:
        for path in sorted(folder.iterdir(), key=lambda path: path.name == SUMS):  # the sums last
            s3.put_object(Bucket=BUCKET, Key=path.name, Body=path.read_bytes())
    except (BotoCoreError, ClientError) as exc:
        raise LabError(
            "expected the lab's S3 to accept the sample data set, but it does not",
            evidence=str(exc),
            next_step=f"read {config.state_dir / 'lab.log'}",
        ) from exc
    return True


def _sha256(path: Path) -> str:
    with path.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def clear_abandoned(cache: Path) -> None:
    """
    Remove the unfinished work of a killed run.
    """
    if any(cache.glob(f"{WORK_PREFIX}*")):
        with FileLock(cache / LOCK):
            _remove_abandoned(cache)


def _remove_abandoned(cache: Path) -> None:
    """
    Remove the work of a killed run, after stopping what still draws there.
    """
    for work in cache.glob(f"{WORK_PREFIX}*"):
        for pid in find_processes("lab.sample.imagery", str(work)):
            stop_process(pid, "lab.sample.imagery", timeout_s=3)
        shutil.rmtree(work, ignore_errors=True)
