"""
Hand-over at shutdown: a leader is demoted first, and promoted again after it has started.

Docker's Raft waits 10 to 19 seconds without a leader before it elects another one, and no engine
setting changes that. A demoted leader hands over at once. So a systemd unit demotes it before its
engine stops, and the two others continue without the wait. After a sudden failure of the leader,
the wait remains.
Source: https://github.com/moby/swarmkit/issues/1622
"""

from collections.abc import Mapping

import fabric

from runbook_lib.core.changes import Changes
from runbook_lib.core.parallel import for_each
from runbook_lib.hosts.installed import (
    HostFile,
    ensure_files,
    find_installed,
    remove_installed,
    start_unit,
)
from runbook_lib.hosts.ssh import run

LABEL = "handed-over"
_UNIT = "swarm-hand-over"
_PROGRAM = f"/usr/local/sbin/{_UNIT}"

SCRIPT = f"""#!/bin/bash
# keep: call `once` every five seconds; once: promote those that handed the lead over and are back;
# go: hand the lead over
set -u

leads() {{
  [ "$(timeout 5 docker node inspect self --format '{{{{.ManagerStatus.Leader}}}}' 2>&1)" = true ]
}}

# fails where the Swarm has written the node since the command read it
update() {{
  for _ in 1 2 3 4 5; do docker node update "$@" && return; done
}}

# not itself: after the hand-over it is still the leader for a moment
once() {{
  me=$(docker info --format '{{{{.Swarm.NodeID}}}}')
  docker node inspect $(docker node ls --quiet) --format \\
    '{{{{.ID}}}} {{{{.Status.State}}}} {{{{index .Spec.Labels "{LABEL}"}}}}' |
  while read -r node state label; do
    [ "$state $label" = "ready yes" ] && [ "$node" != "$me" ] || continue
    update --role manager --label-rm {LABEL} "$node"
  done
}}

go() {{
  status=$(docker node ls --filter role=manager --format '{{{{.ManagerStatus}}}}')
  others=$(grep -cx Reachable <<<"$status")
  [ "$others" -ge 2 ] || return 0  # of two managers, neither may go
  update --role worker --label-add {LABEL}=yes \\
    "$(docker info --format '{{{{.Swarm.NodeID}}}}')"
  for _ in $(seq 80); do  # until it knows, and has handed over
    [ "$(docker info --format '{{{{.Swarm.ControlAvailable}}}}')" = true ] || break
    sleep 0.1
  done
}}

case "$1" in
  keep) while sleep 5; do "$0" once; done ;;
  *) leads && "$1" ;;
esac
exit 0
"""

_SERVICE = f"""[Unit]
Description=Hand the lead of the Swarm over before this manager's engine stops
After=docker.service network-online.target
PartOf=docker.service

[Service]
ExecStart={_PROGRAM} keep
ExecStop=-{_PROGRAM} go
TimeoutStopSec=15
Restart=always

[Install]
WantedBy=docker.service
"""

_FILES = [
    HostFile(_PROGRAM, SCRIPT, mode="0755"),
    HostFile(f"/etc/systemd/system/{_UNIT}.service", _SERVICE),
]


def ensure_hand_over(connections: Mapping[str, fabric.Connection]) -> Changes:
    """
    Install the hand-over on these managers.
    """
    changes = Changes()

    def one(item: tuple[str, fabric.Connection]) -> None:
        role, connection = item
        written = ensure_files(connection, _FILES)
        for path in written:
            changes.add("file", role, f"{path} written")
        # no restart: stopping the unit hands over, and `keep` runs the new program anyway
        if start_unit(connection, f"{_UNIT}.service", changed=bool(written), verb="start"):
            changes.add("hand-over", role, "starts with the engine")

    for_each("Hand-over installed", {r: (r, c) for r, c in connections.items()}, one)
    return changes


def remove_hand_over(connections: Mapping[str, fabric.Connection]) -> Changes:
    changes = Changes()

    def one(item: tuple[str, fabric.Connection]) -> None:
        role, connection = item
        # stopping the unit would hand over: remove its program first
        removed = remove_installed(connection, [], [_PROGRAM])
        removed += remove_installed(connection, [f"{_UNIT}.service"], [_FILES[1].path])
        if removed:
            changes.add("hand-over", role, f"{', '.join(removed)} removed")

    for_each("Hand-over removed", {r: (r, c) for r, c in connections.items()}, one)
    return changes


def find_active(connections: Mapping[str, fabric.Connection]) -> list[str]:
    """
    Find the managers with a running unit that is enabled for the next boot.
    """
    query = f"systemctl -q is-active {_UNIT} && systemctl -q is-enabled {_UNIT} && echo yes || true"
    answers = for_each("Hand-over queried", dict(connections), lambda c: run(c, query, sudo=True))
    return sorted(role for role, answer in answers.items() if answer.strip())


def find_hand_over_paths(connections: Mapping[str, fabric.Connection]) -> list[str]:
    """
    Find the installed files, as `role: path`.
    """
    files = [file.path for file in _FILES]
    installed = for_each("Files listed", dict(connections), lambda c: find_installed(c, files))
    return [f"{role}: {path}" for role, paths in installed.items() for path in paths]
