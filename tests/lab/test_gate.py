"""
The gate as it runs, HAProxy with the stack's configuration in front of the real tile server,
against clients that send slowly, nothing, or too much.

On loopback every address of 127/8 is a peer of its own. It needs no lab, only Debian's HAProxy.
"""

import contextlib
import errno
import http.client
import os
import socket
import statistics
import subprocess
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.engine import packages
from runbook_lib.geodiff.browser import fetch
from tests.places import IMAGES
from tests.unit.geodiff.test_tls import made
from tests.unit.services.listening import free_port
from tests.unit.services.test_tile_server import ALLOWED, TILE, TOKEN, Server

pytestmark = pytest.mark.lab

GOOD, BAD, OTHER = "127.0.0.1", "127.66.0.1", "127.67.0.1"
OF_A_PEER, OF_ALL = 100, 2000
PATIENCE_S = 20  # the deadline is five, and a machine may be busy


@contextlib.contextmanager
def until_closed():
    """
    The gate may close the connection before any call of ours, which then fails in its own way.
    """
    try:
        yield
    except ConnectionError:
        pass
    except OSError as error:  # of shutdown, after a reset
        if error.errno != errno.ENOTCONN:
            raise


class Gate:
    """
    The gate in front of `port`, as its container starts it.
    """

    def __init__(self, port, **environ):
        packages.ensure_programs(["haproxy"])
        self.port, self.health_port = free_port(), free_port()
        config = IMAGES / "gate" / "haproxy.cfg"
        environ = {"PORT": f"{self.port}", "HEALTH_PORT": f"{self.health_port}",
                   "SERVICE": f"127.0.0.1:{port}", **environ}  # fmt: skip
        self.process = subprocess.Popen(
            ["/usr/sbin/haproxy", "-db", "-f", str(config)],
            env=os.environ | environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        deadline = time.monotonic() + 10
        while not self.is_healthy():
            assert time.monotonic() < deadline, self.process.stdout.read1()
            time.sleep(0.05)

    def is_healthy(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.health_port, timeout=1)
        try:
            connection.request("GET", "/healthy")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def get(self, path=TILE, **headers):
        connection = http.client.HTTPConnection(GOOD, self.port, timeout=PATIENCE_S)
        try:
            connection.request("GET", path, headers=ALLOWED | headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def connect(self, peer=BAD):
        return socket.create_connection(
            (GOOD, self.port), timeout=PATIENCE_S, source_address=(peer, 0)
        )

    def raw(self, data, peer=BAD, *, ends=True):
        """
        Send bytes, say that this is all if it `ends`, and return everything that comes back.
        """
        received = b""
        with until_closed(), self.connect(peer) as connection:
            connection.sendall(data)
            if ends:
                connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                received += part
        return received

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        return self.process.stdout.read().decode()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    tile = tmp_path_factory.mktemp("tiles") / "DESERT/2004-01-15/1/0/1.png"
    tile.parent.mkdir(parents=True)
    tile.write_bytes(os.urandom(80_000))
    found = Server(tile.parents[4], tmp_path_factory.mktemp("server"))
    yield found
    found.process.kill()
    found.process.wait()


@pytest.fixture(scope="module")
def gate(server):
    found = Gate(server.port)
    yield found
    found.stop()


@contextlib.contextmanager
def held(gate, count, peers, first=b""):
    """
    So many connections of so many peers that say no more than `first`.
    """
    found = []
    try:
        for number in range(count):
            with until_closed():  # one that is refused
                found.append(gate.connect(f"127.66.0.{number % peers + 1}"))
                found[-1].sendall(first)
        yield found
    finally:
        for each in found:
            each.close()


@contextlib.contextmanager
def trickling(connections, byte=b"y", every_s=1.0):
    """
    Send a byte on each of them, again and again; what was refused stays so.
    """
    over = threading.Event()

    def send():
        while not over.wait(every_s):
            for each in connections:
                with contextlib.suppress(OSError):
                    each.sendall(byte)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def served(gate, count=40):
    """
    So many tiles for a good client, one connection each; its patience ends after `PATIENCE_S`.
    """
    taken = []
    for _ in range(count):
        began = time.monotonic()
        status, body = gate.get()
        taken.append((time.monotonic() - began) * 1000)
        assert (200, 80_000) == (status, len(body))
    print(f"  median {statistics.median(taken):.1f} ms, worst {max(taken):.1f} ms")


def is_cut_off(connection):
    connection.settimeout(PATIENCE_S)
    with contextlib.suppress(ConnectionError):
        while connection.recv(65536):
            pass
    return True


def test_clients_that_send_slowly_take_nothing_from_others(gate, server):
    """
    Eight of them took the tile server down: it has eight threads.
    """
    with held(gate, 80, 1, b"GET /health HTTP/1.1\r\nX: ") as slow, trickling(slow):
        served(gate)
        assert 200 == server.get("/health")[0]
        assert all(is_cut_off(each) for each in slow)


def test_a_thousand_idle_sockets_take_nothing_from_others(gate):
    """
    Of one peer, which has a hundred at most, and of ten, which have them all until the deadline.
    """
    for peers in (1, 10):
        with held(gate, 1000, peers) as idle:
            served(gate)
            assert gate.is_healthy()
            assert all(is_cut_off(each) for each in idle)
        served(gate, 3)


def test_more_peers_than_there_is_room_for_delay_others_by_a_deadline_at_most(gate):
    with held(gate, OF_ALL + 200, 40):
        assert gate.is_healthy()
        served(gate, 3)


def test_clients_that_read_slowly_take_nothing_from_others(gate):
    """
    With the token: nobody else gets an answer of more than a few bytes.
    """
    request = f"GET {TILE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
    slow = []
    for _ in range(60):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.bind((BAD, 0))
        connection.connect((GOOD, gate.port))
        connection.sendall(request)
        slow.append(connection)
    time.sleep(1)
    served(gate)
    for each in slow:
        each.close()


def test_one_peer_has_a_hundred_connections_at_most(gate):
    with held(gate, OF_A_PEER + 20, 1):
        assert b"" == gate.raw(b"GET /health HTTP/1.0\r\n\r\n")
        assert 200 == gate.get()[0]
    time.sleep(1)
    assert b" 200 OK" in gate.raw(b"GET /health HTTP/1.0\r\n\r\n")[:16]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 2000 + b"\r\n", 400),
        (b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\nx", 413),
        (b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 413),
        (b"POST / HTTP/1.0\r\nContent-Length: 0\r\n\r\n", 405),
        (b"DELETE / HTTP/1.0\r\n\r\n", 405),
        (b"GET /dates HTTP/1.0\r\n\r\n", 401),
        (b"GET /health HTTP/1.0\r\n\r\n", 200),
    ],
)
def test_a_broken_request_gets_a_short_answer(request_, status, gate):
    with gate.connect() as connection:
        connection.sendall(request_)
        answer = connection.recv(65536)
    assert b"%d" % status == answer[9:12]
    assert len(answer) < 600


