"""
An endpoint that fails on purpose, in front of an account in memory, over a real connection.
"""

import contextlib
import threading

import pytest
from botocore.config import Config
from moto import mock_aws
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from lab.aws.responses import error_response
from lab.aws.server import QuietHandler
from lab.faults.api import FailingEndpoint
from lab.faults.armed import Faults
from tests.fakes.aws import SESSION


@pytest.fixture
def faults(tmp_path):
    """The armed faults of this endpoint."""
    return Faults(tmp_path)


@pytest.fixture
def cloud(faults):
    """A function that gives a client, which never repeats a request."""
    app = FailingEndpoint(
        DomainDispatcherApplication(create_backend_app), faults, error_response, spared="spared"
    )
    with mock_aws(config={"core": {"mock_credentials": False, "passthrough": {"urls": [".*"]}}}):
        server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=QuietHandler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

        def client(service, key="operator"):
            return SESSION.client(
                service,
                endpoint_url=f"http://127.0.0.1:{server.server_port}",
                aws_access_key_id=key,
                aws_secret_access_key="x",
                config=Config(retries={"total_max_attempts": 1}, read_timeout=60),
            )

        with contextlib.ExitStack() as stack:
            stack.callback(server.shutdown)
            yield client
