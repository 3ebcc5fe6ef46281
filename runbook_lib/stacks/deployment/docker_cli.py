"""
Docker's own command line on the manager: run for real, or recorded.

The Docker SDK has no `stack deploy`. The agent that runs it is `hosts/agents/stack_deploy.py`.
"""

import json
import shlex
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import fabric

from runbook_lib.core.errors import CommandError
from runbook_lib.hosts.agents import stack_deploy as agent
from runbook_lib.hosts.ssh import run_with_input
from runbook_lib.stacks.compose.variables import without_values

SOCKET = "/var/run/docker.sock"

_AGENT = Path(agent.__file__).read_text()

Request = dict[str, Any]


def stack_deploy(
    connection: fabric.Connection,
    request: Request,
    hidden: Collection[str] = (),
    explain: Callable[[str], str] = str,
) -> list[dict[str, Any]]:
    """
    Run `docker stack deploy` on the manager, recorded; return the calls that would change the
    Swarm, in order. A request with `unchanged` is for real: items like `services/ID` in it are left
    alone.

    Each call has method, path, query and body; instead of the data of secrets and configs, their
    hash. `explain` adds the line of the stack file to a reason.

    Raises CommandError with Docker's reason if it refuses the stack, without the hidden values.
    """
    # the first line is in the errors of the connection
    whole = request | {"socket": SOCKET, "timeout_s": 300 if "unchanged" in request else 60}
    name = shlex.quote(request["name"])
    script = f": docker stack deploy {name}\npython3 -c {shlex.quote(_AGENT)}\n"
    output = run_with_input(connection, script, json.dumps(whole).encode(), sudo=True)
    # sudo may have written a warning before
    answer = json.loads(output.strip().splitlines()[-1])
    if answer["code"]:
        last = str(answer["output"]).strip().splitlines()[-8:]
        reason = without_values("\n".join(map(explain, last)), hidden)
        raise CommandError(
            f"expected Docker to accept stack {request['name']}; exit code {answer['code']}",
            evidence=reason,
            next_step="correct the stack file, then run this again",
        )
    calls: list[dict[str, Any]] = answer["calls"]
    return calls
