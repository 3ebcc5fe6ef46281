"""
Room for a stack: nodes that meet its constraints, and what they can hold.
"""

import difflib
from collections.abc import Sequence

from runbook_lib.core.words import in_words
from runbook_lib.stacks.lint.declared import Declared
from runbook_lib.stacks.lint.facts import ClusterFacts
from runbook_lib.stacks.lint.problems import Report
from runbook_lib.stacks.running.placement import (
    KEYS,
    Node,
    amount,
    capacity,
    labels_like,
    parse,
    read_key,
)
from runbook_lib.swarm.nodes import hostname

_NAMES = ("cpus", "memory")
_LIST = "docker node inspect --pretty NODE  shows the labels of a node"


def check_placement(report: Report, service: Declared, facts: ClusterFacts) -> None:
    """
    Report constraints that no node meets, and labels that no node has.
    """
    keys = ("services", service.name, "deploy", "placement")
    each_met = [
        _is_met(report, (*keys, "constraints", index), text, facts)
        for index, text in enumerate(service.constraints)
    ]
    met = facts.find_nodes(service.constraints, now=False)
    now = facts.find_nodes(service.constraints)
    all_of = " and ".join(service.constraints)
    if not met and all(each_met):
        seen = "each is met by a node, but no node meets all"
        report.error((*keys, "constraints"), f"a node that meets {all_of}", seen, _LIST)
    elif met and not now:
        seen = f"{in_words(list(map(hostname, met)))}: down or drained"
        step = f"docker node update --availability active {hostname(met[0])}"
        report.warn((*keys, "constraints"), "a node of the placement that takes tasks", seen, step)
    most = service.most_per_node
    if most and now and (service.replicas or 0) > most * len(now):
        seen = f"{len(now)} nodes meet the placement, each for {most}"
        step = f"set replicas to {most * len(now)} or fewer, or the maximum higher"
        expected = f"room for {service.replicas} replicas"
        report.error((*keys, "max_replicas_per_node"), expected, seen, step)
    for index, key in enumerate(service.spread):
        if ".labels." in key and not any(read_key(node, key) for node in facts.nodes):
            seen = f"no node has {key}{_near(key, facts)}"
            step = _label(key, "VALUE")
            report.warn((*keys, "preferences", index), "labels to spread over", seen, step)


def _is_met(report: Report, keys: tuple[str | int, ...], text: str, facts: ClusterFacts) -> bool:
    constraint = parse(text)
    if constraint is None or not constraint.is_known:
        close = difflib.get_close_matches(constraint.key, KEYS, 1) if constraint else []
        step = f"write {close[0]}" if close else "correct the constraint"
        expected = f"KEY == VALUE or KEY != VALUE, the key one of {', '.join(KEYS)}"
        report.error(keys, expected, f"saw {text!r}", step)
        return False
    key, values = constraint.key, [read_key(node, constraint.key) for node in facts.nodes]
    lacking = ""
    if ".labels." in key and not any(values):
        lacking = f"no node has {key}{_near(key, facts)}"
    if facts.find_nodes([text], now=False):
        if lacking:
            step = "correct the label, or leave the constraint out: every node meets it"
            report.warn(keys, f"nodes with {key}", lacking, step)
        return True
    pairs = zip(facts.nodes, values, strict=True)
    seen = lacking or ", ".join(f"{hostname(node)} has {value or 'none'}" for node, value in pairs)
    is_label = key.startswith("node.labels.") and constraint.operator == "=="
    step = _label(key, constraint.value) if is_label else f"correct the constraint; {_LIST}"
    report.error(keys, f"a node that meets {constraint}", seen, step)
    return False


def _label(key: str, value: str) -> str:
    return f"docker node update --label-add {key.partition('.labels.')[2]}={value} NODE"


def _near(key: str, facts: ClusterFacts) -> str:
    known = {label.lower(): label for node in facts.nodes for label in labels_like(node, key)}
    close = difflib.get_close_matches(key.partition(".labels.")[2].lower(), known, 1)
    return f"; there is {known[close[0]] if close else in_words(set(known.values()))}"


def check_sizes(
    report: Report, services: Sequence[Declared], others: Sequence[Declared], facts: ClusterFacts
) -> None:
    """
    Report reservations that the nodes cannot hold, and limits that no node has.
    """
    told: set[frozenset[str]] = set()
    for service in services:
        keys = ("services", service.name, "deploy", "resources")
        for name, reserved, limit in zip(_NAMES, service.reserved, service.limits, strict=True):
            if limit and reserved > limit:
                expected = f"a reservation within the limit, {_one(name, limit)}"
                step = "raise the limit, or reserve less"
                report.error((*keys, "reservations", name), expected, _one(name, reserved), step)
        nodes = facts.find_nodes(service.constraints, now=False)
        sizes = [size for node in nodes if (size := capacity(node))]
        if not sizes or len(sizes) < len(nodes):
            continue  # a node that has not reported its size may be large
        most = [max(size[index] for size in sizes) for index in (0, 1)]
        its = f"the largest of the {len(nodes)} nodes of its placement has"
        if all(_times(size, service.reserved) < 1 for size in sizes):
            expected = f"a node that holds {amount(*service.reserved)}"
            step = "reserve less, or launch larger instances"
            report.error((*keys, "reservations"), expected, f"{its} {amount(*most)}", step)
            continue
        for name, limit, top in zip(_NAMES, service.limits, most, strict=True):
            if limit > top:
                seen = f"{_one(name, limit)}, and {its} {_one(name, top)}"
                step = f"set it to {_one(name, top)} or less: above that it limits nothing"
                report.warn((*keys, "limits", name), f"a limit of {name} within a node", seen, step)
        now = facts.find_nodes(service.constraints)
        ids = frozenset(node["ID"] for node in now)
        seen = _overfull(service, now, [*services, *others], facts) if any(service.reserved) else ""
        if seen and ids not in told:
            told.add(ids)
            expected = (
                f"room on {in_words(sorted(map(hostname, now)))} for all that runs only there"
            )
            step = "reserve less, run fewer replicas, or launch more instances"
            report.error((*keys, "reservations"), expected, seen, step)


def _overfull(
    service: Declared, nodes: Sequence[Node], services: Sequence[Declared], facts: ClusterFacts
) -> str:
    """
    Compare the tasks that can run only on these nodes with what they have; "" if there is room.
    """
    ids = {node["ID"] for node in nodes}
    sizes = [capacity(node) or (0, 0) for node in nodes]
    slots = sum(int(_times(size, service.reserved)) for size in sizes)
    if ids and (service.replicas or 0) > slots:
        return f"{service.replicas} replicas of {amount(*service.reserved)}; {slots} fit"
    asked, whole = [0.0, 0.0], [float(sum(size[index] for size in sizes)) for index in (0, 1)]
    for other in services:
        places = {node["ID"] for node in facts.find_nodes(other.constraints)}
        count = len(places & ids) if other.replicas is None else other.replicas * (places <= ids)
        asked = [have + count * one for have, one in zip(asked, other.reserved, strict=True)]
    if not ids or (asked[0] <= whole[0] and asked[1] <= whole[1]):
        return ""
    return f"they reserve {amount(*asked)} of {amount(*whole)}"


def _times(size: tuple[float, float], reserved: tuple[float, float]) -> float:
    return min(
        (have / want for have, want in zip(size, reserved, strict=True) if want), default=1e9
    )


def _one(name: str, value: float) -> str:
    return amount(value, 0) if name == "cpus" else amount(0, value)
