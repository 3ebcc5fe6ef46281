"""
The reaper: on every worker node, in front of its Docker socket. `POST /kill/<task>` ends a worker.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from geodiff import control, engine
from geodiff.settings import ReaperSettings, reaper_settings


class Reaper:
    """
    It finds the container itself, by task and service: nothing but a worker can be killed.
    """

    def __init__(self, settings: ReaperSettings) -> None:
        self._settings = settings

    def __call__(self, method: str, path: str) -> control.Answer:
        match = re.fullmatch(r"/kill/([a-z0-9]{1,64})", path)
        if method != "POST" or match is None:
            return HTTPStatus.FORBIDDEN, {"error": "expected POST /kill/<task>"}
        service = self._settings.worker_service
        if not engine.kill_task(self._settings.docker_socket, service, match[1]):
            return HTTPStatus.NOT_FOUND, {"error": f"no such task of {service} on this node"}
        return HTTPStatus.OK, {"killed": match[1]}


def prepare(environ: Mapping[str, str]) -> Callable[[asyncio.Event], Awaitable[None]]:
    settings = reaper_settings(environ)
    return lambda stop: control.serve(Reaper(settings), stop, settings.port)
