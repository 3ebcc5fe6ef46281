"""
What the images get from their host to reach out as it does.
"""

import pytest

from lab.images import host_access


@pytest.fixture(autouse=True)
def bare_host(monkeypatch, tmp_path):
    """A host without apt's options, pip files and certificates of its own."""
    monkeypatch.setattr(host_access, "PIP_FILES", (tmp_path / "pip.conf",))
    monkeypatch.setattr(host_access, "apt_options", list)
    monkeypatch.setattr(host_access, "ca_bundle", lambda environ: "")
    return tmp_path


def test_settings_that_point_into_the_host_stay_there(bare_host):
    """A folder of wheels, or an index on the loopback, does not exist in a container."""
    (bare_host / "pip.conf").write_text(
        "[global]\n"
        "find-links = /opt/wheels\n"
        "index-url = http://localhost:3141/simple\n"
        "extra-index-url = file:///opt/pypi https://index.example/simple\n"
    )
    expected = {"extra-index-url": "https://index.example/simple", "timeout": "60"}
    assert expected == host_access.pip_options({"PIP_DEFAULT_TIMEOUT": "9", "PIP_TIMEOUT": "60"})


def test_proxies_become_environment_except_those_on_the_loopback():
    """They are for builds (ENV) and for sessions (/etc/environment)."""
    environ = {"https_proxy": "http://proxy.example:3128", "http_proxy": "http://127.0.0.1:3128"}
    made = host_access.read_host_access(environ)
    assert {"https_proxy": "http://proxy.example:3128"} == dict(made.environment)
    assert made.files["etc/environment"] == "https_proxy=http://proxy.example:3128\n"


def test_the_hosts_certificates_survive_an_update_of_the_images(monkeypatch, tmp_path):
    """`update-ca-certificates` would rebuild the bundle: a hook restores the host's."""
    monkeypatch.setattr(host_access, "ca_bundle", lambda environ: "PEM\n")
    made = host_access.read_host_access({})
    made.write(tmp_path)
    hook = tmp_path / "etc/ca-certificates/update.d/95host"
    assert (tmp_path / "etc/ssl/certs/ca-certificates.crt").read_text() == "PEM\n"
    assert hook.stat().st_mode & 0o111
    assert "cert = /etc/ssl/certs/ca-certificates.crt" in made.files["etc/pip.conf"]


def test_what_an_image_gets_decides_whether_it_is_made_again():
    """Same files and environment, same digest."""
    one = host_access.HostAccess({"a": "1"}, {})
    assert one.digest == host_access.HostAccess({"a": "1"}, {}).digest
    assert one.digest != host_access.HostAccess({"a": "2"}, {}).digest
