"""
The two endpoints of the lab: the operator's, with the whole API, and the instances'.
"""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Callable, Iterable
from http import HTTPStatus
from urllib.parse import parse_qsl
from wsgiref.types import StartResponse

from werkzeug.exceptions import HTTPException
from werkzeug.test import run_wsgi_app
from werkzeug.wrappers import Request, Response

from lab.aws.authorization import authorize_static
from lab.aws.prices_and_quotas import STATIC_ANSWERS
from lab.aws.responses import (
    Environ,
    error_response,
    json_refusal,
    json_response,
    region_of,
    service_of,
    text_response,
    with_console,
)
from lab.machines.hypervisor import Hypervisor

log = logging.getLogger(__name__)

Application = Callable[[Environ, StartResponse], Iterable[bytes]]
ONE_REGION = ("ec2", "ssm")


class OperatorEndpoint:
    """
    The AWS API: moto behind locks, plus what moto lacks.
    """

    def __init__(
        self, hypervisor: Hypervisor, moto_app: Application, save: Callable[[], None]
    ) -> None:
        self._hypervisor = hypervisor
        self._moto = moto_app
        self._save = save

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        service = service_of(request)
        try:
            response = self._answer(request, service)
        except NotImplementedError as exc:  # moto would answer in HTML, which boto3 cannot parse
            response = error_response(service, 400, "InvalidAction", str(exc))
        except Exception as exc:  # whatever moto raises becomes an answer
            log.exception("%s %s", request.method, request.path)
            response = error_response(service, 500, "InternalError", f"{type(exc).__name__}: {exc}")
        return response(environ, start_response)

    def _answer(self, request: Request, service: str) -> Response:
        config = self._hypervisor.config
        if request.path in ("/lab/health", "/checkip"):
            return self._own(request.path)
        if request.path.startswith(("/moto-api", "/latest/")):  # moto's own: without keys
            return error_response(service, 403, "AccessDenied", "not part of the lab")
        if service in ONE_REGION and region_of(request) != config.region:
            message = f"This lab plays the region {config.region} only."
            return error_response(service, 400, "UnsupportedOperation", message)
        target = request.headers.get("X-Amz-Target", "")
        if target in STATIC_ANSWERS:
            return _static_answer(request, target)
        serve = {"ec2": self._ec2, "s3": self._call_moto, "": self._call_moto}
        return serve.get(service, self._other)(request)

    def _own(self, path: str) -> Response:
        config = self._hypervisor.config
        if path == "/checkip":
            return text_response(config.gateway + "\n")
        health = {"name": config.name, "pid": os.getpid(), "region": config.region}
        return json_response({**health, "ready": True})

    def _other(self, request: Request) -> Response:
        with self._hypervisor.records_lock:
            response = self._call_moto(request)
        if service_of(request) == "iam":
            self._save()
        if "X-Amz-Target" in request.headers:
            return json_refusal(response.get_data(as_text=True)) or response
        return response

    def _ec2(self, request: Request) -> Response:
        body = request.get_data()
        request.environ["wsgi.input"] = io.BytesIO(body)  # moto reads it again
        form = dict(parse_qsl(body.decode(), keep_blank_values=True))
        action = form.get("Action", "")
        with self._hypervisor.records_lock:
            response = self._call_moto(request)
        if action == "GetConsoleOutput" and response.status_code == HTTPStatus.OK:
            return with_console(response, self._hypervisor.machines.console(form["InstanceId"]))
        if not action.startswith(("Describe", "Get")):
            self._hypervisor.enforcer.sync()
            self._save()
        return response

    def _call_moto(self, request: Request) -> Response:
        return Response(*run_wsgi_app(self._moto, request.environ, buffered=True))


class InstanceEndpoint:
    """
    What instances may reach beside their metadata: S3, with the keys of their role or anonymously.
    """

    def __init__(self, s3_app: Application) -> None:
        self._s3 = s3_app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        if not _is_s3(request):
            message = "Instances can reach only their metadata and S3 here."
            response = error_response("s3", 403, "AccessDenied", message)
            return response(environ, start_response)
        return self._s3(environ, start_response)


def _is_s3(request: Request) -> bool:
    """
    Whether a request is for S3: signed for it, or an anonymous read.
    """
    if request.path.startswith("/moto-api") or "X-Amz-Signature" in request.args:
        return False  # moto does not verify presigned URLs
    if "Authorization" in request.headers:
        return service_of(request) == "s3"
    return request.method in ("GET", "HEAD")


def _static_answer(request: Request, target: str) -> Response:
    action, answer = STATIC_ANSWERS[target]
    body = request.get_data()
    try:
        authorize_static(request, action, body)
    except HTTPException as exc:
        refusal = json_refusal(exc.description or "")
        if refusal is None:
            raise
        return refusal
    status, content = answer(json.loads(body or b"{}"))
    return json_response(content, status)
