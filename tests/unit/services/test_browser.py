"""
What the runbook asks of the web stack, asked of the real tile server and of a page beside it.
"""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest
from geodiff.tile_api import create_app
from geodiff.tile_settings import TileServerSettings
from werkzeug.serving import make_server

from runbook_lib.core.errors import CommandError, WaitTimeoutError
from runbook_lib.geodiff import browser
from runbook_lib.geodiff.web import Addresses, Token

TOKEN = Token("a-token-of-the-tests")
KINDS = ["RAW", "FOREST-JUNGLE", "OCEAN-SEA", "DESERT"]
WORLD = [f"{kind}/2004-01-15/0/0/0" for kind in KINDS]


@pytest.fixture
def serve():
    """
    Serve WSGI applications and handlers on free ports of the loopback until the test ends.
    """
    running = []

    def start(server):
        running.append(server)
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.fixture
def where(serve, tmp_path):
    """
    A world of one tile a kind; the page's settings name the tile server as entry.sh writes them.
    """
    for number, name in enumerate(WORLD):
        file = tmp_path / f"{name}.png"
        file.parent.mkdir(parents=True)
        file.write_bytes(cv2.imencode(".png", np.full((256, 256, 4), number, np.uint8))[1])

    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            settings = self.path == "/config.json"
            body = f'{{"tiles_url": "{told["tiles"]}"}}' if settings else "<!doctype html>"
            self.send_response(200)
            self.send_header("Content-Type", "application/json" if settings else "text/html")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    told = {}
    page = serve(ThreadingHTTPServer(("127.0.0.1", 0), Page))
    settings = TileServerSettings(tmp_path, TOKEN.value, page, 0, 4)
    told["tiles"] = serve(make_server("127.0.0.1", 0, create_app(settings), threaded=True))
    return Addresses(page, told["tiles"])


def differing(where, token=TOKEN):
    answers = browser.measure_answers(where, token, WORLD)
    wrong = answers[answers["seen"] != answers["expected"]]
    return dict(zip(wrong["question"], wrong["seen"], strict=True))


def test_a_web_stack_as_it_should_be_answers_every_question_as_expected(where):
    assert {} == differing(where)


def test_a_wrong_token_is_reported_request_by_request(where):
    wrong = differing(where, Token("another"))
    assert "401 application/json" == wrong["a tile of OCEAN-SEA"]
    assert {"the filters", "the dates", "a tile that is not there"} < set(wrong)
    assert "a tile without the token" not in wrong


def test_a_page_that_moved_may_no_longer_fetch_and_says_so(where):
    moved = Addresses(where.page.replace("127.0.0.1", "localhost"), where.tiles)
    assert {"which page may fetch tiles: ours": "nobody"} == differing(moved)


def test_a_page_that_still_names_an_old_tile_server_is_found(where):
    moved = Addresses(where.page, where.tiles.replace("127.0.0.1", "localhost"))
    assert {"where it looks for tiles": where.tiles} == differing(moved)


def test_a_server_that_is_gone_is_an_answer_too(where):
    closed = Addresses(where.page, "http://127.0.0.1:1")
    wrong = differing(closed)
    assert "no answer: [Errno 111] Connection refused" == wrong["a tile of RAW"]
    assert wrong["a tile of RAW"] == wrong["which page may fetch tiles: another"]


def test_the_dates_come_with_their_tiles_and_shares(where):
    dates = browser.wait_for_dates(where, TOKEN, timeout_s=10)
    assert KINDS == sorted(dates["filter"], key=KINDS.index)
    assert {"2004-01-15"} == set(dates["date"])
    assert [1, 1, 1, 1] == list(dates["tiles"])


def test_dates_that_do_not_come_say_what_came_instead(where):
    with pytest.raises(WaitTimeoutError, match="Last seen: 401 application/json"):
        browser.wait_for_dates(where, Token("another"), timeout_s=0)


def test_tiles_come_as_they_lie_on_the_disk_and_one_that_is_missing_is_named(where, tmp_path):
    read = browser.fetch_tiles(where, TOKEN, WORLD)
    assert {name: (tmp_path / f"{name}.png").read_bytes() for name in WORLD} == read
    with pytest.raises(CommandError, match="DESERT/2004-01-15/1/0/0: 404 application/json"):
        browser.fetch_tiles(where, TOKEN, [*WORLD, "DESERT/2004-01-15/1/0/0"])
