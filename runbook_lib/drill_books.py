"""
The work of a drill and its books: dealt no more, worked off, and read while the logs are there.
"""

from collections.abc import Callable
from datetime import datetime

from runbook_lib import load_stack, process_signals, service_specs
from runbook_lib.books import REJECTED, SURFACES, Books, read_books
from runbook_lib.drill_cluster import DrillCluster
from runbook_lib.drill_pace import Load
from runbook_lib.errors import CommandError, NotFoundError
from runbook_lib.failures import Failure
from runbook_lib.ssh import run
from runbook_lib.wait import Pending, wait_for

_EMPTY_LOOKS = 3
"""In a row: the broker counts once a second."""


def stop_dealing(here: DrillCluster, then: Callable[[], object]) -> None:
    """
    Deal no more; `then` is called while the dealers stand still.

    A service that is scaled to none loses its containers, and their logs with them.
    """
    service = f"{here.stacks.work}_dealer"
    dealers = process_signals.find_containers(here.manager, service)
    for dealer in dealers:
        process_signals.send(dealer, "SIGSTOP")
    then()
    service_specs.scale(here.manager, service, 0)
    for dealer in dealers:
        process_signals.end(dealer)


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
            left = load_stack.waiting(broker) + service_specs.running(here.manager, dealer)
        except (CommandError, NotFoundError) as error:
            return Pending(str(error).splitlines()[0])
        empty = 0 if left else empty + 1
        return empty >= _EMPTY_LOOKS or Pending(f"{left} messages left")

    wait_for("Everything dealt is worked off", probe, timeout_s=limit_s, poll_s=1)


def read(here: DrillCluster, since: datetime) -> Books:
    """
    The books as the nodes have them that can be reached now.
    """
    return read_books({here.master: here.manager}, here.stacks.work, since)


def read_before_restore(load: Load, failure: Failure, since: datetime) -> list[Books]:
    """
    The books once the dealer stands still and nothing is under way.

    What is restored may end the containers of all services, and their logs go with them.
    """
    here = load.here
    if failure.node == here.master:
        return []  # it is away, and has its logs with it
    for dealer in process_signals.find_containers(here.manager, f"{here.stacks.work}_dealer"):
        process_signals.send(dealer, "SIGSTOP")

    def probe() -> bool | Pending:
        left = load_stack.waiting(here.broker)
        return not left or Pending(f"{left} messages left")

    wait_for("What is under way is done", probe, timeout_s=30)
    return [read(here, since)]


def listing(load: Load) -> str:
    layers = " ".join((*SURFACES, REJECTED))
    names = "-name '[!.]*.png' -o -name '[!.]*.json'"
    script = f"cd {load.folder} && find {layers} {names} 2>/dev/null || true"
    return run(load.here.disk, script, sudo=True)
