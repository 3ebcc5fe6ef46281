"""
What a request accepts: one certificate, and an answer of bounded length.
"""

import ssl
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer, SimpleHTTPRequestHandler

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


class Endless(BaseHTTPRequestHandler):
    """A server that never ends its answer."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        with suppress(OSError):
            while True:
                self.wfile.write(bytes(2**20))

    def log_message(self, *_):
        pass


def test_an_answer_without_an_end_is_cut_off():
    """Whoever is on the way of plain HTTP can send one."""
    with HTTPServer(("127.0.0.1", 0), Endless) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        answer = fetch(f"http://127.0.0.1:{server.server_port}/")
    assert ("no answer: it has more than 8388608 bytes", 0, b"") == (
        answer.kind,
        answer.status,
        answer.body,
    )
