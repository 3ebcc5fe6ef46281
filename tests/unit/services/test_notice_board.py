"""
The notice board: its stack file uses what Geo-Diff's does not, and its page shows what it was told.
"""

import json

import pytest
import yaml
from board.page import Board, Node, Notice, find_nodes, parse_notices

from tests.places import NOTICE_BOARD, ROOT

STACK = yaml.safe_load((NOTICE_BOARD / "stack.yml").read_text())


def test_the_notices_of_a_file_are_shown_the_newest_first():
    text = "# a comment\n2026-11-02: older\n\n2026-11-09:newer: with a colon\n"

    assert [
        Notice("2026-11-09", "newer: with a colon"),
        Notice("2026-11-02", "older"),
    ] == parse_notices(text)


def test_every_wrong_line_is_named_at_once():
    with pytest.raises(ValueError) as caught:
        parse_notices("tomorrow: no date\n2026-11-02: fine\n2026-11-03:\n")

    assert [
        "line 1: expected a line like `2026-11-02: text`, saw 'tomorrow: no date'",
        "line 3: expected a line like `2026-11-02: text`, saw '2026-11-03:'",
    ] == str(caught.value).splitlines()


def test_the_notices_of_the_repository_are_notices():
    assert 3 == len(parse_notices((NOTICE_BOARD / "notices.txt").read_text()))


@pytest.mark.parametrize(
    ("age_s", "expected"),
    [
        (0, [Node("n", 0, "reports")]),
        (10, [Node("n", 10, "reports")]),
        (10.1, [Node("n", 10, "silent")]),
        (60, [Node("n", 60, "silent")]),
        (60.1, []),
        (-5, [Node("n", 0, "reports")]),
    ],
)
def test_a_node_reports_then_is_silent_then_is_forgotten(age_s, expected):
    assert expected == find_nodes({"n": 1000 - age_s}, 1000, silent_s=10, forget_s=60)


def test_nodes_are_shown_by_name():
    beats = {"worker-2": 1000.0, "manager": 999.0, "worker-1": 1000.0}

    nodes = find_nodes(beats, 1000, silent_s=10, forget_s=60)
    assert ["manager", "worker-1", "worker-2"] == [node.name for node in nodes]


def test_what_is_written_on_the_board_is_text_and_no_markup():
    board = Board("1<2", 7, [Notice("2026-11-02", "<b>a & b</b>")], [Node("<i>", 3, "silent")])
    page = board.html()

    assert "&lt;b&gt;a &amp; b&lt;/b&gt;" in page
    assert "<b>" not in page
    assert "<i>" not in page
    assert "release 1&lt;2 · seen 7 times" in page
    assert "0 of 1 nodes report" in page


def test_an_empty_board_says_so():
    assert "No notice yet." in Board("1", 0, [], []).html()


def test_the_board_is_read_by_programs_too():
    board = Board("1", 7, [Notice("2026-11-02", "text")], [Node("manager", 3, "reports")])

    assert {
        "release": "1",
        "views": 7,
        "notices": [{"day": "2026-11-02", "text": "text"}],
        "nodes": [{"name": "manager", "age_s": 3, "state": "reports"}],
    } == json.loads(board.json())


@pytest.mark.parametrize("name", STACK["services"])
def test_every_service_has_a_read_only_root_no_capability_and_the_password_as_a_file(name):
    service = STACK["services"][name]

    assert service["read_only"]
    assert ["ALL"] == service["cap_drop"]
    assert ["notice_board_password"] == service["secrets"]
    assert "password" not in str(service.get("environment", "")).lower()


def test_the_stack_has_what_geo_diffs_has_not():
    """So that a deployment of it tries that: this list is why the application is here."""
    services = STACK["services"]

    assert {"notices", "store"} == {n for n, s in services.items() if "configs" in s}
    assert {"web", "beat", "notices"} == {n for n, s in services.items() if "env_file" in s}
    assert "board" == services["web"]["build"]["target"]
    assert {"RELEASE": "${RELEASE:-1}"} == services["web"]["build"]["args"]
    assert "global" == services["beat"]["deploy"]["mode"]
    assert "on-failure" == services["notices"]["deploy"]["restart_policy"]["condition"]
    assert {"store-data": {}} == STACK["volumes"]
    assert {"./store.conf", "./notices.txt"} == {c["file"] for c in STACK["configs"].values()}
    assert (NOTICE_BOARD / "images/notice-board/.dockerignore").exists()


def test_its_parameter_file_asks_nothing_about_tiles_and_opens_its_port():
    given = yaml.safe_load((ROOT / "params/lab-notice-board.yml").read_text())
    (port,) = services_ports()

    assert ["00-06"] == given["notebooks"]
    assert "tiles_url" not in given
    assert [] == given["surfaces"] == given["queues"]
    assert [f"web: tcp/{port} from 0.0.0.0/0"] == given["open_ports"]


def services_ports():
    ports = (port for s in STACK["services"].values() for port in s.get("ports", ()))
    return [port["published"] for port in ports]
