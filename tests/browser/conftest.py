"""
A browser, the web stack to look at, and an eye on everything that the page does.
"""

import sys
from collections.abc import Iterator

import pytest

from tests.places import IMAGES

sys.path.insert(0, str(IMAGES / "geo-diff"))

from tests.browser.site import Site, open_site
from tests.browser.visitor import Visitor


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """
    For a module, not for the session: the lab's tests end by stopping the engine, if it is idle.
    """
    folder = tmp_path_factory.mktemp("site")
    for path in (folder, *folder.parents[:2]):
        path.chmod(0o755)  # the containers read as others
    with open_site(folder) as site:
        yield site


@pytest.fixture
def visitor(browser, site) -> Iterator[Visitor]:
    """
    A person on a laptop; in the end, nothing that the page did may have been out of order.
    """
    visitor = Visitor(browser, site)
    yield visitor
    visitor.leave()
