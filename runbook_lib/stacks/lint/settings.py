"""
Settings of a service that a Swarm ignores, and those that it refuses.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from runbook_lib.stacks.compose.merging import read_mount
from runbook_lib.stacks.lint.declared import Declared, seconds
from runbook_lib.stacks.lint.facts import ClusterFacts
from runbook_lib.stacks.lint.problems import Report
from runbook_lib.stacks.running.placement import amount

_ADDRESS = re.compile(r"(\[.+\]|\d+(?:\.\d+){3}):")
_NETWORK = "services of one network reach each other by name, on every port"
# what docker/cli calls unsupported or deprecated, but `build`: the runbook builds
_IGNORED = {
    "container_name": "other services find it by the name of the service",
    "depends_on": "let the program wait for what it needs",
    "domainname": "set hostname to the whole name",
    "expose": _NETWORK,
    "external_links": _NETWORK,
    "links": _NETWORK,
    "network_mode": "use networks",
    "privileged": "list what it needs in cap_add",
    "restart": "use deploy.restart_policy",
    "shm_size": "mount a tmpfs on /dev/shm",
    **dict.fromkeys(
        ["cgroup_parent", "cgroupns_mode", "devices", "ipc", "mac_address", "pid"],
        "leave it out: a service of a Swarm cannot have it",
    ),
    **dict.fromkeys(["security_opt", "userns_mode"], "set it for the engine of every node"),
}


def check_ignored(report: Report, service: str, spec: Mapping[str, Any]) -> None:
    """
    Report keys that Docker reads and leaves out.
    """
    at = ("services", service)
    for key in spec.keys() & _IGNORED.keys():
        if spec[key] not in (None, False, "", [], {}):
            seen = f"{key}, which is ignored"
            report.warn((*at, key), "keys that a Swarm uses", seen, _IGNORED[key])
    for index, entry in enumerate(spec.get("ports") or []):
        if match := _ADDRESS.match(str(entry)):
            seen = f"{match[1]}, which is ignored"
            step = "leave the port out, or rely on the security groups: every address serves it"
            report.warn((*at, "ports", index), "a port without an address", seen, step)


def check_monitor(report: Report, service: str, spec: Mapping[str, Any]) -> None:
    """
    Report an update that is watched for less than one interval of the health check.

    Swarm counts a failure until a task runs, which is when it is healthy, and after that only
    within `monitor`: swarmkit, `manager/orchestrator/update`. Swarm's own choice is 5 s: written
    down, it is reported from an interval of 30 s on, which is Docker's own.
    """
    update = (spec.get("deploy") or {}).get("update_config") or {}
    check = spec.get("healthcheck") or {}
    has_check = check.get("test") not in (None, "NONE", ["NONE"]) and not check.get("disable")
    interval, monitor = seconds(check.get("interval") or "30s"), seconds(update.get("monitor"))
    is_usual = monitor == 5 and interval < 30
    acts = has_check and not is_usual and update.get("failure_action") != "continue"
    if acts and 0 < monitor < interval:
        keys = ("services", service, "deploy", "update_config", "monitor")
        expected = f"to watch an update for a health check at least, {interval:g} s"
        seen = f"{monitor:g} s, in which no check comes after the one that let the task start"
        report.warn(keys, expected, seen, f"set monitor to {interval:g}s or more, or leave it out")


def check_refused(report: Report, stack: str, service: Declared, facts: ClusterFacts) -> None:
    """
    Report what Swarm refuses when the services before it are changed already.

    Source: `validateServiceSpec` and `UpdateService` in `manager/controlapi` of swarmkit.
    """
    spec = report.stack.services[service.name]
    deploy = spec.get("deploy") or {}
    keys = ("services", service.name)
    full = f"{stack}_{service.name}"
    if len(full) > 63:
        seen, step = f"{full} has {len(full)}", "shorten the name of the stack or of the service"
        report.error(keys, "a name of at most 63 characters", seen, step)
    mode = str(deploy.get("mode") or "replicated")
    live = next(iter(facts.find_live(full).get("Mode") or [""])).lower()
    if live not in ("", mode.replace("-", "")):
        seen = f"{full} is {live}, and Swarm changes no mode"
        step = f"docker service rm {full}  first: it is down until the deployment"
        report.error((*keys, "deploy", "mode"), f"a new service for the mode {mode}", seen, step)
    if mode.endswith("-job") and deploy.get("update_config"):
        seen, step = "a job, which has no updates", "leave update_config out"
        report.error((*keys, "deploy", "update_config"), "no update_config", seen, step)
    if deploy.get("endpoint_mode") == "dnsrr":
        for port in service.ports:
            if not port.is_host:
                seen, step = f"{port} in ingress mode", "set mode: host, or endpoint_mode: vip"
                report.error((*keys, "ports", port.index), "host mode beside dnsrr", seen, step)
    for name, amounts in (("limits", service.limits), ("reservations", service.reserved)):
        if 0 < amounts[0] < 1e6 or 0 < amounts[1] < 4 * 2**20:
            seen = amount(*amounts)
            step = (
                "add the unit: a number alone is bytes"
                if 0 < amounts[1] < 4 * 2**20
                else "raise it"
            )
            expected = "at least 0.001 CPUs and 4 MiB"
            report.error((*keys, "deploy", "resources", name), expected, seen, step)
    targets = [read_mount(entry)[1].rstrip("/") for entry in spec.get("volumes") or []]
    for target, count in Counter(targets).items():
        if target and count > 1:
            seen = f"{target} is mounted {count} times"
            place = len(targets) - 1 - targets[::-1].index(target)
            report.error((*keys, "volumes", place), "one mount on a folder", seen, "remove one")
