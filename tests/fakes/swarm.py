"""
A Swarm of several engines in memory: who is a manager, who leads, who joins and leaves.
"""

from collections.abc import Mapping
from types import SimpleNamespace

from tests.fakes.docker import Engine, Json, Node

TOKENS = {"Manager": "for managers", "Worker": "for workers"}


class Member(Node):
    """
    A node that notes what becomes of it in the Swarm's `history`.
    """

    def __init__(self, swarm: "Swarm", role: str, kind: str) -> None:
        super().__init__(role, addr=swarm.addresses[role], Role=kind)
        self.swarm = swarm

    def update(self, spec: Json) -> None:
        self.swarm.history.append(f"{self.name} is to be a {spec['Role']}")
        led = self.attrs["ManagerStatus"].get("Leader")
        super().update(spec)
        if led:
            self.swarm.lead(*self.swarm.heirs)

    def remove(self, force: bool = False) -> None:
        self.swarm.history.append(f"{self.name} is removed")
        super().remove()


class Swarm:
    """
    A Swarm that agrees at once; its `engines` by role see the same nodes, members or not.
    """

    def __init__(self, addresses: Mapping[str, str], **kinds: str) -> None:
        self.addresses = addresses
        self.history: list[str] = []
        self.heirs: list[str] = []
        self.nodes = Engine().nodes
        for role, kind in kinds.items():
            self.nodes.add(Member(self, role.replace("_", "-"), kind))
        self.engines = {role: self._engine(role) for role in addresses}

    def lead(self, *roles: str) -> None:
        """
        The first manager of these leads, and the next one when it no longer does.
        """
        managers = {node.name: node for node in self.nodes.list({"role": "manager"})}
        leader, *self.heirs = [role for role in roles if role in managers]
        for role, node in managers.items():
            node.attrs["ManagerStatus"]["Leader"] = role == leader

    def silence(self, role: str) -> None:
        """
        Let a manager answer no longer.
        """
        attrs = self.nodes.get(role).attrs
        attrs["ManagerStatus"]["Reachability"] = "unreachable"
        attrs["Status"]["State"] = "down"

    def _engine(self, role: str) -> Engine:
        def info() -> Json:
            found = [node for node in self.nodes if node.name == role]
            if not found:
                return {"Swarm": {"LocalNodeState": "inactive"}}
            manages = found[0].attrs["Spec"]["Role"] == "manager"
            known = {"LocalNodeState": "active", "NodeID": role, "ControlAvailable": manages}
            return {"Swarm": known}

        def join(remote_addrs: list[str], join_token: str, advertise_addr: str) -> None:
            self.history.append(f"{advertise_addr} joins {remote_addrs[0]} {join_token}")
            self.nodes.add(Member(self, role, "manager"))

        def leave() -> None:
            self.history.append(f"{role} leaves")
            self.nodes.get(role).attrs["Status"]["State"] = "down"

        engine = Engine()
        engine.nodes, engine.info = self.nodes, info
        engine.swarm = SimpleNamespace(
            attrs={"JoinTokens": TOKENS}, reload=lambda: None, join=join, leave=leave
        )
        return engine
