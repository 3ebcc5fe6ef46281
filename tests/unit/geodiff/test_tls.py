"""
The certificate of the map's ports: made or given, kept in the Swarm, checked before it is used.
"""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from docker.errors import APIError
from hypothesis import example, given
from hypothesis import strategies as st

from runbook_lib.core.errors import NotFoundError, ParameterError
from runbook_lib.geodiff import certificates, tls
from runbook_lib.stacks.compose import reading
from tests.fakes.docker import Engine, Model, Service, in_turn

HOSTS = ["192.0.2.9", "192.0.2.4"]


def value(engine, name):
    return base64.b64decode(engine.secrets.get(name).attrs["Spec"]["Data"])


def made(hosts):
    """A certificate with its key in PEM, as a cluster has it, and its hash."""
    engine = Engine()
    tls.ensure_certificate(engine, "made", hosts, "web")
    found = tls.get_certificate(engine, "made", hosts, "web")
    return value(engine, found.secret), found.sha256


PEM, SHA256 = made(["map.example.org", "*.tiles.example.org", "192.0.2.9"])


def test_without_tls_nothing_is_made():
    engine = Engine()
    assert [] == tls.ensure_certificate(engine, "off", HOSTS, "web")
    assert [] == engine.secrets.list()


def test_a_certificate_is_made_once_for_the_hosts_and_again_for_others():
    engine = Engine()
    first = tls.ensure_certificate(engine, "made", HOSTS, "web")
    assert [
        f"{certificates.SECRET}_{tls.get_certificate(engine, 'made', HOSTS, 'web').sha256[:12]}"
    ] == [change.name for change in first]
    assert [] == tls.ensure_certificate(engine, "made", HOSTS[::-1], "web")
    assert 1 == len(tls.ensure_certificate(engine, "made", ["192.0.2.5"], "web"))
    assert 2 == len({secret.name for secret in engine.secrets.list()})
    leaf = x509.load_pem_x509_certificate(PEM)
    assert timedelta(days=360) < leaf.not_valid_after_utc - datetime.now(UTC) < timedelta(days=366)


def test_the_key_is_in_the_secret_alone():
    engine = Engine()
    changes = tls.ensure_certificate(engine, "made", HOSTS, "web")
    found = tls.get_certificate(engine, "made", HOSTS, "web")
    assert b"PRIVATE KEY" in value(engine, found.secret)
    labels = engine.secrets.get(found.secret).labels
    assert "web" == labels["runbook.stack"]
    assert "PRIVATE" not in f"{changes!r} {found!r} {labels}"


def test_a_certificate_in_its_last_month_is_made_again():
    engine = Engine()
    tls.ensure_certificate(engine, "made", HOSTS, "web")
    secret = engine.secrets.list()[0]
    soon = (datetime.now(UTC) + timedelta(days=29)).isoformat()
    secret.attrs["Spec"]["Labels"]["runbook.tls.ends"] = soon
    with pytest.raises(NotFoundError, match="07_web_stack"):
        tls.get_certificate(engine, "made", HOSTS, "web")
    assert 1 == len(tls.ensure_certificate(engine, "made", HOSTS, "web"))


def test_a_persons_own_certificate_is_read_from_the_folder_of_values(tmp_path, monkeypatch):
    hosts = ["map.example.org", "a.tiles.example.org"]
    (tmp_path / "web_tls").write_bytes(PEM)
    engine = Engine()
    for changes in (1, 0):
        found = tls.ensure_certificate(engine, "given", hosts, "web", values_dir=str(tmp_path))
        assert changes == len(found)
    assert SHA256 == tls.get_certificate(engine, "given", hosts, "web").sha256
    # later it need not be given again
    assert [] == tls.ensure_certificate(engine, "given", hosts, "web")
    # and serves another host that it names
    assert SHA256 == tls.get_certificate(engine, "given", ["B.tiles.example.org"], "web").sha256
    monkeypatch.setenv("RUNBOOK_SECRET_WEB_TLS", PEM.decode())
    assert 1 == len(tls.ensure_certificate(Engine(), "given", hosts, "web"))


