"""
Images that nobody builds: had, or not, and why; the SDK talks to an engine over HTTP.
"""

import base64
import json
import threading

import pytest

from runbook_lib.core.errors import NotFoundError, ParameterError
from runbook_lib.stacks.building.pulled import find_unavailable, logins_of_stack, read_registry_auth
from runbook_lib.stacks.compose.reading import read
from tests.fakes.docker_http import engine_of

LOCAL = "/images/local:1/json"
ANSWERS = {
    "redis:7": (200, ""),
    "redis:none": (404, "manifest unknown: manifest unknown"),
    "me/private": (403, "denied: requested access to the resource is denied"),
    "example.com/x": (
        500,
        'Get "https://example.com/v2/": dial tcp: lookup example.com: no such host',
    ),
    "me/many": (429, "toomanyrequests: You have reached your pull rate limit."),
}
SERVICES = """
services:
  local: {image: "local:1"}
  fine: {image: "redis:7"}
  none: {image: "redis:none"}
  private: {image: me/private}
  also: {image: "me/private:latest"}
  away: {image: example.com/x}
  many: {image: me/many}
  slow: {image: me/slow}
  upper: {image: me/Upper}
  built: {image: own, build: ./own}
  uses: {image: own}
"""


@pytest.fixture
def engine():
    """An engine that has one image, and asks registries that answer as real ones do."""
    asked = {}
    end = threading.Event()

    def answer(path, headers, _):
        if not path.startswith("/distribution/"):
            return (200, {"Id": "x"}) if path == LOCAL else (404, {"message": "No such image"})
        image = path.removeprefix("/distribution/").removesuffix("/json")
        asked[image] = json.loads(base64.urlsafe_b64decode(headers["X-Registry-Auth"]))
        if image == "me/slow":
            end.wait(10)
        code, message = ANSWERS.get(image, (404, "not found"))
        return code, {"message": message}

    with engine_of(answer) as client:
        client.asked = asked
        yield client
        end.set()


@pytest.fixture
def stack(tmp_path):
    """A stack with one image of each kind."""
    (tmp_path / "stack.yml").write_text(SERVICES)
    return read(tmp_path / "stack.yml")


def test_each_image_that_cannot_be_had_is_named_with_the_reason(engine, stack):
    missing = find_unavailable({"manager": engine}, stack, {"own": "r:1/own:h"}, timeout_s=1)

    reasons = {each.service: each.reason for each in missing}
    assert ["upper", "none", "private", "away", "many", "slow"] == list(reasons)
    assert "docker.io does not have it" in reasons["none"]
    assert "needs a login" in reasons["private"]
    assert "example.com is not reachable" in reasons["away"]
    assert "no more requests" in reasons["many"]
    assert "within 1 s" in reasons["slow"]
    assert "lower case" in reasons["upper"]


def test_an_image_of_any_node_is_had(engine, stack):
    find_unavailable({"manager": engine, "worker-1": engine}, stack, {"own": "x"}, timeout_s=1)

    assert "local:1" not in engine.asked


def test_logins_go_to_their_registry_only(engine, stack, tmp_path):
    login = base64.b64encode(b"me:word").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"example.com": {"auth": login}}}))

    find_unavailable(
        {"manager": engine}, stack, {"own": "x"}, str(tmp_path / "config.json"), timeout_s=1
    )

    assert ("me", "word") == tuple(
        engine.asked["example.com/x"][key] for key in ("username", "password")
    )
    assert {} == engine.asked["redis:7"]


def test_the_manager_gets_the_logins_of_the_stack_only(tmp_path):
    auth = base64.b64encode(b"me:word").decode()
    logins = {
        "https://index.docker.io/v1/": {"auth": auth},
        "example.com": {"identitytoken": "t"},
        "other.com": {"auth": auth},
    }
    (tmp_path / "config.json").write_text(json.dumps({"auths": logins}))
    (tmp_path / "stack.yml").write_text(
        "services: {a: {image: redis}, b: {image: example.com/x}, c: {image: quay.io/x}}"
    )

    found = logins_of_stack(read(tmp_path / "stack.yml"), str(tmp_path / "config.json"))
    assert {"auths": {key: logins[key] for key in list(logins)[:2]}} == found
    assert {} == logins_of_stack(read(tmp_path / "stack.yml"), "")


@pytest.mark.parametrize(
    "text",
    ["", "hunter2", "[]", "{}", '{"auths": {"a": {"auth": "hunter2"}}}', '{"auths": "hunter2"}'],
)
def test_a_file_that_holds_no_logins_is_refused_without_its_content(tmp_path, text):
    (tmp_path / "config.json").write_text(text)

    with pytest.raises(ParameterError, match=r"config\.json with auths") as caught:
        read_registry_auth(str(tmp_path / "config.json"))
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_a_file_of_logins_is_bounded_and_its_absence_is_said(tmp_path):
    (tmp_path / "config.json").write_bytes(b" " * ((1 << 20) + 1))

    with pytest.raises(ParameterError, match="at most 1 MiB"):
        read_registry_auth(str(tmp_path / "config.json"))
    with pytest.raises(NotFoundError, match="no such file"):
        read_registry_auth(str(tmp_path / "nothing.json"))
    assert read_registry_auth("").is_empty


@pytest.mark.parametrize(
    "content", [{"credsStore": "none-such"}, {"credHelpers": {"example.com": "none-such"}}]
)
@pytest.mark.filterwarnings("ignore:docker-credential")
def test_a_credential_helper_that_fails_is_named(tmp_path, content):
    (tmp_path / "config.json").write_text(json.dumps(content))
    (tmp_path / "stack.yml").write_text("services: {a: {image: example.com/x}}")

    with pytest.raises(ParameterError, match=r"login to example\.com .*none-such"):
        logins_of_stack(read(tmp_path / "stack.yml"), str(tmp_path / "config.json"))


@pytest.mark.parametrize("content", [{"credsStore": 5}, {"credHelpers": "x"}])
def test_helpers_that_are_no_names_are_refused(tmp_path, content):
    (tmp_path / "config.json").write_text(json.dumps(content))

    with pytest.raises(ParameterError, match="with auths"):
        read_registry_auth(str(tmp_path / "config.json"))
