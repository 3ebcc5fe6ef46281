"""
The tile server's API: what it gives, to whom, how long it may be kept, and what it refuses.
"""

import json
import os
import random

import pytest
from geodiff.segmentation import HUES
from geodiff.tile_api import create_app
from geodiff.tile_settings import TileServerSettings
from geodiff.tiles import MAX_BYTES, TEMPORARY
from werkzeug.test import run_wsgi_app

TOKEN, ORIGIN = "s3cret-token", "http://10.0.0.7:8080"
ALLOWED = {"Authorization": f"Bearer {TOKEN}"}
TILE = "/DESERT/2004-01-15/1/0/1"


def open_app(root):
    return create_app(TileServerSettings(root, TOKEN, ORIGIN, 5000, 1))


def ask(app):
    """A short way to ask an application, with the token unless the test says otherwise."""
    client = app.test_client()
    return lambda path, method="GET", **headers: client.open(
        path,
        method=method,
        headers=ALLOWED | {name.replace("_", "-"): value for name, value in headers.items()},
    )


@pytest.fixture(scope="module")
def app(still_world):
    return open_app(still_world)


@pytest.fixture
def get(app):
    return ask(app)


@pytest.fixture
def get_own(world):
    """Asks for the tiles of a world that the test changes."""
    return ask(open_app(world))


def test_a_tile_is_the_file_as_it_lies_there(get, segmented):
    for layer, data in segmented.items():
        answer = get(f"/{layer}/2004-01-15/1/0/1")
        assert (200, data, "image/png") == (answer.status_code, answer.data, answer.mimetype)
        assert "nosniff" == answer.headers["X-Content-Type-Options"]


def test_the_short_way_and_the_long_one_give_the_same(get):
    """
    A condition that does not hold takes the long way.
    """
    for headers in ({}, {"Origin": ORIGIN}):
        short, long = get(TILE, **headers), get(TILE, If_None_Match='"other"', **headers)
        assert (long.data, sorted(long.headers)) == (short.data, sorted(short.headers))


def test_a_result_may_be_kept_for_ever_and_a_raw_tile_for_minutes(get):
    assert "private, max-age=31536000, immutable" == get(TILE).headers["Cache-Control"]
    raw = get(TILE.replace("DESERT", "RAW")).headers["Cache-Control"]
    assert "private, max-age=600, must-revalidate" == raw


def test_a_client_that_has_the_tile_gets_304(get_own, world):
    tag = get_own(TILE).headers["ETag"]
    for known in (tag, f'"other", {tag}', "*"):
        answer = get_own(TILE, If_None_Match=known)
        assert (304, b"", tag) == (answer.status_code, answer.data, answer.headers["ETag"])
        assert "immutable" in answer.headers["Cache-Control"]
    assert 200 == get_own(TILE, If_None_Match='"other"').status_code

    os.utime(world / f"{TILE[1:]}.png", ns=(1, 1))
    assert 200 == get_own(TILE, If_None_Match=tag).status_code


@pytest.mark.parametrize("path", [TILE, "/dates", "/filters", "/health"])
def test_a_look_at_the_headers_is_like_the_answer_without_its_body(path, get):
    full, head = get(path), get(path, "HEAD")
    assert b"" == head.data
    assert (full.status_code, full.headers["Content-Length"]) == (
        head.status_code,
        head.headers["Content-Length"],
    )


@pytest.mark.parametrize(
    "path",
    ["/DESERT/2004-01-15/2/0/0", "/DESERT/1999-01-15/1/0/1", "/REJECTED/2004-01-15/1/0/1", "/",
     "/RAW", "/nothing", "/favicon.ico", "/../etc/passwd", "//RAW/2004-01-15/1/0/1", "/dates/"],
)  # fmt: skip
def test_what_is_not_there_is_404_and_not_kept(path, get):
    answer = get(path)
    assert (404, "no-store") == (answer.status_code, answer.headers["Cache-Control"])
    assert ["error"] == list(answer.json)


@pytest.mark.parametrize(
    "name",
    ["x", "2004-01-15/1/0", "2004-01-15/1/0/1/", "2004-01-15/1/0/1.png", "2004-13-15/1/0/1",
     "2004-01-15/1/0/2", "2004-01-15/99/0/0", "../RAW/2004-01-15/1/0/1", "2004-01-15/1/../0/1",
     "2004-01-15/1/0/%00", "2004-01-15/1/0/1%00", "2004-01-15%2F1/0/1", "2004-01-15/1//0/1",
     "%2e%2e/RAW/2004-01-15/1/0/1", "2004-01-15/1/0/" + "1" * 5000, "2004-01-15/1/0/+1",
     "2004-01-15/1/0/%D9%A1", "2004-01-15/1/0/%FF"],
)  # fmt: skip
def test_what_is_no_name_of_a_tile_is_400(name, get):
    answer = get(f"/DESERT/{name}")
    assert (400, ["error"]) == (answer.status_code, list(answer.json))