def test_a_persons_own_certificate_is_used_to_its_last_day(monkeypatch):
    """Authorities issue some for a few days; only the person can renew it."""
    monkeypatch.setenv("RUNBOOK_SECRET_WEB_TLS", PEM.decode())
    engine = Engine()
    tls.ensure_certificate(engine, "given", ["192.0.2.9"], "web")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    engine.secrets.list()[0].attrs["Spec"]["Labels"]["runbook.tls.ends"] = tomorrow
    assert SHA256 == tls.get_certificate(engine, "given", ["192.0.2.9"], "web").sha256


def test_without_a_value_a_persons_own_certificate_is_asked_for():
    with pytest.raises(ParameterError, match="a file web_tls of values_dir"):
        tls.ensure_certificate(Engine(), "given", HOSTS, "web")


OTHER_KEY = made(["x"])[0].partition(b"-----BEGIN PRIVATE")
CERTIFICATE, MARK, KEY = PEM.partition(b"-----BEGIN PRIVATE")


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        (b"", "in PEM"),
        (CERTIFICATE, "in PEM"),
        (MARK + KEY, "in PEM"),
        (CERTIFICATE + b"".join(OTHER_KEY[1:]), "the key is not the first certificate's"),
        (PEM, "it names .*not 192.0.2.77"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(pem, reason):
    with pytest.raises(ParameterError, match=f"web_tls to be a certificate(.|\n)*{reason}"):
        certificates.read_certificate(pem, ["192.0.2.77"])


def test_the_key_may_stand_before_the_certificate():
    assert certificates.read_certificate(MARK + KEY + CERTIFICATE, ["map.example.org"])


@pytest.mark.hostile
@given(st.integers(0, len(PEM)), st.integers(0, 40), st.binary(max_size=60))
@example(len(CERTIFICATE) - 12, 40, b"")  # an end that names no certificate, and then the key
def test_a_damaged_certificate_is_refused_in_words(place, length, piece):
    """Bytes removed and put in anywhere."""
    pem = PEM[:place] + piece + PEM[place + length :]
    try:
        certificates.read_certificate(pem, ["192.0.2.9"])
    except ParameterError as error:
        assert KEY[30:60].decode() not in str(error)
        assert error.__suppress_context__


def gate(certificate, **attrs):
    """A service of the web stack that uses a certificate, or none."""
    variables = [f"{name}={value}" for name, value in certificate.variables.items()]
    return Service("web_tile-gate", using(certificate, variables), **attrs)


def using(certificate, variables=()):
    secrets = [{"SecretName": certificate.secret}] if certificate.secret else []
    return {"TaskTemplate": {"ContainerSpec": {"Env": list(variables), "Secrets": secrets}}}


def test_the_certificate_of_a_web_stack_is_found_in_the_swarm():
    found = tls.Certificate("web_tls_0123", "abc")
    assert "" == tls.find_pin(Engine(services=[gate(tls.Certificate())]), "web")
    assert "abc" == tls.find_pin(Engine(services=[gate(found)]), "web")


@pytest.mark.parametrize(
    ("status", "left"),
    [({"State": "completed"}, 1), ({"State": "updating"}, 2), ({"State": "paused"}, 2), (None, 2)],
)
def test_a_replaced_certificate_is_removed_when_no_service_can_go_back_to_it(status, left):
    engine = Engine(secrets=[Model("tile_api_token", {"runbook.stack": "web"})])
    tls.ensure_certificate(engine, "made", HOSTS, "web")
    old = tls.get_certificate(engine, "made", HOSTS, "web")
    engine.services.add(gate(old))
    tls.ensure_certificate(engine, "made", ["192.0.2.5"], "web")
    new = tls.get_certificate(engine, "made", ["192.0.2.5"], "web")
    names = ["tile_api_token", old.secret, new.secret]
    assert names == [secret.name for secret in engine.secrets]  # it is not deployed yet

    engine.services.get("web_tile-gate").remove()
    engine.services.add(gate(new, PreviousSpec=using(old), UpdateStatus=status))
    changes = tls.ensure_certificate(engine, "made", ["192.0.2.5"], "web")
    assert [old.secret] * (2 - left) == [change.name for change in changes]
    assert 1 + left == len(list(engine.secrets))


def test_a_certificate_that_was_given_up_is_removed_when_no_service_uses_it():
    engine = Engine()
    tls.ensure_certificate(engine, "made", HOSTS, "web")
    old = tls.get_certificate(engine, "made", HOSTS, "web")
    engine.services.add(gate(old))
    assert [] == tls.ensure_certificate(engine, "off", HOSTS, "web")
    engine.services.get("web_tile-gate").remove()
    engine.services.add(gate(tls.Certificate()))
    for expected in ([old.secret], []):
        changes = tls.ensure_certificate(engine, "off", HOSTS, "web")
        assert expected == [change.name for change in changes]
    assert [] == list(engine.secrets)


def test_a_certificate_that_another_service_has_just_taken_stays(monkeypatch):
    engine = Engine()
    tls.ensure_certificate(engine, "made", HOSTS, "web")
    refusal = "rpc error: code = InvalidArgument desc = secret 'web_tls_x' is in use by the service"
    secret = engine.secrets.list()[0]
    secret.remove = in_turn(APIError("400", explanation=refusal))
    assert [] == tls.ensure_certificate(engine, "off", HOSTS, "web")
    secret.remove = in_turn(APIError("500", explanation="the swarm does not have a leader"))
    with pytest.raises(APIError, match="leader"):
        tls.ensure_certificate(engine, "off", HOSTS, "web")


def test_a_certificate_that_another_run_has_just_put_there_is_taken_as_it_is(monkeypatch):
    """Two operators with the same file: the Swarm answers 409 to the slower one."""
    monkeypatch.setenv("RUNBOOK_SECRET_WEB_TLS", PEM.decode())
    engine = Engine()
    tls.ensure_certificate(engine, "given", ["192.0.2.9"], "web")
    engine.secrets.list = in_turn([], engine.secrets.list())
    assert [] == tls.ensure_certificate(engine, "given", ["192.0.2.9"], "web")
    assert SHA256 == tls.get_certificate(engine, "given", ["192.0.2.9"], "web").sha256


def test_the_certificate_given_is_used_also_if_an_earlier_one_ends_later(monkeypatch):
    """It was given because the earlier one must not be used any more."""
    engine = Engine()
    for pem in (made(["192.0.2.9"])[0], PEM):
        monkeypatch.setenv("RUNBOOK_SECRET_WEB_TLS", pem.decode())
        tls.ensure_certificate(engine, "given", ["192.0.2.9"], "web")
        later = datetime.now(UTC) + timedelta(days=600)
        first = engine.secrets.list()[0]
        first.attrs["Spec"]["Labels"]["runbook.tls.ends"] = later.isoformat()
    assert SHA256 == tls.get_certificate(engine, "given", ["192.0.2.9"], "web").sha256


def test_the_stack_with_its_overlay_gives_both_gates_the_certificate():
    where = {"UI_ORIGIN": "https://192.0.2.9:8080", "TILES_URL": "https://192.0.2.4:5000"}
    certificate = tls.Certificate("web_tls_0123", "ab" * 32)
    values = [f"{name}={value}" for name, value in (where | certificate.variables).items()]
    stack = reading.read("stacks/geo-diff/web.yml", certificate.overlays, variables=values)
    assert {"web_tls": "web_tls_0123", "tile_api_token": "tile_api_token"} == stack.external(
        "secrets"
    )
    for gate in ("tile-gate", "map-gate"):
        environment = stack.services[gate]["environment"]
        assert ("yes", "ab" * 32) == (environment["TLS"], environment["TLS_SHA256"])
        assert {"PORT", "SERVICE"} <= environment.keys()
