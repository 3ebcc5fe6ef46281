"""
Telling how a run ended: to a URL, to a program; in bounded time, without secrets, without a shell.
"""

import json
import socket
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from runbook_lib.core.errors import ParameterError
from runbook_lib.runner import telling
from runbook_lib.runner.telling import refuse_untellable, tell

MESSAGE = {"verdict": "failed", "text": "it's $(touch broken) `touch broken` ; failed"}


def writing(folder, code):
    """A program of this machine, called without a shell."""
    script = folder / "listener.py"
    script.write_text(f"import os, sys, time\nfolder = {str(folder)!r}\n{code}")
    return f"{sys.executable} {script} 'two words' ; touch {folder}/broken"


def test_a_program_reads_it_and_no_shell_does(tmp_path):
    program = writing(
        tmp_path, "open(folder + '/got', 'w').write(sys.stdin.read() + str(sys.argv))"
    )
    assert "" == tell(program, MESSAGE)
    got = (tmp_path / "got").read_text()
    assert MESSAGE == json.JSONDecoder().raw_decode(got)[0]
    assert "'two words', ';', 'touch'" in got
    assert not (tmp_path / "broken").exists()


def test_a_program_does_not_get_the_secrets_of_the_run(tmp_path, monkeypatch):
    for name in ("AWS_SECRET_ACCESS_KEY", "RUNBOOK_SECRET_X", "RUNBOOK_TELL"):
        monkeypatch.setenv(name, "secret-value")
    program = writing(tmp_path, "open(folder + '/got', 'w').write(str(dict(os.environ)))")
    assert "" == tell(program, MESSAGE)
    assert "secret-value" not in (tmp_path / "got").read_text()


@pytest.mark.parametrize(
    ("code", "reason"),
    [("sys.exit(3)", "it ended with 3"), ("time.sleep(60)", "it had not ended after 0.5 s")],
)
def test_what_a_program_does_is_bounded_and_its_failure_told(tmp_path, monkeypatch, code, reason):
    monkeypatch.setattr(telling, "LIMIT_S", 1.0)
    assert reason == tell(writing(tmp_path, code), MESSAGE)


class Listener(BaseHTTPRequestHandler):
    got: list = []  # noqa: RUF012 - of the test that starts the server
    status = 200

    def do_POST(self):
        self.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.status)
        self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.mark.parametrize(
    ("status", "reason"), [(200, ""), (302, "it answered 302"), (500, "it answered 500")]
)
def test_a_url_is_told_by_post_and_no_redirect_is_followed(status, reason):
    handler = type("Handler", (Listener,), {"got": [], "status": status})
    server = HTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.handle_request, daemon=True).start()
    assert reason == tell(f"http://127.0.0.1:{server.server_port}/hook", MESSAGE)
    assert [MESSAGE] == handler.got
    server.server_close()


def test_a_server_that_drips_or_is_down_costs_bounded_time_and_tells_no_address(monkeypatch):
    monkeypatch.setattr(telling, "LIMIT_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def drip():
            connection, _ = server.accept()
            with suppress(OSError):  # the other end goes at last
                for _ in range(40):
                    connection.sendall(b"H")
                    time.sleep(0.2)

        threading.Thread(target=drip, daemon=True).start()
        before = time.monotonic()
        assert "no answer within the time" == tell(f"http://127.0.0.1:{port}/token-x", MESSAGE)
        assert time.monotonic() - before < 5
    assert "ConnectionError" == tell(f"http://127.0.0.1:{port}/token-x", MESSAGE)


@pytest.mark.parametrize("what", ["no-such-program --x", "http://", "'unbalanced", "https:///path"])
def test_what_cannot_be_told_is_refused_before_the_run(what):
    with pytest.raises(ParameterError, match="--tell"):
        refuse_untellable(what)


@pytest.mark.parametrize("what", ["", "cat -", "https://example.org/hook"])
def test_what_can_be_told_is_not(what):
    refuse_untellable(what)
