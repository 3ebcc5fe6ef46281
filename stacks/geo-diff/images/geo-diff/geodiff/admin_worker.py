"""
The admin-worker: scales the worker service by the policy, and replaces silent workers.
"""

import asyncio
import json
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from geodiff import docker_api, serving, topology
from geodiff.broker import Delivery, Link
from geodiff.docker_api import DockerError, Service, Task
from geodiff.policy import Decision, Rules, Seen, decide
from geodiff.queue_rates import WINDOW_S, SlidingRate, read_published
from geodiff.settings import AdminSettings, admin_settings
from geodiff.watchdog import SignsOfLife

log = logging.getLogger(__name__)


def decision_line(decision: Decision, running: int, messages: int, now: datetime) -> str:
    """
    A decision in the form of the authors' later logs, with the fields they lack at the end.
    """
    return (
        f" [+] Workers State - Work Load: {decision.load:.2f}"
        f" - Replicas: {running}/{decision.replicas} - Msg count: {messages}"
        f" - Light: {decision.light} - Batch: {decision.batch} - Time: {now:%Y-%m-%dT%H:%M:%S.%fZ}"
    )


def decision_record(decision: Decision, seen: Seen, now: datetime) -> str:
    """
    The same decision as one line of JSON, for recordings of a load.
    """
    return json.dumps(
        {
            "record": "decision",
            "time": now.isoformat(),
            "published_per_s": round(seen.published_per_s, 3),
            "load": round(decision.load, 4) if math.isfinite(decision.load) else None,
            "light": decision.light,
            "running": seen.running,
            "wanted": decision.replicas,
            "batch": decision.batch,
        }
    )


def worker_record(sign: Mapping[str, object]) -> str:
    """
    The content of a worker's KEEP_ALIVE, as one line of JSON.
    """
    return json.dumps(
        {
            "record": "worker",
            "time": sign.get("time"),
            "task": sign["task_id"],
            "node": sign.get("node"),
            "tiles_done": sign.get("tiles_done"),
        }
    )


class AdminWorker:
    def __init__(self, settings: AdminSettings) -> None:
        self._settings = settings
        self._rules = Rules(
            qty_task=settings.qty_task,
            min_scale=settings.min_scale,
            max_scale=settings.max_scale,
            batch=settings.batch,
            min_batch=settings.min_batch,
            batch_step=settings.batch_step,
            grey=settings.grey,
            green=settings.green,
            yellow=settings.yellow,
        )
        self._batch = settings.batch
        self._greys = 0
        self._rate = SlidingRate(max(WINDOW_S, settings.refresh_s))

    async def start(self, stop: asyncio.Event) -> None:
        async def session(link: Link) -> None:
            signs = SignsOfLife(time.time())
            await link.consume(
                topology.KEEP_ALIVE_QUEUE, 100, lambda sign: _hear(link, sign, signs)
            )
            while not stop.is_set():
                try:
                    await self._refresh(link, signs)
                except OSError as exc:  # the broker's API, Docker, or a proxy: retry next time
                    link.check()
                    log.warning(" [!] nothing decided: %s", exc)
                await _sleep(stop, self._settings.refresh_s)

        await serving.serve(self._settings.broker, session, stop)

    async def _refresh(self, link: Link, signs: SignsOfLife) -> None:
        base, name = self._settings.docker_proxy, self._settings.worker_service
        service = await asyncio.to_thread(docker_api.get_service, base, name)
        tasks = await asyncio.to_thread(docker_api.find_tasks, base, name)
        running = [task for task in tasks if task.state == "running"]
        await self._replace_silent(running, signs)
        await self._scale(link, service, len(running))

    async def _scale(self, link: Link, service: Service, running: int) -> None:
        settings = self._settings
        published = await asyncio.to_thread(read_published, settings.broker, topology.TASK_QUEUE)
        rate_per_s = self._rate.add(published, time.monotonic())
        if rate_per_s is None:
            return
        seen = Seen(rate_per_s, running, service.replicas, self._batch, self._greys)
        decision = decide(self._rules, seen)
        if settings.hold:
            decision = replace(decision, replicas=service.replicas, batch=self._batch, greys=0)
        waiting = await link.ready(topology.TASK_QUEUE)
        now = datetime.now(UTC)
        log.info(decision_line(decision, running, waiting, now))
        log.info(decision_record(decision, seen, now))
        if service.is_busy:
            log.info(" [+] %s is %s: not scaled", settings.worker_service, service.update_state)
        elif decision.replicas != service.replicas:
            await asyncio.to_thread(
                docker_api.scale,
                settings.docker_proxy,
                settings.worker_service,
                service,
                decision.replicas,
            )
        self._batch, self._greys = decision.batch, decision.greys
        # sent at each refresh, so that a restarted dealer has it within one
        order = json.dumps({"batch": self._batch}).encode()
        await link.publish("", topology.CONTROL_QUEUE, order)

    async def _replace_silent(self, running: list[Task], signs: SignsOfLife) -> None:
        by_id = {task.id: task for task in running}
        signs.forget_all_but(by_id)
        started = {task.id: task.since.timestamp() for task in running}
        for task_id, silence_s in signs.silent(
            started, time.time(), self._settings.max_timeout_s
        ).items():
            log.warning(" [!] Worker %s silent for %.0f s: killed", task_id, silence_s)
            try:
                await asyncio.to_thread(self._kill, by_id[task_id])
            except DockerError as exc:
                log.warning(" [!] Worker %s could not be killed: %s", task_id, exc)

    def _kill(self, task: Task) -> None:
        """
        Kill the task's container through the proxy on its node; Swarm replaces it.
        """
        settings = self._settings
        proxies = docker_api.find_tasks(settings.docker_proxy, settings.node_proxy_service)
        address = next(
            (p.addresses[0] for p in proxies if p.node_id == task.node_id and p.addresses), None
        )
        if address is None:
            raise DockerError(f"no {settings.node_proxy_service} runs on node {task.node_id}")
        docker_api.kill_container_of(f"{address}:{settings.node_proxy_port}", task)


def _hear(link: Link, sign: Delivery, signs: SignsOfLife) -> None:
    link.ack(sign)
    try:
        content = json.loads(sign.body)
        signs.heard(str(content["task_id"]), time.time())
        log.info(worker_record(content))
    except (ValueError, TypeError, KeyError) as exc:
        log.warning(" [!] unreadable KEEP_ALIVE: %r", exc)


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


def prepare(environ: Mapping[str, str]) -> Callable[[asyncio.Event], Awaitable[None]]:
    return AdminWorker(admin_settings(environ)).start
