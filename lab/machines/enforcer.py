"""
Bring the rules of every running instance in line with the security groups, where they changed.
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
from lab.machines.firewall import Port, port_script

log = logging.getLogger(__name__)


class Guarded(Protocol):
    """
    An instance, as far as its rules are concerned.
    """

    id: str

    @property
    def reachable(self) -> bool: ...

    def port(self) -> Port: ...


class Enforcer:
    """
    Remembers which rules are in force where.

    `world` is the lock under which instances and groups change. The order of locks is always:
    the enforcer's own first, then the world's; so `sync` is never called while holding it.
    """

    def __init__(
        self,
        config: LabConfig,
        machines: Machines,
        find_instances: Callable[[], Iterable[Guarded]],
        world: AbstractContextManager[object],
    ) -> None:
        self._config = config
        self._machines = machines
        self._find_instances = find_instances
        self._world = world
        self._lock = threading.Lock()
        self._in_force: dict[str, str] = {}
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="rules")

    def script(self, instance: Guarded) -> str:
        with self._world:
            port = instance.port()
        return port_script(
            port,
            public_pool=self._config.public_pool,
            metadata_server=f"{self._config.gateway}:{self._config.port}",
        )

    def started(self, instance_id: str, script: str) -> None:
        """
        Note the script that an instance was started with.
        """
        with self._lock:
            self._in_force[instance_id] = script

    def sync(self) -> None:
        """
        Apply what changed. Instances that are booting follow when they are ready.
        """
        with self._lock:
            with self._world:
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
            # It may have been powered off just now. The former rules stay; the next sync retries.
            log.exception("rules of %s", instance_id)
            return ""
        return instance_id
