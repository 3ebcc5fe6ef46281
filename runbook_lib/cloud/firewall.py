"""
The guide's firewall as data: its rules, and how the actual rules differ from them.

Source: section "Grupos de Seguridad (Reglas de FW)" of the guide. All rules are ingress; egress is
not limited. `security_groups` applies the rules in EC2, and `reachability` tests them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from runbook_lib.cloud.roles import ROLES, get_role
from runbook_lib.core.errors import ParameterError

INTERNET = "0.0.0.0/0"
_SSH = 22


@dataclass(frozen=True)
class Rule:
    """
    A rule: members of `group` accept `protocol`/`port` from `source`, a group's name or a CIDR.
    """

    group: str
    protocol: str
    port: int
    source: str
    why: str = ""
    """The description in EC2, which takes only plain characters."""
    listed_in: str = "guide"
    """The guide, with what it lacks, or the parameter open_ports."""

    def __str__(self) -> str:
        return f"{self.group}: {self.protocol}/{self.port} from {self.source}"


@dataclass(frozen=True)
class Permission:
    """
    One rule as stored in EC2, with a range of ports and any source.
    """

    group: str
    protocol: str
    from_port: int
    to_port: int
    source: str
    rule_id: str = ""

    def __str__(self) -> str:
        if self.protocol == "-1":
            return f"{self.group}: everything from {self.source}"
        last = "" if self.to_port == self.from_port else f"-{self.to_port}"
        return f"{self.group}: {self.protocol}/{self.from_port}{last} from {self.source}"


def guide_rules(operator_cidr: str, web_cidr: str = INTERNET) -> list[Rule]:
    """
    Return the rules of the guide's tables, and those missing there: SSH from the operator's
    address, port 5001 of our image registry, and SSH between the manager and manager-backup.

    Parameters
    ----------
    web_cidr
        Who may reach the map; the operator may in any case, whose notebooks check it.

    Raises ParameterError if `operator_cidr` is not a single IPv4 address: SSH is never opened
    to more; or if `web_cidr` is no network.
    """
    if not _is_one_address(operator_cidr):
        raise ParameterError(
            f"operator_cidr: expected one IPv4 address as a /32, saw {operator_cidr!r}",
            next_step='set operator_cidr to your address, for example "203.0.113.7/32"',
        )
    try:
        covered = IPv4Network(operator_cidr).subnet_of(_network(web_cidr))
    except ValueError as error:
        raise ParameterError(
            f"web_cidr: expected an IPv4 network; {error}",
            next_step=f'set web_cidr, for example "198.51.100.0/24", or "{INTERNET}" for everybody',
        ) from None
    visitors = [web_cidr] if covered else [web_cidr, operator_cidr]
    swarm = [
        ("tcp", 2376, "Docker client: the port of docker-machine, nothing here listens"),
        ("tcp", 7946, "node discovery"),
        ("udp", 7946, "node discovery"),
        ("udp", 4789, "overlay network"),
        ("tcp", 5001, "image registry on the manager, ours and not of the guide"),
    ]
    managers = [
        (2377, "swarm management"),
        (5672, "RabbitMQ"),
        (15672, "RabbitMQ web administration"),
        (15674, "RabbitMQ websockets"),
    ]
    web = [(8080, "VueJS UI"), (5000, "Flask tile server")]
    return [
        *(
            Rule("worker", protocol, port, source, why)
            for protocol, port, why in swarm
            for source in ("worker", "manager")
        ),
        Rule("worker", "tcp", _SSH, operator_cidr, "SSH, for the operator alone"),
        *(Rule("manager", "tcp", port, "worker", why) for port, why in managers),
        *(Rule("web", "tcp", port, source, why) for port, why in web for source in visitors),
        Rule(
            "backup", "tcp", _SSH, "backup", "copies of the tiles, between the two that hold them"
        ),
    ]


def wanted_rules(
    operator_cidr: str, open_ports: Iterable[str] = (), web_cidr: str = INTERNET
) -> list[Rule]:
    """
    Return the rules of the guide and those of `open_ports`, for example the ports of another stack.

    Parameters
    ----------
    open_ports
        Rules as they print: `web: tcp/80 from 0.0.0.0/0`.
    web_cidr
        As in `guide_rules`.

    Raises ParameterError with every entry that is no such rule, or that opens SSH: only the
    operator's address may use it.
    """
    rules, problems = guide_rules(operator_cidr, web_cidr), []
    for text in open_ports:
        try:
            rule = _rule(text)
        except ValueError as error:
            problems.append(f"{text!r}: {error}")
            continue
        if str(rule) not in map(str, rules):
            rules.append(rule)
    if problems:
        raise ParameterError(
            "open_ports: expected rules such as  web: tcp/80 from 0.0.0.0/0",
            evidence="\n".join(problems),
            next_step="correct open_ports where it is set; no rule was changed",
        )
    return rules


def _rule(text: str) -> Rule:
    groups = dict.fromkeys(group for role in ROLES.values() for group in role.groups)
    match = re.fullmatch(r"(\S+): (tcp|udp)/(\d{1,5}) from (\S+)", text, flags=re.ASCII)
    if match is None:
        raise ValueError("expected GROUP: PROTOCOL/PORT from SOURCE")
    group, protocol, port, source = match[1], match[2], int(match[3]), match[4]
    if group not in groups:
        raise ValueError(f"expected one of the groups {', '.join(groups)}, saw {group}")
    if not 1 <= port <= 65535:
        raise ValueError(f"expected a port from 1 to 65535, saw {port}")
    if port == _SSH:
        raise ValueError("SSH is opened to operator_cidr alone")
    if source not in groups:
        try:
            _network(source)
        except ValueError as error:
            raise ValueError(f"expected a group or an IPv4 CIDR after from; {error}") from None
    return Rule(group, protocol, port, source, "for a stack, from open_ports", "open_ports")


def rule_changes(
    actual: Iterable[Permission], wanted: Iterable[Rule]
) -> tuple[list[Rule], list[Permission]]:
    """
    Return the rules to authorize and to revoke, compared by group, protocol, port and source.

    A rule outside the tables is revoked, even if it contains a wanted one: a range of ports or an
    open protocol allows more than the tables do.
    """
    wanted_by_key = {(r.group, r.protocol, r.port, r.port, r.source): r for r in wanted}
    actual_by_key = {(p.group, p.protocol, p.from_port, p.to_port, p.source): p for p in actual}
    missing = [rule for key, rule in wanted_by_key.items() if key not in actual_by_key]
    return missing, [have for key, have in actual_by_key.items() if key not in wanted_by_key]


def allows(rules: Iterable[Rule], target: str, protocol: str, port: int, sender: "Sender") -> bool:
    """
    Return whether an instance of the role `target` accepts this packet.
    """
    groups = get_role(target).groups
    return any(
        rule.group in groups
        and (rule.protocol, rule.port) == (protocol, port)
        and (rule.source in sender.groups or _covers(rule.source, sender.address))
        for rule in rules
    )


@dataclass(frozen=True)
class Sender:
    """
    The source of a packet, as the target sees it.

    EC2 matches groups by private address, so no group matches a public source address.
    """

    address: str
    groups: tuple[str, ...] = ()


def _network(cidr: str) -> IPv4Network:
    """
    Read a network written as EC2 keeps it; raise ValueError with the reason if it is none.
    """
    network = IPv4Network(cidr)
    if str(network) != cidr:
        raise ValueError(f"expected a CIDR such as {network}, saw {cidr}")
    return network


def _is_one_address(cidr: str) -> bool:
    try:
        return cidr.endswith("/32") and IPv4Network(cidr).num_addresses == 1
    except ValueError:
        return False


def _covers(source: str, address: str) -> bool:
    return "/" in source and IPv4Address(address) in IPv4Network(source)
