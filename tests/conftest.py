"""
Hermetic by default: no home, no SSH keys and no AWS of the person who runs the tests.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# moto reads this when it is imported; without it, every fresh account loads 1,285 images
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
# what lasts longer than a test, as a session of boto3, knows no profile of a person either
os.environ.pop("AWS_PROFILE", None)

# a busy machine is no error in what is tested
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("hostile", settings.get_profile("patient"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "patient"))


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    An empty home, one for the session: IPython fills it once.
    """
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def hermetic(request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Everything but what needs an engine, and with it the caches in the real home.
    """
    if request.node.get_closest_marker("docker_cli") and not shutil.which("docker"):
        # it works without an engine, but a fresh machine has it only once a lab was up
        pytest.skip("needs Docker's command line")
    if request.path.parent.name in ("lab", "browser"):
        return
    for name in [n for n in os.environ if n.startswith(("AWS_", "DOCKER_", "XDG_", "SSH_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """
    One for a module, gone before the next: beside Playwright, nobody else may run an event loop.
    """
    from tests.browser.chromium import open_browser  # noqa: PLC0415 - few tests need it

    with open_browser() as browser:
        yield browser