@pytest.mark.parametrize("what", ["file", "folder", "root of a filter"])
def test_links_lead_nowhere(what, get_own, world, tmp_path):
    """
    Neither out of the tiles nor to another place among them.
    """
    outside = tmp_path / "outside"
    inside = world / "DESERT/2004-01-15"
    inside.rename(outside)
    if what == "file":
        (inside / "1/0").mkdir(parents=True)
        (inside / "1/0/1.png").symlink_to(outside / "1/0/1.png")
    elif what == "folder":
        inside.symlink_to(outside)
    else:
        (world / "DESERT").rename(tmp_path / "away")
        (world / "DESERT").symlink_to(world / "RAW")
    assert 404 == get_own(TILE).status_code


def test_what_is_no_plain_file_of_a_tiles_size_is_not_served(get_own, world):
    path = world / f"{TILE[1:]}.png"
    path.unlink()
    os.mkfifo(path)
    assert 404 == get_own(TILE).status_code
    path.unlink()
    path.mkdir()
    assert 404 == get_own(TILE).status_code
    path.rmdir()
    path.write_bytes(b"x" * (MAX_BYTES + 1))
    assert 404 == get_own(TILE).status_code


def test_half_a_tile_is_never_served(get_own, world):
    path = world / f"{TILE[1:]}.png"
    temporary = path.with_name(f".{path.name}.host.1.0{TEMPORARY}")
    path.rename(temporary)
    assert 404 == get_own(TILE).status_code
    assert 400 == get_own(f"{TILE.rpartition('/')[0]}/{temporary.name}").status_code


@pytest.mark.parametrize(
    "given",
    ["", "Bearer", "Bearer ", f"Basic {TOKEN}", TOKEN, "Bearer wrong", f"Bearer {TOKEN}x",
     f"Bearer {TOKEN[:-1]}", "Bearer \xff\xfe", "\x80" * 300, f"Bearer {TOKEN},Bearer {TOKEN}"],
)  # fmt: skip
@pytest.mark.parametrize("path", [TILE, "/dates", "/filters", "/", "/DESERT/x"])
def test_without_the_token_there_is_nothing_but_health(given, path, get):
    answer = get(path, Authorization=given)
    assert (401, "Bearer") == (answer.status_code, answer.headers["WWW-Authenticate"])
    assert TOKEN not in answer.text
    assert 200 == get("/health", Authorization=given).status_code


def test_the_scheme_is_written_in_any_case(get):
    assert 200 == get(TILE, Authorization=f"bearer {TOKEN}").status_code


def test_only_the_pages_of_the_map_may_read_the_answers(get):
    for path in (TILE, "/dates", "/nothing", "/health"):
        for method in ("GET", "OPTIONS"):
            mine, foreign = (get(path, method, Origin=o) for o in (ORIGIN, ORIGIN + "0"))
            assert ORIGIN == mine.headers["Access-Control-Allow-Origin"]
            assert "Access-Control-Allow-Origin" not in foreign.headers
            assert "Origin" == mine.headers["Vary"] == foreign.headers["Vary"]


