"""
The life cycle of instances. Each has a queue of its own, so its orders stay in order.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from docker.errors import DockerException

from lab.core.config import LabConfig
from lab.machines.containers import Hardware, Machines
from lab.machines.enforcer import Enforcer, ProtectedInstance
from lab.machines.guest_files import first_start_archive, restart_archive

log = logging.getLogger(__name__)

# reboot(2) in a PID namespace ends its first process by SIGHUP; power-off gives 130
REBOOT_EXIT_CODE = 129


class Instance(ProtectedInstance, Protocol):
    """
    An instance as the hypervisor drives it. Its methods are called with `records_lock` held.
    """

    created: bool
    booted_before: bool
    authorized_key: str
    user_data_bytes: bytes

    @property
    def state(self) -> str: ...
    @property
    def terminates_on_shutdown(self) -> bool: ...
    def hardware(self) -> Hardware: ...
    def on_started(self) -> None: ...
    def on_ready(self) -> None: ...
    def on_stopped(self) -> None: ...
    def on_powered_off(self) -> None: ...
    def on_rebooting(self) -> None: ...
    def on_failed(self, failure: str) -> None: ...
    def on_gone(self, failure: str = "") -> None: ...


class Hypervisor:
    """
    Carries out the orders of the EC2 API on containers, and reports back to the instances.

    `records_lock` guards the records of instances and groups: hold it for every read or change.
    """

    def __init__(
        self,
        config: LabConfig,
        machines: Machines,
        find_instances: Callable[[], Iterable[Instance]],
        save: Callable[[], None],
    ) -> None:
        self.config = config
        self.machines = machines
        self.records_lock = threading.RLock()
        self.enforcer = Enforcer(config, machines, find_instances, self.records_lock)
        self._find_instances = find_instances
        self.save = save
        self._queues: dict[str, ThreadPoolExecutor] = {}
        self._closed = False

    def boot(self, instance: Instance) -> None:
        self._submit(instance, self._boot)

    def halt(self, instance: Instance) -> None:
        self._submit(instance, self._halt)

    def restart(self, instance: Instance) -> None:
        self._submit(instance, self._restart)

    def destroy(self, instance: Instance) -> None:
        self._submit(instance, self._destroy)

    def adopt(self) -> None:
        """
        Bring the containers in line with the records that an earlier process of this lab left.
        """
        orders = {
            "pending": self.boot,
            "running": lambda one: self._submit(one, self._recover),
            "stopping": self.halt,
            "shutting-down": self.destroy,
        }
        known = {one.id: one for one in self._find_instances() if one.state != "terminated"}
        for instance_id in set(self.machines.find_ids()) - known.keys():
            log.warning("removing %s, which has no record", instance_id)
            self.machines.remove(instance_id)
        for instance in known.values():
            if instance.state in orders:
                orders[instance.state](instance)

    def watch(self) -> None:
        """
        React to guests that power off or reboot by themselves. Runs until the process ends.
        """
        while not self._closed:
            self._check_all()
            try:
                for instance_id in self.machines.exits():
                    for instance in self._find_instances():
                        if instance.id == instance_id:
                            self._submit(instance, self._handle_exit)
            except (DockerException, OSError):
                log.exception("lost the engine's events; reconnecting")
                threading.Event().wait(1)

    def _check_all(self) -> None:
        """
        Handle exits that no event reported, as when the engine was restarted.
        """
        with self.records_lock:
            for instance in self._find_instances():
                if instance.state == "running":
                    self._submit(instance, self._handle_exit)

    def close(self) -> None:
        """
        Finish the current order of each instance, drop those that wait, and save.
        """
        self._closed = True
        with self.records_lock:
            queues = list(self._queues.values())
        for queue in queues:
            queue.shutdown(wait=False, cancel_futures=True)
        for queue in queues:
            queue.shutdown(wait=True)
        self.enforcer.close()
        self.save()

    def _submit(self, instance: Instance, order: Callable[[Instance], None]) -> None:
        with self.records_lock:
            if self._closed:
                return
            if instance.id not in self._queues:
                self._queues[instance.id] = ThreadPoolExecutor(1, thread_name_prefix=instance.id)
            self._queues[instance.id].submit(self._run_order, order, instance)

    def _run_order(self, order: Callable[[Instance], None], instance: Instance) -> None:
        try:
            order(instance)
        except Exception as exc:  # nothing waits for this thread: report in the log and the state
            log.exception("%s %s", instance.id, order.__name__)
            if instance.state == "pending" and not instance.booted_before:
                self.machines.remove(instance.id)
                with self.records_lock:
                    instance.on_gone(failure=str(exc))
            else:  # keep the machine: its disk may hold work
                with self.records_lock:
                    instance.on_failed(str(exc))
        if instance.state == "terminated" and (queue := self._queues.pop(instance.id, None)):
            queue.shutdown(wait=False)
        self.save()

    def _boot(self, instance: Instance) -> None:
        script = self.enforcer.script(instance)
        if instance.created and self.machines.condition(instance.id).running:
            script = ""  # an earlier process started it, with unknown rules
        elif instance.created:
            self.machines.put(instance.id, restart_archive(script))
        else:
            files = first_start_archive(
                authorized_key=instance.authorized_key,
                user_data=instance.user_data_bytes,
                mirror_url=self.config.mirror_url,
                script=script,
            )
            self.machines.remove(instance.id)  # incomplete, if a killed process left it
            self.machines.create(instance.hardware(), files)
            instance.created = True
        self.machines.start(instance.id)
        self.enforcer.started(instance.id, script)
        with self.records_lock:
            instance.on_started()
        self._await_ready(instance)

    def _await_ready(self, instance: Instance) -> None:
        self.machines.wait_ready(instance.id)
        with self.records_lock:
            instance.on_ready()
        self.enforcer.sync()  # groups may have changed while it booted

    def _halt(self, instance: Instance) -> None:
        self.machines.stop(instance.id)
        with self.records_lock:
            instance.on_stopped()

    def _restart(self, instance: Instance) -> None:
        self.machines.restart(instance.id)
        self._await_ready(instance)

    def _destroy(self, instance: Instance) -> None:
        self.machines.remove(instance.id)
        with self.records_lock:
            instance.on_gone()
        self.enforcer.sync()

    def _recover(self, instance: Instance) -> None:
        """
        Start a machine that its record calls running, or report that it is lost.
        """
        condition = self.machines.condition(instance.id)
        if not condition.exists:
            with self.records_lock:
                instance.on_gone(failure="its container was removed while the lab was down")
        elif condition.running:
            self._await_ready(instance)
        else:
            self._boot(instance)

    def _handle_exit(self, instance: Instance) -> None:
        """
        A container exited. Orders of the API cause that too, so look at its state now.
        """
        condition = self.machines.condition(instance.id)
        if instance.state != "running" or condition.running or not condition.exists:
            return
        if condition.exit_code == REBOOT_EXIT_CODE:
            with self.records_lock:
                instance.on_rebooting()
            self._boot(instance)
        elif instance.terminates_on_shutdown:
            self._destroy(instance)
        else:
            with self.records_lock:
                instance.on_powered_off()
            self.enforcer.sync()
