"""
What the autoscaler may ask for, and no more: a number of workers, and the end of one of them.

The Docker socket is root on its node, and nothing in a request's body can be trusted to be only a
number. So scaler and reaper take a method and a path of a few characters, and no body.
"""

import asyncio
import json
import logging
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from geodiff import health

log = logging.getLogger(__name__)

PORT = 8000
ANSWER_WITHIN_S = 5.0
LONGEST_HEAD = 2048
_REQUEST = re.compile(rb"(GET|POST) (/[a-z0-9/]{0,80}) HTTP/1\.[01]\r\n")

LONGEST_ANSWER = 1024 * 1024
Answer = tuple[HTTPStatus, object]
Ask = Callable[[str, str], Answer]
NO_REQUEST: Answer = HTTPStatus.BAD_REQUEST, {"error": "expected GET or POST, and a path"}


class ControlError(ConnectionError):
    """
    Scaler or reaper refused, failed, or cannot be reached.
    """


async def serve(ask: Ask, stop: asyncio.Event, port: int = PORT) -> None:
    """
    Answer each request with `ask(method, path)` as JSON, one request a connection, until `stop`.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):  # the whole head, however it trickles
                head = await reader.readuntil(b"\r\n\r\n")
            match = _REQUEST.match(head)
            status, content = await asyncio.to_thread(_ask, ask, match) if match else NO_REQUEST
            body = json.dumps(content).encode()
            first = f"HTTP/1.0 {status.value} {status.phrase}"
            writer.write(f"{first}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            log.debug("a request that did not end")
        finally:
            writer.close()

    server = await asyncio.start_server(answer, port=port, limit=LONGEST_HEAD)
    async with server:
        log.info("listening on %d", port)
        health.ready()
        await stop.wait()


def _ask(ask: Ask, request: re.Match[bytes]) -> Answer:
    method, path = request[1].decode(), request[2].decode()
    try:
        return ask(method, path)
    except (OSError, ValueError, KeyError) as exc:  # what Docker says, or does not say
        log.warning(" [!] %s %s: %s", method, path, exc)
        return HTTPStatus.BAD_GATEWAY, {"error": str(exc)}


def call(address: str, method: str, path: str) -> Any:  # noqa: ANN401 - JSON
    """
    Ask a scaler or a reaper; raise ControlError with its words if it refuses.
    """
    request = urllib.request.Request(f"http://{address}{path}", method=method)
    # ProxyHandler({}): proxies of the environment are not for the overlay network
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            return json.loads(answer.read(LONGEST_ANSWER))
    except urllib.error.HTTPError as exc:
        reason = exc.read(300).decode(errors="replace").strip()
        raise ControlError(f"{method} {path}: {exc.code} {reason}") from exc
    except (OSError, ValueError) as exc:
        raise ControlError(f"{method} {path} at {address}: {exc}") from exc