def test_a_browser_may_ask_before_it_sends_the_token(app):
    """
    A preflight carries no token.
    """
    headers = {"Origin": ORIGIN, "Access-Control-Request-Headers": "authorization"}
    answer = app.test_client().options(TILE, headers=headers)
    assert 204 == answer.status_code
    assert "Authorization" == answer.headers["Access-Control-Allow-Headers"]
    assert "GET, HEAD" == answer.headers["Access-Control-Allow-Methods"]
    assert "7200" == answer.headers["Access-Control-Max-Age"]
    foreign = app.test_client().options(TILE, headers=headers | {"Origin": "http://a.example"})
    assert not [name for name, _ in foreign.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"])
def test_other_methods_are_refused(method, get):
    answer = get(TILE, method)
    assert (405, "GET, HEAD, OPTIONS") == (answer.status_code, answer.headers["Allow"])
    assert ["error"] == list(answer.json)


def test_filters_are_the_raw_tiles_and_the_surfaces(get):
    assert {"filters": ["RAW", *HUES]} == get("/filters").json


def test_dates_tell_zooms_counts_and_shares(get):
    answer = get("/dates").json
    assert answer["complete"]
    assert ["2004-01-15", "2004-07-15"] == [day["date"] for day in answer["dates"]]
    first = answer["dates"][0]
    assert (0, 2) == (first["min_zoom"], first["max_zoom"])
    assert {"tiles": 6} == first["filters"]["RAW"]
    assert {"tiles": 6, "share": 0.25} == first["filters"]["DESERT"]


def test_dates_of_one_filter_are_those_that_have_it(get_own, world):
    (world / "DESERT/2004-07-15").rename(world / "away")
    found = get_own("/dates?filter=DESERT").json["dates"]
    assert [["DESERT"]] == [list(day["filters"]) for day in found]
    for wrong in ("", "desert", "../RAW", "%00", "%ff"):
        assert 400 == get_own(f"/dates?filter={wrong}").status_code


def test_dates_that_did_not_change_are_not_sent_again(get):
    tag = get("/dates").headers["ETag"]
    assert 304 == get("/dates", If_None_Match=tag).status_code


def test_a_tiles_folder_that_is_gone_is_unhealthy_and_says_why(get_own, world):
    world.rename(world.with_name("gone"))
    answer = get_own("/health")
    assert 503 == answer.status_code
    assert {"error": "the tiles cannot be read: No such file or directory"} == answer.json


def test_what_we_did_not_foresee_is_a_short_500(get, monkeypatch, caplog):
    """
    The answer says nothing; the log has all of it. Here: a disk that fails.
    """

    def broken(*_):
        raise OSError(5, "Input/output error")

    for module in ("quick_tiles", "tile_api"):
        monkeypatch.setattr(f"geodiff.{module}.read_tile", broken)
    answer = get(TILE)
    assert (500, {"error": "internal error"}) == (answer.status_code, answer.json)
    assert "Input/output error" in caplog.text


PARTS = [
    "RAW", "DESERT", "REJECTED", "2004-01-15", "2004-02-30", "1", "0", "-1", "1e1", "9" * 20, "..",
    ".", "", "~", "\0", "\xff", "\xd9", "%", "%2e%2e", "%2f", "%00", "\\", "\r\n", " ", "'", "*",
    "?", "#", "etc", "passwd", "dates", "filters", "health", "a" * 99, "1.png", TEMPORARY,
]  # fmt: skip
HEADERS = [
    "AUTHORIZATION", "IF_NONE_MATCH", "IF_MODIFIED_SINCE", "IF_MATCH", "RANGE", "IF_RANGE",
    "ORIGIN", "HOST", "ACCEPT", "ACCEPT_ENCODING", "COOKIE", "X_FORWARDED_FOR", "X_FORWARDED_HOST",
    "UPGRADE", "TRANSFER_ENCODING", "CONTENT_LENGTH", "USER_AGENT", "EXPECT", "CACHE_CONTROL",
    "ACCESS_CONTROL_REQUEST_HEADERS",
]  # fmt: skip
VALUES = [
    "", "*", "\xff\xfe", '"', '"a', "W/", "bytes=0-", "bytes=-1,2-", "-1", "1" * 400, ",,,", "=;=",
    "a b", "null", "Bearer", "[::1", "x:99999999", "\0", "%00", "chunked", "gzip;q=x", "é",
]  # fmt: skip


def strange(rng):
    """
    A request that hardly anybody would send: (method, path, headers).
    """
    path = "/" + "/".join(rng.choice(PARTS) for _ in range(rng.randrange(1, 8)))
    if rng.random() < 0.1:
        path = TILE
    elif rng.random() < 0.3:  # nearly a tile
        place = rng.randrange(len(TILE))
        path = TILE[:place] + rng.choice(PARTS) + TILE[place + rng.randrange(2) :]
    headers = {rng.choice(HEADERS): rng.choice(VALUES) for _ in range(rng.randrange(4))}
    headers.setdefault("AUTHORIZATION", f"Bearer {TOKEN}")
    return rng.choice(["GET"] * 8 + ["HEAD", "OPTIONS", "POST", "BREW"]), path, headers


def test_five_thousand_strange_requests_are_answered_shortly_and_in_json(app):
    rng = random.Random(3)  # the same 5,000 each time
    seen = set()
    for _ in range(5000):
        method, path, headers = strange(rng)
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "RAW_URI": path,
            "QUERY_STRING": rng.choice(["", "filter=DESERT", "filter=%ff", "&&==&", "filter"]),
            "SERVER_NAME": "tiles",
            "SERVER_PORT": "5000",
            "wsgi.url_scheme": "http",
        } | {f"HTTP_{name}": value for name, value in headers.items()}
        body, status, _ = run_wsgi_app(app, environ)
        text, code = b"".join(body), int(status[:3])
        seen.add(code)
        assert code in {200, 204, 304, 400, 401, 404, 405}, (method, path, headers, status)
        if code >= 400 and method != "HEAD":
            assert ["error"] == list(json.loads(text)), (method, path, headers)
            assert len(text) < 200
    assert {200, 204, 400, 401, 404, 405} <= seen
