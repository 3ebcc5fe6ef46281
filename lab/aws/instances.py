"""
moto's record of an instance, with a machine behind it.
"""

from __future__ import annotations

import base64
import copy
import re
from typing import TYPE_CHECKING, Any

import moto.ec2.models.instances as moto_instances
from moto.ec2.exceptions import EC2ClientError

from lab.machines.containers import Hardware
from lab.machines.firewall import NetworkInterface, Rule

if TYPE_CHECKING:
    from lab.machines.hypervisor import Hypervisor

PENDING, RUNNING, SHUTTING_DOWN, TERMINATED, STOPPING, STOPPED = 0, 16, 32, 48, 64, 80
STATES = {
    PENDING: "pending",
    RUNNING: "running",
    SHUTTING_DOWN: "shutting-down",
    TERMINATED: "terminated",
    STOPPING: "stopping",
    STOPPED: "stopped",
}
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class LabInstance(moto_instances.Instance):
    """
    Add to moto's record: real states, a place in the default VPC, and a machine.

    Its attributes are pickled; the hypervisor is not, and belongs to the backend.
    """

    __module__ = moto_instances.Instance.__module__  # moto derives a service's name from it

    def __init__(
        self,
        ec2_backend: Any,  # noqa: ANN401 (as moto declares it)
        image_id: str,
        user_data: Any,  # noqa: ANN401 (as moto declares it)
        security_groups: list[Any],
        **kwargs: Any,  # noqa: ANN401 (as moto declares it)
    ) -> None:
        cards = kwargs.get("nics") or []
        placed = kwargs.get("subnet_id") or any(
            "SubnetId" in card or "NetworkInterfaceId" in card for card in cards
        )
        if not placed:  # else moto would act as EC2-Classic and choose a random 10.x.y.z
            kwargs["subnet_id"] = _default_subnet(ec2_backend, kwargs.get("placement"))
        if not security_groups and not any(card.get("Groups") for card in cards):
            security_groups = [ec2_backend.get_default_security_group()]
        super().__init__(ec2_backend, image_id, user_data, security_groups, **kwargs)
        if not self.security_groups:  # groups were given for the interface
            self.security_groups = list(self.nics[0].group_set)
        if self.vpc_id != ec2_backend.default_vpc.id:
            raise EC2ClientError("Unsupported", "The lab runs instances in the default VPC only.")
        key_pair = ec2_backend.key_pairs.get(self.key_name)
        self.authorized_key: str = key_pair.material_public.decode() if key_pair else ""
        self.user_data_bytes = base64.b64decode(str(user_data)) if user_data else b""
        self.created = False
        self.booted_before = False
        self.status_checks = "initializing"
        self._enter(PENDING)
        self._hypervisor.boot(self)

    @property
    def _hypervisor(self) -> Hypervisor:
        hypervisor: Hypervisor = self.ec2_backend.hypervisor
        return hypervisor

    # ---- orders of the API

    def start(self) -> moto_instances.InstanceState:
        if self.state in ("pending", "running"):
            return copy.copy(self._state)
        self._refuse_unless("started", "stopped")
        previous = super().start()
        self.status_checks = "initializing"
        self._enter(PENDING)
        self._hypervisor.boot(self)
        return previous

    def stop(self) -> moto_instances.InstanceState:
        if self.state in ("stopping", "stopped"):
            return copy.copy(self._state)
        self._refuse_unless("stopped", "running")
        previous = super().stop()
        self._enter(STOPPING)
        self._hypervisor.halt(self)
        return previous

    def terminate(self) -> moto_instances.InstanceState:
        if self.state in ("shutting-down", "terminated"):
            return copy.copy(self._state)
        previous = super().terminate()
        self._enter(SHUTTING_DOWN)
        self._hypervisor.destroy(self)
        return previous

    def reboot(self) -> None:
        self._refuse_unless("rebooted", "running")
        super().reboot()
        self.on_rebooting()
        self._hypervisor.restart(self)

    # ---- reports of the hypervisor

    def on_started(self) -> None:
        if self.state == "pending":
            self._enter(RUNNING)

    def on_rebooting(self) -> None:
        self.status_checks = "initializing"

    def on_ready(self) -> None:
        self.status_checks = "ok"
        self.booted_before = True

    def on_stopped(self) -> None:
        if self.state == "stopping":
            self._enter(STOPPED)

    def on_powered_off(self) -> None:
        super().stop()
        self._enter(STOPPED)
        self.state_reason = moto_instances.StateReason(
            "Client.InstanceInitiatedShutdown: Instance initiated shutdown",
            "Client.InstanceInitiatedShutdown",
        )

    def on_failed(self, failure: str) -> None:
        """
        The order failed and the machine is kept: its status checks show the failure.
        """
        self.status_checks = "impaired"
        self.state_reason = _internal_error(failure)
        self.on_started()

    def on_gone(self, failure: str = "") -> None:
        if self.state == "terminated":
            return
        if self.state != "shutting-down":
            super().terminate()
        if failure:
            self.state_reason = _internal_error(failure)
        self._enter(TERMINATED)
        for card in self.nics.values():  # only now may another machine get the address
            if card.id in self.ec2_backend.enis:
                card.delete()
        self.security_groups = []

    # ---- what the hypervisor reads

    @property
    def reachable(self) -> bool:
        return self.state == "running" and self.status_checks == "ok"

    @property
    def terminates_on_shutdown(self) -> bool:
        return bool(self.instance_initiated_shutdown_behavior == "terminate")

    @property
    def groups(self) -> dict[str, Any]:
        return {group.id: group for group in self.security_groups}

    def hardware(self) -> Hardware:
        (kind,) = self.ec2_backend.describe_instance_types([self.instance_type])
        return Hardware(
            instance_id=self.id,
            address=str(self.private_ip),
            dns_name=self.private_dns_name,
            memory_mib=kind["MemoryInfo"]["SizeInMiB"],
            vcpus=kind["VCpuInfo"]["DefaultVCpus"],
        )

    def network_interface(self) -> NetworkInterface:
        groups = self.groups.values()
        return NetworkInterface(
            private_address=str(self.private_ip),
            public_address=self.public_ip or "",
            metadata=self.metadata_options.http_endpoint == "enabled",
            metadata_hops=self.metadata_options.http_put_response_hop_limit,
            source_check=str(self.source_dest_check).lower() == "true",
            ingress=tuple(self._rule(one) for group in groups for one in group.ingress_rules),
            egress=tuple(self._rule(one) for group in groups for one in group.egress_rules),
        )

    def _rule(self, rule: Any) -> Rule:  # noqa: ANN401 (moto's SecurityGroupRule)
        if rule.source_group:
            peers = self.ec2_backend.member_addresses(rule.source_group["GroupId"])
        else:
            peers = tuple(filter(None, [rule.cidr_ipv4]))  # there is no IPv6 in the lab
        return Rule(rule.ip_protocol, rule.from_port, rule.to_port, peers)

    # ---- what Describe shows. The setters do nothing: the constructor of another moto version may
    # assign what is computed here.

    def _check(self) -> dict[str, Any]:
        if self.state_code != RUNNING:
            return {"Status": "not-applicable"}
        reachability = {"ok": "passed", "impaired": "failed"}.get(
            self.status_checks, "initializing"
        )
        return {
            "Status": self.status_checks,
            "Details": [{"Name": "reachability", "Status": reachability}],
        }

    instance_status = property(_check, lambda self, value: None)
    system_status = property(_check, lambda self, value: None)
    # An address instead of a name: it resolves without a DNS server.
    public_dns_name = property(lambda self: self.public_ip, lambda self, value: None)

    # DescribeInstanceStatus reads this name, and moto's response lacks the id without it
    instance_id = property(lambda self: self.id)

    # ----

    def _enter(self, code: int) -> None:
        self._state.code, self._state.name = code, STATES[code]

    def _refuse_unless(self, participle: str, *states: str) -> None:
        if self.state not in states:
            raise EC2ClientError(
                "IncorrectInstanceState",
                f"The instance '{self.id}' is not in a state from which it can be {participle}.",
            )


def _internal_error(failure: str) -> moto_instances.StateReason:
    """
    The failure without colours and control characters, which a console prints and XML forbids.
    """
    plain = "".join(c for c in _COLOURS.sub("", failure) if c.isprintable() or c == "\n")
    return moto_instances.StateReason(f"Server.InternalError: {plain}", "Server.InternalError")


def _default_subnet(backend: Any, zone: str | None) -> str:  # noqa: ANN401 (moto's EC2Backend)
    subnet_id: str = backend.get_default_subnets()[zone or f"{backend.region_name}a"].id
    return subnet_id