def test_requests_one_after_another_in_one_packet_are_all_answered(gate):
    one = f"GET {TILE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
    last = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert 51 == gate.raw(one * 50 + last, ends=False).count(b"HTTP/1.1 200 OK")


@pytest.fixture(scope="module")
def secure(server, tmp_path_factory):
    """
    The gate with a certificate, and the hash of it.
    """
    pem, sha256 = made([GOOD])
    file = tmp_path_factory.mktemp("certificate") / "web_tls"
    file.write_bytes(pem)
    found = Gate(server.port, TLS="yes", CERTIFICATE=str(file))
    yield found, sha256
    found.stop()


def test_with_a_certificate_the_token_travels_to_its_owner_only(secure):
    gate, sha256 = secure
    url = f"https://{GOOD}:{gate.port}{TILE}"
    assert "200 image/png" == fetch(url, ALLOWED, pin=sha256).kind
    assert "no answer" in fetch(url, ALLOWED, pin=made([GOOD])[1]).kind
    assert "no answer" in fetch(url.replace("https", "http"), ALLOWED).kind
    assert b"" == gate.raw(b"GET /health HTTP/1.0\r\n\r\n")


def test_handshakes_that_do_not_end_take_nothing_from_others(secure):
    gate, sha256 = secure
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    with held(gate, 80, 1, hello) as slow, trickling(slow, b"\0"):
        url = f"https://{GOOD}:{gate.port}{TILE}"
        for _ in range(10):
            assert "200 image/png" == fetch(url, ALLOWED, pin=sha256, timeout_s=PATIENCE_S).kind
        assert all(is_cut_off(each) for each in slow)


HEADER = st.one_of(st.binary(max_size=60), st.from_regex(rb"\A[A-Za-z-]{1,20}: [ -~]{0,40}\Z"))
REQUESTS = st.builds(
    lambda method, path, version, headers, rest: (
        method + b" " + path + b" HTTP/" + version + b"\r\n" + b"\r\n".join(headers) + rest
    ),
    st.sampled_from([b"GET", b"HEAD", b"OPTIONS", b"POST", b"BREW", b"get", b"PRI", b"\0"]),
    st.one_of(
        st.binary(max_size=80),
        st.text(max_size=60).map(lambda text: b"/" + text.encode()),
        st.from_regex(rb"\A/(RAW|DESERT|dates|filters|health|%2e|\.\.|//)[/0-9.%a-f?=-]{0,60}\Z"),
    ),
    st.sampled_from([b"1.1", b"1.0", b"0.9", b"2.0", b"1.1\t"]),
    st.lists(
        st.one_of(
            HEADER,
            st.just(b"Authorization: Bearer " + TOKEN.encode()),
            st.sampled_from([b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Host: x",
                             b"Range: bytes=0-", b"Expect: 100-continue", b"Upgrade: h2c",
                             b"If-None-Match: W/\"", b"Origin: null", b"Connection: \0"]),
        ),
        max_size=8,
    ),
    st.sampled_from([b"\r\n\r\n", b"\n\n", b"\r\n", b"", b"\r\n\r\nhello"]),
)  # fmt: skip


@pytest.mark.hostile
@given(REQUESTS)
def test_no_request_is_an_error_of_ours(gate, server, request_):
    answer = gate.raw(request_, OTHER)
    # none where the request never ended, 100 where it asked for it
    assert answer[9:10] in (b"", b"1", b"2", b"3", b"4"), (request_, answer)
    assert server.process.poll() is None
    assert "Traceback" not in server.log.read_text()
