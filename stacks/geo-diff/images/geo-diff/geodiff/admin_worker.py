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
from typing import Any

from geodiff import control, serving, topology
from geodiff.broker import Delivery, Link
from geodiff.control import ControlError
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
        workers = await asyncio.to_thread(control.call, self._settings.scaler, "GET", "/workers")
        await self._replace_silent(workers["running"], signs)
        await self._scale(link, workers)

    async def _scale(self, link: Link, workers: Mapping[str, Any]) -> None:
        settings = self._settings
        replicas, running = workers["replicas"], len(workers["running"])
        published = await asyncio.to_thread(read_published, settings.broker, topology.TASK_QUEUE)
        rate_per_s = self._rate.add(published, time.monotonic())
        if rate_per_s is None:
            return
        seen = Seen(rate_per_s, running, replicas, self._batch, self._greys)
        decision = decide(self._rules, seen)
        if settings.hold:
            decision = replace(decision, replicas=replicas, batch=self._batch, greys=0)
        waiting = await link.ready(topology.TASK_QUEUE)
        now = datetime.now(UTC)
        log.info(decision_line(decision, running, waiting, now))
        log.info(decision_record(decision, seen, now))
        if workers["update_state"]:
            log.info(" [+] the workers are %s: not scaled", workers["update_state"])
        elif decision.replicas != replicas:
            path = f"/workers/{decision.replicas}"
            await asyncio.to_thread(control.call, settings.scaler, "POST", path)
        self._batch, self._greys = decision.batch, decision.greys
        # sent at each refresh, so that a restarted dealer has it within one
        order = json.dumps({"batch": self._batch}).encode()
        await link.publish(topology.CONTROL_QUEUE, order)

    async def _replace_silent(self, running: list[dict[str, Any]], signs: SignsOfLife) -> None:
        node_of = {task["id"]: task["node"] for task in running}
        signs.forget_all_but(node_of)
        started = {task["id"]: task["since"] for task in running}
        for task_id, silence_s in signs.silent(
            started, time.time(), self._settings.max_timeout_s
        ).items():
            log.warning(" [!] Worker %s silent for %.0f s: killed", task_id, silence_s)
            try:
                await asyncio.to_thread(self._kill, task_id, node_of[task_id])
            except ControlError as exc:
                log.warning(" [!] Worker %s could not be killed: %s", task_id, exc)

    def _kill(self, task_id: str, node: str) -> None:
        """
        Have the reaper on its node kill the task's container; Swarm replaces it.
        """
        address = control.call(self._settings.scaler, "GET", "/reapers").get(node)
        if address is None:
            raise ControlError(f"no reaper runs on node {node}")
        control.call(f"{address}:{self._settings.reaper_port}", "POST", f"/kill/{task_id}")


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
