"""
An API that fails on purpose, in front of the endpoint of the lab.

Each fault strikes by the number of the call among those of its action, so that a seed brings the
same failures again whatever the client's threads do. The lab's own administrator is spared.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any
from wsgiref.types import StartResponse

from werkzeug.test import run_wsgi_app
from werkzeug.wrappers import Request, Response

from lab.faults import answers
from lab.faults.armed import Fault, Faults
from lab.faults.requests import Call, read_call
from lab.faults.young import Young

Environ = dict[str, Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]
ErrorResponse = Callable[[str, int, str, str], Response]

API_KINDS = {
    "throttle": "too many requests: RequestLimitExceeded, SlowDown, Throttling",
    "error": "500 and 503, by the seed; the call was not carried out",
    "lost": "the call is carried out, and its answer lost: the connection breaks",
    "slow": "the answer comes after SECONDS [10]",
    "expired": "the credentials have expired",
    "not-found": "what was just created is not found, by its id or in a list, for 1 to 3 calls",
    "capacity": "no capacity for a launch; --only us-east-1a where it asks for that zone",
    "vcpu-limit": "a launch goes beyond the account's vCPUs",
}
LAUNCHES = ("RunInstances", "StartInstances")


class FailingEndpoint:
    """
    An application whose calls fail as the armed faults say.
    """

    def __init__(
        self,
        app: Application,
        faults: Faults,
        error_response: ErrorResponse,
        spared: str = "",
    ) -> None:
        self._app = app
        self._faults = faults
        self._error_response = error_response
        self._spared = spared
        self._young = Young()
        self._lock = threading.Lock()
        self._seen: Counter[tuple[int, str]] = Counter()
        self._left: dict[int, int] = {}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        armed = [one for one in self._faults.armed() if one.kind in API_KINDS]
        request = Request(environ)
        if not armed or "Authorization" not in request.headers:
            return self._app(environ, start_response)
        call = read_call(request)
        if call.caller == self._spared:
            return self._app(environ, start_response)
        return self._answer(request, call, armed)(environ, start_response)

    def _answer(self, request: Request, call: Call, armed: list[Fault]) -> Response:
        if hidden := self._young.hidden(call):
            fault, kind, name = hidden
            return self._refuse(fault, call, answers.not_found(kind, name))
        strikes: dict[str, tuple[Fault, int]] = {}
        for one in armed:  # of two of a kind, the second is not spent where the first strikes
            if one.kind not in strikes and (occasion := self._occasion(one, call)):
                strikes[one.kind] = one, occasion
        if "slow" in strikes:
            slow, occasion = strikes["slow"]
            self._record(slow, call, f"answered after {slow.seconds or 10:g} s", occasion)
            time.sleep(slow.seconds or 10)
        for kind, refusal in self._refusals(call).items():
            if kind in strikes:
                return self._refuse(strikes[kind][0], call, refusal, strikes[kind][1])
        if "error" in strikes:
            broken, occasion = strikes["error"]
            second = broken.dice("status", occasion).random() < 0.5
            return self._refuse(broken, call, answers.broken(call.service, second), occasion)
        response = Response(*run_wsgi_app(self._app, request.environ, buffered=True))
        if "lost" in strikes:
            lost, occasion = strikes["lost"]
            self._record(lost, call, f"answer {response.status_code} lost", occasion)
            _break(request.environ)
        if response.status_code < 300 and "not-found" in strikes:
            hiding, occasion = strikes["not-found"]
            self._young.born(hiding, call, occasion, response.get_data())
        body, gone = self._young.leave_out(call, response.get_data())
        for fault, name in gone:
            self._record(fault, call, f"did not list {name}")
            response.set_data(body)
        return response

    def _refusals(self, call: Call) -> dict[str, answers.Refusal]:
        zone = call.parameters.get("Placement.AvailabilityZone", "")
        instance_type = call.parameters.get("InstanceType", "")
        return {
            "expired": answers.expired(call.service),
            "throttle": answers.throttled(call.service),
            "vcpu-limit": answers.no_vcpus(),
            "capacity": answers.no_capacity(instance_type, zone),
        }

    def _occasion(self, fault: Fault, call: Call) -> int:
        """
        The number of this call among those of its action, if the fault strikes it; else 0.
        """
        if fault.kind == "not-found" and not call.creates:
            return 0
        name = call.action
        if fault.kind in ("capacity", "vcpu-limit"):
            if call.action not in LAUNCHES:
                return 0
            name = call.parameters.get("Placement.AvailabilityZone", "")
        if not fault.concerns(name) and not fault.concerns(call.action):
            return 0
        with self._lock:
            self._seen[fault.number, call.action] += 1
            occasion = self._seen[fault.number, call.action]
            if fault.number not in self._left:
                struck = len(self._faults.strikes().get(fault.number, []))
                self._left[fault.number] = fault.count - struck
            picked = self._left[fault.number] > 0 and fault.picks(call.action, occasion)
            self._left[fault.number] -= picked
            return occasion if picked else 0

    def _refuse(
        self, fault: Fault, call: Call, refusal: answers.Refusal, occasion: int = 0
    ) -> Response:
        self._record(fault, call, f"{refusal.status} {refusal.code}", occasion)
        return self._error_response(call.service, refusal.status, refusal.code, refusal.message)

    def _record(self, fault: Fault, call: Call, did: str, occasion: int = 0) -> None:
        number = f" {occasion}" if occasion else ""
        self._faults.record(fault, f"{call.service}:{call.action}{number}: {did}")


def _break(environ: Environ) -> None:
    """
    End the connection before a byte of the answer is sent; the server takes it for the client's.
    """
    with suppress(OSError):  # the client may have gone first
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError
