"""
The map over TLS, with a certificate that nobody signed: for a browser that knows it, and no other.
"""

import base64
import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from playwright.sync_api import Error

from tests.browser.chromium import open_browser
from tests.browser.site import SUMMER, open_site
from tests.browser.visitor import Visitor
from tests.unit.geodiff.test_tls import made

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    """
    The site, and the hash of the key by which Chromium knows it.
    """
    folder = tmp_path_factory.mktemp("secure")
    for path in (folder, *folder.parents[:2]):
        path.chmod(0o755)  # the containers read as others
    pem, sha256 = made(["127.0.0.1"])
    key = x509.load_pem_x509_certificate(pem).public_key()
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    with open_site(folder, pem, sha256) as site:
        yield site, base64.b64encode(hashlib.sha256(der).digest()).decode()


def test_the_map_shows_its_tiles_to_a_browser_that_knows_the_certificate(secure):
    site, key = secure
    with open_browser(f"--ignore-certificate-errors-spki-list={key}") as browser:
        visitor = Visitor(browser, site)
        visitor.arrive(f"date={SUMMER}&show=RAW:100&at=2/0/0")
        visitor.wait_for_tiles()
        tiles = [r for r in visitor.requests if r.url.startswith(f"{site.tiles_url}/RAW/")]
        assert {200} == {request.response().status for request in tiles}
        visitor.leave()


def test_another_browser_refuses_before_it_sends_the_token(secure):
    site, _ = secure
    with open_browser() as browser:
        page = browser.new_page()
        with pytest.raises(Error, match="ERR_CERT_AUTHORITY_INVALID"):
            page.goto(f"{site.url}/#token={site.token}")
