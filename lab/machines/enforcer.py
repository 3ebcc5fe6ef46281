"""
Apply the firewall rules of running instances, where the security groups changed them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Protocol

from docker.errors import APIError

from lab.core.config import LabConfig
from lab.core.errors import LabError
from lab.machines.containers import Machines
from lab.machines.firewall import NetworkInterface, interface_script

log = logging.getLogger(__name__)


class ProtectedInstance(Protocol):
    """
    An instance, as the enforcer sees it.
    """

    id: str

    @property
    def reachable(self) -> bool: ...

    def network_interface(self) -> NetworkInterface: ...


class Enforcer:
    """
    Remembers which rules are in force on each instance.

    `records_lock` is the lock under which instances and groups change. Locks are always taken in
    one order, the enforcer's own first: never call `sync` while holding `records_lock`.
    """

    def __init__(
        self,
        config: LabConfig,
        machines: Machines,
        find_instances: Callable[[], Iterable[ProtectedInstance]],
        records_lock: AbstractContextManager[object],
    ) -> None:
        self._config = config
        self._machines = machines
        self._find_instances = find_instances
        self._records_lock = records_lock
        self._lock = threading.Lock()
        self._in_force: dict[str, str] = {}
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="rules")

    def script(self, instance: ProtectedInstance) -> str:
        with self._records_lock:
            interface = instance.network_interface()
        return interface_script(
            interface,
            public_pool=self._config.public_pool,
            metadata_server=f"{self._config.gateway}:{self._config.metadata_port}",
        )

    def started(self, instance_id: str, script: str) -> None:
        """
        Record the script that an instance was started with.
        """
        with self._lock:
            self._in_force[instance_id] = script

    def sync(self) -> None:
        """
        Apply what changed. Booting instances follow when they are ready.
        """
        with self._lock:
            with self._records_lock:
                reachable = [one for one in self._find_instances() if one.reachable]
                wanted = {one.id: self.script(one) for one in reachable}
            changed = {
                instance_id: script
                for instance_id, script in wanted.items()
                if self._in_force.get(instance_id) != script
            }
            for instance_id in self._pool.map(self._apply, changed, changed.values()):
                if instance_id:
                    self._in_force[instance_id] = changed[instance_id]

    def close(self) -> None:
        self._pool.shutdown()

    def _apply(self, instance_id: str, script: str) -> str:
        try:
            self._machines.apply(instance_id, script)
        except (LabError, APIError):
            # It may have just been powered off. The previous rules stay; the next sync retries.
            log.exception("rules of %s", instance_id)
            return ""
        return instance_id
