"""
Where the web stack is, and its token, which does not show itself.
"""

import shlex

import pytest

from runbook_lib.core.errors import CommandError, NotFoundError
from runbook_lib.geodiff import web
from tests.fakes.docker import Container, Engine
from tests.fakes.ec2 import instance


def engine(exit_code, output, silent=0):
    """One with a container of the tile server, which says this to every command."""
    says = (exit_code, output)
    return Engine(containers=[Container("c", service="web_tile-server", says=says, silent=silent)])


def test_each_side_is_told_where_the_other_one_is():
    nodes = {
        r: instance(r, public_ip=ip)
        for r, ip in [("manager", "192.0.2.4"), ("admin-web", "192.0.2.9")]
    }
    assert {
        "UI_ORIGIN": "http://192.0.2.9:8080",
        "TILES_URL": "http://192.0.2.4:5000",
    } == web.addresses(nodes).variables


def test_the_token_is_read_and_does_not_show_itself():
    token = web.read_token(engine(0, b"s3cret\n"), "web_tile-server")
    assert {"Authorization": "Bearer s3cret"} == token.header
    assert "s3cret" not in f"{token} {token!r}"


def test_a_token_is_read_again_where_docker_lost_what_the_command_said():
    token = web.read_token(engine(0, b"s3cret\n", silent=2), "web_tile-server")
    assert "s3cret" == token.value
    with pytest.raises(CommandError, match="expected a value in /run/secrets"):
        web.read_token(engine(0, b"s3cret\n", silent=3), "web_tile-server")


def test_without_a_container_or_its_secret_the_reader_says_so():
    with pytest.raises(NotFoundError, match="07_web_stack"):
        web.read_token(Engine(), "web_tile-server")
    with pytest.raises(CommandError, match="web_tile-server to have /run/secrets"):
        web.read_token(engine(1, b"cat: no such file"), "web_tile-server")


def test_the_command_for_a_person_asks_only_for_this_services_container():
    words = shlex.split(web.token_command("web_tile-server").replace("$(", "").replace(")", ""))
    assert "label=com.docker.swarm.service.name=web_tile-server" in words
    assert ["cat", "/run/secrets/tile_api_token"] == words[-2:]


def test_with_a_certificate_both_speak_tls_under_the_names_that_a_person_gave():
    nodes = {r: instance(r, public_ip="192.0.2.4") for r in ("manager", "admin-web")}
    assert ("https://192.0.2.4:8080", "https://tiles.example.org:5000") == (
        (found := web.addresses(nodes, pin="ab", tiles_name="tiles.example.org")).page,
        found.tiles,
    )


def test_addresses_are_shown_as_text():
    shown = repr(web.Addresses("http://192.0.2.9:8080", "http://192.0.2.4:5000"))
    assert "page http://192.0.2.9:8080, tiles http://192.0.2.4:5000, pin none" == shown
