"""
The hypervisor's rules for one instance, as text: security groups, public address, metadata.

The whole text is computed from the groups each time and applied where it changed, so no way of
changing a group can be forgotten. See `guest/port` for the two network namespaces.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

METADATA_ADDRESS = "169.254.169.254"


@dataclass(frozen=True)
class Rule:
    """
    One permission of a security group, its groups already resolved to addresses.

    `protocol` is EC2's: "tcp", "udp", "icmp", a number, or "-1" for all. For ICMP the two ports
    are type and code. `peers` are IPv4 addresses or networks; none of them: nobody.
    """

    protocol: str
    from_port: int | None
    to_port: int | None
    peers: tuple[str, ...]


@dataclass(frozen=True)
class Port:
    """
    What the cloud's side of an instance's network card has to know.
    """

    private_address: str
    public_address: str = ""
    metadata: bool = True
    metadata_hops: int = 1  # further than this the answers do not get: 1 is the guest itself
    source_check: bool = True
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()


def port_script(port: Port, *, public_pool: str, metadata_server: str) -> str:
    """
    Write the shell script that gives the outer namespace the routes and rules of this port.

    It can run again and again, and replaces all rules in one transaction. It stops at the first
    error, leaving the former rules in force. `metadata_server` is host:port.
    """
    public_route = f"ip route replace {port.public_address}/32 dev vg\n" * bool(port.public_address)
    ruleset = _ruleset(port, public_pool, metadata_server)
    return f"""\
set -e
for route in $(ip route show dev vg | awk '{{print $1}}'); do
    [ "$route" = {port.private_address} ] || ip route del "$route" dev vg
done
{public_route}nft -f - <<'RULES'
{ruleset}RULES
"""


def _ruleset(port: Port, public_pool: str, metadata_server: str) -> str:
    spoofed = f'iifname "vg" ip saddr != {port.private_address} drop'
    asked_metadata = f"ct original ip daddr {METADATA_ADDRESS}"
    chains = [
        _chain("ingress", _lines(port.ingress, "saddr")),
        _chain(
            "egress",
            [f"{asked_metadata} accept", *_lines(port.egress, "daddr")],
        ),
        _chain(
            "groups",
            [
                "type filter hook forward priority 0; policy drop;",
                *([spoofed] if port.source_check else []),
                f'oifname "vg" {asked_metadata} ip ttl set {port.metadata_hops}',
                "ct state established,related accept",
                'iifname "eth0" oifname "vg" jump ingress',
                'iifname "vg" oifname "eth0" jump egress',
            ],
        ),
    ]
    if port.public_address:
        incoming = f'iifname "eth0" ip daddr {port.public_address}'
        # Other instances see the public address when they were called at theirs, as on AWS.
        outgoing = f'oifname "eth0" ip daddr {public_pool}'
        chains += [
            _translation(
                "public_in", "prerouting", f"{incoming} dnat ip to {port.private_address}"
            ),
            _translation(
                "public_out", "postrouting", f"{outgoing} snat ip to {port.public_address}"
            ),
        ]
    if port.metadata:
        asked = f'iifname "vg" ip daddr {METADATA_ADDRESS} tcp dport 80'
        chains.append(
            _translation("metadata", "prerouting", f"{asked} dnat ip to {metadata_server}")
        )
    return (
        "table inet lab_groups\ndelete table inet lab_groups\n"
        "table inet lab_groups {\n" + "".join(chains) + "}\n"
    )


def _chain(name: str, lines: Iterable[str]) -> str:
    return f"  chain {name} {{\n" + "".join(f"    {line}\n" for line in lines) + "  }\n"


def _translation(name: str, hook: str, rule: str) -> str:
    priority = {"prerouting": -100, "postrouting": 100}[hook]
    return _chain(name, [f"type nat hook {hook} priority {priority};", rule])


def _lines(rules: Iterable[Rule], side: str) -> list[str]:
    """
    One line for each distinct rule, sorted, so that the same groups give the same text.
    """
    return sorted(
        {
            f"ip {side} {{ {', '.join(sorted(set(rule.peers)))} }} {_matched(rule)}accept"
            if len(rule.peers) > 1
            else f"ip {side} {rule.peers[0]} {_matched(rule)}accept"
            for rule in rules
            if rule.peers
        }
    )


def _matched(rule: Rule) -> str:
    first, last = rule.from_port, rule.to_port
    everything = first in (None, -1)
    if rule.protocol == "-1":
        return ""
    if rule.protocol in ("tcp", "udp") and not everything:
        ports = f"{first}" if first == last else f"{first}-{last}"
        return f"{rule.protocol} dport {ports} "
    if rule.protocol == "icmp" and not everything:
        code = "" if last in (None, -1) else f"icmp code {last} "
        return f"icmp type {first} {code}"
    return f"meta l4proto {rule.protocol} "
