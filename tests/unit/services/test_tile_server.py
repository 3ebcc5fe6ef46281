"""
The tile server as it runs: behind gunicorn, on a real socket, against clients of any kind.
"""

import http.client
import json
import random
import subprocess
import sys

import pytest
from geodiff.environment import SettingsError
from geodiff.tile_server import options
from geodiff.tile_settings import TileServerSettings, tile_server_settings

from tests.unit.services.listening import SOURCES, Listening

TOKEN = "s3cret-token"
TILE = "/DESERT/2004-01-15/1/0/1"
ALLOWED = {"Authorization": f"Bearer {TOKEN}"}


class Server(Listening):
    """
    The tile server on a folder of tiles.
    """

    def __init__(self, root, folder):
        token = folder / "token"
        token.write_text(TOKEN + "\n")
        environ = {
            "TILES_DIR": str(root),
            "TILE_API_TOKEN_FILE": str(token),
            "UI_ORIGIN": "http://10.0.0.7:8080",
        }
        super().__init__("tile-server", folder, environ)

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def get(self, path, **headers):
        connection = self.connect()
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def server(still_world, tmp_path_factory):
    found = Server(still_world, tmp_path_factory.mktemp("server"))
    yield found
    found.process.kill()
    found.process.wait()


def test_a_connection_serves_many_tiles(server, segmented):
    connection = server.connect()
    sockets = set()
    for _ in range(3):
        connection.request("GET", TILE, headers=ALLOWED)
        answer = connection.getresponse()
        assert (200, segmented["DESERT"]) == (answer.status, answer.read())
        sockets.add(connection.sock)
    connection.close()
    assert 1 == len(sockets)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET /a b HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 9000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.0\r\nAuthorization: Bearer \xff\xfe\r\n\r\n", 401),
        (b"GET /../../etc/passwd HTTP/1.0\r\nAuthorization: Bearer s3cret-token\r\n\r\n", 404),
        (b"GET /RAW/../x HTTP/1.0\r\nAuthorization: Bearer s3cret-token\r\n\r\n", 400),
        (b"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello", 405),
        (b"GET /health HTTP/1.0\r\nSCRIPT_NAME: /x\r\nX-Forwarded-Proto: ftp\r\n\r\n", 200),
    ],
)
def test_any_request_gets_a_short_answer_in_json(request_, status, server):
    head, _, body = server.raw(request_).partition(b"\r\n\r\n")
    assert str(status).encode() == head[9:12]
    assert b"Content-Type: application/json" in head
    assert isinstance(json.loads(body), dict)
    assert len(body) < 200


def test_raw_bytes_of_any_kind_are_no_error_of_ours(server):
    """
    The remains of real requests, 400 of them, with bytes changed, dropped and repeated.
    """
    rng = random.Random(5)  # the same each time
    whole = f"GET {TILE} HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            place = rng.randrange(len(data))
            piece = rng.choice([b"", b"\0", b"\r\n", b"%", b"..", b"/", b":", rng.randbytes(3)])
            data[place : place + rng.randrange(4)] = piece
        answer = server.raw(bytes(data))
        # none where the request never ended
        assert answer[9:12] in (b"", b"200", b"400", b"401", b"404", b"405"), (bytes(data), answer)
        if answer and answer[9:12] != b"200":
            assert ["error"] == list(json.loads(answer.partition(b"\r\n\r\n")[2])), bytes(data)
    assert 200 == server.get("/health")[0]
    assert "Traceback" not in server.log.read_text()


def test_a_server_that_is_stopped_finishes_its_response(still_world, tmp_path):
    server = Server(still_world, tmp_path)
    connection = server.connect()
    connection.request("GET", TILE, headers=ALLOWED)
    answer = connection.getresponse()
    answer.read(10)
    assert 0 == server.stop()
    assert answer.read()
    assert "tile-server stopped" in server.log.read_text()
    assert TOKEN not in server.log.read_text()


def test_it_writes_nowhere_but_in_the_scratch_folder(still_world):
    """
    Its container is read-only.
    """
    found = options(TileServerSettings(still_world, TOKEN, "http://a", 5000, 8))
    assert ("/tmp", True) == (found["worker_tmp_dir"], found["control_socket_disable"])


@pytest.mark.parametrize(
    ("service", "not_imported"),
    [("worker", "flask"), ("dealer", "flask"), ("tile_server", "cv2"), ("tile_server", "pika")],
)
def test_no_service_pays_for_anothers_libraries(service, not_imported):
    code = f"import sys, geodiff.{service}; sys.exit({not_imported!r} in sys.modules)"
    assert 0 == subprocess.run([sys.executable, "-c", code], cwd=SOURCES, check=False).returncode


@pytest.mark.parametrize(
    ("name", "value"),
    [("UI_ORIGIN", ""), ("UI_ORIGIN", "*"), ("UI_ORIGIN", "http://a/"), ("UI_ORIGIN", "null"),
     ("TILE_API_TOKEN_FILE", "/no/such"), ("TILES_DIR", "/no/such"), ("PORT", "0")],
)  # fmt: skip
def test_settings_that_cannot_work_are_refused(name, value, still_world, tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    environ = {
        "TILES_DIR": str(still_world),
        "TILE_API_TOKEN_FILE": str(tmp_path / "token"),
        "UI_ORIGIN": "http://10.0.0.7:8080",
    }
    assert TOKEN not in repr(tile_server_settings(environ))
    with pytest.raises(SettingsError, match=name):
        tile_server_settings(environ | {name: value})
