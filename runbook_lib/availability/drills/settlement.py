"""
The work of a drill and its books: dealt no more, worked off, and read from the disk.
"""

from datetime import datetime

import fabric

from runbook_lib.availability.drills.audit import REJECTED, SURFACES, Books, parse_books
from runbook_lib.availability.drills.ground import DrillCluster
from runbook_lib.availability.drills.pace import Load
from runbook_lib.core.errors import CommandError, NotFoundError
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.hosts.ssh import run
from runbook_lib.load.experiment import load_stack
from runbook_lib.stacks import specs

BOOKS = "/books"
"""Where the services keep them, and below the tiles where the manager has them."""
_EMPTY_LOOKS = 3
"""In a row: the broker counts once a second."""


def open_books(disk: fabric.Connection, folder: str) -> None:
    """
    Make the folder for the books, for whoever may write the tiles in `folder`.
    """
    run(disk, f"install -d -o $(stat -c %u {folder}) {folder}{BOOKS}", sudo=True)


def stop_dealing(here: DrillCluster) -> None:
    """
    Deal no more.
    """
    specs.scale(here.manager, f"{here.stacks.work}_dealer", 0)


def work_off(load: Load, limit_s: float) -> None:
    """
    Wait until nothing is under way.
    """
    here, empty = load.here, 0
    dealer = f"{here.stacks.work}_dealer"
    broker = here.broker

    def probe() -> bool | Pending:
        nonlocal empty
        try:
            left = load_stack.waiting(broker) + specs.running(here.manager, dealer)
        except (CommandError, NotFoundError) as error:
            return Pending(str(error).splitlines()[0])
        empty = 0 if left else empty + 1
        return empty >= _EMPTY_LOOKS or Pending(f"{left} messages left")

    wait_for("Everything dealt is worked off", probe, timeout_s=limit_s, poll_s=1)


def read(load: Load, since: datetime) -> Books:
    """
    The books on all disks.
    """
    script = f"cat {load.folder}{BOOKS}/*.jsonl 2>/dev/null || true"
    return parse_books(_on_each_disk(load, script), since)


def listing(load: Load) -> str:
    """
    The results on all disks.
    """
    layers = " ".join((*SURFACES, REJECTED))
    names = "-name '[!.]*.png' -o -name '[!.]*.json'"
    return _on_each_disk(load, f"cd {load.folder} && find {layers} {names} 2>/dev/null || true")


def _on_each_disk(load: Load, script: str) -> str:
    return "".join(run(disk, script, sudo=True) for disk in load.here.disks)
