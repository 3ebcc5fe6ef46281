"""
What happens to instances over time: each has a queue of its own, so its orders stay in order.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from docker.errors import DockerException

from lab.core.config import LabConfig
from lab.machines.containers import Machine, Machines
from lab.machines.enforcer import Enforcer, Guarded
from lab.machines.seed import first_start_archive, restart_archive

log = logging.getLogger(__name__)

REBOOT_EXIT_CODE = (
    129  # reboot(2) in a PID namespace ends its first process by SIGHUP; power-off: 130
)


class Tenant(Guarded, Protocol):
    """
    An instance as the cloud drives it. The methods are called with the world locked.
    """

    created: bool
    booted_before: bool
    authorized_key: str
    user_data_bytes: bytes

    @property
    def state(self) -> str: ...
    @property
    def terminates_on_shutdown(self) -> bool: ...
    def machine(self) -> Machine: ...
    def on_started(self) -> None: ...
    def on_ready(self) -> None: ...
    def on_stopped(self) -> None: ...
    def on_powered_off(self) -> None: ...
    def on_rebooting(self) -> None: ...
    def on_failed(self, failure: str) -> None: ...
    def on_gone(self, failure: str = "") -> None: ...


class Cloud:
    """
    Carries out the orders of the EC2 API on containers, and reports back to the instances.

    `world` guards everything that moto holds: take it around each look at or change of it.
    """

    def __init__(
        self,
        config: LabConfig,
        machines: Machines,
        find_instances: Callable[[], Iterable[Tenant]],
        save: Callable[[], None],
    ) -> None:
        self.config = config
        self.machines = machines
        self.world = threading.RLock()
        self.enforcer = Enforcer(config, machines, find_instances, self.world)
        self._find_instances = find_instances
        self.save = save
        self._queues: dict[str, ThreadPoolExecutor] = {}
        self._closed = False

    def boot(self, instance: Tenant) -> None:
        self._submit(instance, self._boot)

    def halt(self, instance: Tenant) -> None:
        self._submit(instance, self._halt)

    def restart(self, instance: Tenant) -> None:
        self._submit(instance, self._restart)

    def destroy(self, instance: Tenant) -> None:
        self._submit(instance, self._destroy)

    def adopt(self) -> None:
        """
        Converge what an earlier process of this lab left: its records with the containers.
        """
        orders = {
            "pending": self.boot,
            "running": lambda one: self._submit(one, self._recover),
            "stopping": self.halt,
            "shutting-down": self.destroy,
        }
        known = {one.id: one for one in self._find_instances() if one.state != "terminated"}
        for instance_id in set(self.machines.find_ids()) - known.keys():
            log.warning("removing %s, which no record explains", instance_id)
            self.machines.remove(instance_id)
        for instance in known.values():
            if instance.state in orders:
                orders[instance.state](instance)

    def watch(self) -> None:
        """
        Notice guests that power off or reboot by themselves. Runs until the process ends.
        """
        while not self._closed:
            self._look_at_all()
            try:
                for instance_id in self.machines.deaths():
                    for instance in self._find_instances():
                        if instance.id == instance_id:
                            self._submit(instance, self._notice)
            except (DockerException, OSError):
                log.exception("lost the engine's events; asking again")
                threading.Event().wait(1)

    def _look_at_all(self) -> None:
        """
        What ended while nobody listened, as when the engine was restarted.
        """
        with self.world:
            for instance in self._find_instances():
                if instance.state == "running":
                    self._submit(instance, self._notice)

    def close(self) -> None:
        """
        Finish the order that each instance is at, drop those that wait, and save.
        """
        self._closed = True
        with self.world:
            queues = list(self._queues.values())
        for queue in queues:
            queue.shutdown(wait=False, cancel_futures=True)
        for queue in queues:
            queue.shutdown(wait=True)
        self.enforcer.close()
        self.save()

    def _submit(self, instance: Tenant, order: Callable[[Tenant], None]) -> None:
        with self.world:
            if self._closed:
                return
            if instance.id not in self._queues:
                self._queues[instance.id] = ThreadPoolExecutor(1, thread_name_prefix=instance.id)
            self._queues[instance.id].submit(self._guarded, order, instance)

    def _guarded(self, order: Callable[[Tenant], None], instance: Tenant) -> None:
        try:
            order(instance)
        except Exception as exc:  # nobody waits for this thread: the log and the state tell
            log.exception("%s %s", instance.id, order.__name__)
            if instance.state == "pending" and not instance.booted_before:
                self.machines.remove(instance.id)
                with self.world:
                    instance.on_gone(failure=str(exc))
            else:  # its disk may hold somebody's work
                with self.world:
                    instance.on_failed(str(exc))
        if instance.state == "terminated" and (queue := self._queues.pop(instance.id, None)):
            queue.shutdown(wait=False)
        self.save()

    def _boot(self, instance: Tenant) -> None:
        script = self.enforcer.script(instance)
        if instance.created and self.machines.condition(instance.id).running:
            script = ""  # an earlier process started it, with rules that we do not know
        elif instance.created:
            self.machines.put(instance.id, restart_archive(script))
        else:
            files = first_start_archive(
                authorized_key=instance.authorized_key,
                user_data=instance.user_data_bytes,
                mirror_url=self.config.mirror_url,
                script=script,
            )
            self.machines.remove(instance.id)  # half made, if a killed process left it
            self.machines.create(instance.machine(), files)
            instance.created = True
        self.machines.start(instance.id)
        self.enforcer.started(instance.id, script)
        with self.world:
            instance.on_started()
        self._await_ready(instance)

    def _await_ready(self, instance: Tenant) -> None:
        self.machines.wait_ready(instance.id)
        with self.world:
            instance.on_ready()
        self.enforcer.sync()  # groups may have changed while it booted

    def _halt(self, instance: Tenant) -> None:
        self.machines.stop(instance.id)
        with self.world:
            instance.on_stopped()

    def _restart(self, instance: Tenant) -> None:
        self.machines.restart(instance.id)
        self._await_ready(instance)

    def _destroy(self, instance: Tenant) -> None:
        self.machines.remove(instance.id)
        with self.world:
            instance.on_gone()
        self.enforcer.sync()

    def _recover(self, instance: Tenant) -> None:
        """
        A record says running: make it so, or admit that the machine is lost.
        """
        condition = self.machines.condition(instance.id)
        if not condition.exists:
            with self.world:
                instance.on_gone(failure="its container was removed while the lab was down")
        elif condition.running:
            self._await_ready(instance)
        else:
            self._boot(instance)

    def _notice(self, instance: Tenant) -> None:
        """
        A container ended. Orders of the API end them too: look at what is so now.
        """
        condition = self.machines.condition(instance.id)
        if instance.state != "running" or condition.running or not condition.exists:
            return
        if condition.exit_code == REBOOT_EXIT_CODE:
            with self.world:
                instance.on_rebooting()
            self._boot(instance)
        elif instance.terminates_on_shutdown:
            self._destroy(instance)
        else:
            with self.world:
                instance.on_powered_off()
            self.enforcer.sync()
