"""
The scaler: on a manager, in front of its Docker socket. It sets the number of workers.

`GET /workers` and `GET /reapers` report no more than the autoscaler needs: a service's whole
specification would show its environment. `POST /workers/<n>` is the only change.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from geodiff import control, engine
from geodiff.settings import ScalerSettings, scaler_settings


class Scaler:
    """
    The name of the service and the bounds are the stack file's, not the request's.
    """

    def __init__(self, settings: ScalerSettings) -> None:
        self._settings = settings

    def __call__(self, method: str, path: str) -> control.Answer:
        if (method, path) == ("GET", "/workers"):
            return HTTPStatus.OK, self._workers()
        if (method, path) == ("GET", "/reapers"):
            return HTTPStatus.OK, self._reapers()
        if method == "POST" and (match := re.fullmatch(r"/workers/([0-9]{1,4})", path)):
            return self._scale(int(match[1]))
        return HTTPStatus.FORBIDDEN, {"error": "expected /workers, /workers/<number> or /reapers"}

    def _workers(self) -> object:
        of, name = self._settings.docker_socket, self._settings.worker_service
        service = engine.get_service(of, name)
        tasks = engine.find_tasks(of, name)
        return {
            "replicas": service.replicas,
            "update_state": service.update_state if service.is_busy else "",
            "running": [
                {"id": task.id, "node": task.node_id, "since": task.since.timestamp()}
                for task in tasks
                if task.state == "running"
            ],
        }

    def _reapers(self) -> object:
        tasks = engine.find_tasks(self._settings.docker_socket, self._settings.reaper_service)
        return {task.node_id: task.addresses[0] for task in tasks if task.addresses}

    def _scale(self, replicas: int) -> control.Answer:
        low, high = self._settings.min_scale, self._settings.max_scale
        if not low <= replicas <= high:
            return HTTPStatus.BAD_REQUEST, {"error": f"expected {low} to {high}, saw {replicas}"}
        # read again here: a deployment since the autoscaler's reading must not be undone
        of, name = self._settings.docker_socket, self._settings.worker_service
        service = engine.get_service(of, name)
        if service.is_busy:
            return HTTPStatus.CONFLICT, {"error": f"{name} is {service.update_state}"}
        engine.scale(of, name, service, replicas)
        return HTTPStatus.OK, {"replicas": replicas}


def prepare(environ: Mapping[str, str]) -> Callable[[asyncio.Event], Awaitable[None]]:
    settings = scaler_settings(environ)
    return lambda stop: control.serve(Scaler(settings), stop, settings.port)
