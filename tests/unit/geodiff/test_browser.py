"""
The certificate that a request accepts.
"""

import ssl
import threading
from http.server import HTTPServer, SimpleHTTPRequestHandler

import pytest

from runbook_lib.geodiff.browser import fetch
from tests.unit.geodiff.test_tls import made


@pytest.fixture
def secure(tmp_path):
    """
    A server on loopback whose certificate nobody signed, and its hash.
    """
    pem, sha256 = made(["127.0.0.1"])
    (tmp_path / "pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pem")
    server = HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://127.0.0.1:{server.server_port}/", sha256
    server.shutdown()
    server.server_close()


def test_a_server_is_known_by_the_hash_of_its_certificate_and_by_nothing_else(secure):
    url, sha256 = secure
    assert "200 text/html" == fetch(url, pin=sha256).kind
    assert "no answer" in fetch(url).kind
    assert "no answer" in fetch(url, pin=made(["127.0.0.1"])[1]).kind
