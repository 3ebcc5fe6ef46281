"""
Serve a lab in this process: moto, the two endpoints, and the hypervisor.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug import Request
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from lab.aws import credentials, moto_hooks
from lab.aws.ec2 import LabBackend
from lab.aws.endpoints import Application, InstanceEndpoint, OperatorEndpoint
from lab.aws.imds import MetadataService
from lab.aws.responses import error_response
from lab.aws.ssm import publish_parameters
from lab.aws.state import StateFile
from lab.aws.users import ensure_users
from lab.core.config import LabConfig
from lab.core.errors import LabError
from lab.faults.api import FailingEndpoint
from lab.faults.armed import Faults
from lab.machines.containers import Machines
from lab.machines.hypervisor import Hypervisor

log = logging.getLogger(__name__)


class QuietHandler(WSGIRequestHandler):
    """
    werkzeug's handler, with its access log at level DEBUG.
    """

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002, ANN401 (as werkzeug declares it)
        log.debug(message, *args)


def serve(config: LabConfig) -> None:
    """
    Serve this lab until SIGTERM or SIGINT. Its instances stay, and a later call adopts them.

    Needs the Docker network and the machine image. Writes state and credentials.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with only_server(config.lock_file), running(config):
        log.info("lab %s serves %s", config.name, config.endpoint_url)
        stop.wait()
        log.info("lab %s stops, its instances stay", config.name)


@contextmanager
def only_server(lock_file: Path) -> Iterator[None]:
    """
    Hold the lock of a lab, with this pid in its file; LabError while another process holds it.

    The lock ends with its process, so a pid that a killed server left there is never believed.
    """
    try:
        with FileLock(lock_file, blocking=False):
            lock_file.write_text(f"{os.getpid()}\n", encoding="ascii")
            yield
    except Timeout as exc:
        pid = lock_file.read_text(encoding="ascii").strip()
        raise LabError(
            f"expected no other process to serve this lab, but process {pid} does",
            evidence=f"it holds the lock {lock_file}",
            next_step="python -m lab status",
        ) from exc


@contextmanager
def running(config: LabConfig) -> Iterator[Hypervisor]:
    """
    Run a lab in this process. At the end it stops, but its instances stay.
    """
    machines = Machines(config)
    machines.check()
    moto_hooks.install(config)
    state = StateFile(config.state_file)
    hypervisor = Hypervisor(
        config,
        machines,
        moto_hooks.find_instances,
        save=lambda: state.save(hypervisor.records_lock),
    )
    LabBackend.hypervisor = hypervisor
    adopted = state.load()
    publish_parameters(config.region)
    ensure_users(config)
    hypervisor.save()
    moto_app: Application = DomainDispatcherApplication(create_backend_app)
    operator = FailingEndpoint(
        OperatorEndpoint(hypervisor, moto_app, hypervisor.save),
        Faults(config.state_dir),
        error_response,
        spared=credentials.administrator(config)["aws_access_key_id"],
    )
    instances = InstanceEndpoint(create_backend_app("s3"))
    metadata = Request.application(MetadataService(moto_hooks.find_instances).answer)
    with ExitStack() as stack:
        servers = [
            _listen(config, "127.0.0.1", config.port, operator),
            _listen(config, config.gateway, config.port, instances),
            _listen(config, config.gateway, config.metadata_port, metadata),
        ]
        stack.callback(hypervisor.close)
        if adopted:
            log.info("adopting the instances of an earlier process")
        hypervisor.adopt()
        threading.Thread(target=hypervisor.watch, daemon=True, name="watch").start()
        for server in servers:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
        yield hypervisor


def _listen(config: LabConfig, address: str, port: int, app: Application) -> BaseWSGIServer:
    try:
        return make_server(address, port, app, threaded=True, request_handler=QuietHandler)
    except (OSError, SystemExit) as exc:  # werkzeug exits when a port is taken
        missing = getattr(exc, "errno", None) == errno.EADDRNOTAVAIL
        raise LabError(
            f"expected to listen at {address}:{port}, but "
            + ("this host has no such address" if missing else "that port is taken"),
            evidence=str(exc),
            next_step=f"docker network inspect {config.network}"
            if missing
            else f"ss -ltnp sport = :{port}   # or choose another port",
        ) from exc
