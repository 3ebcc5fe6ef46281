"""
Debian mirrors from the host's own apt sources.
"""

import pytest

from lab.images import debian_mirrors
from lab.images.debian_mirrors import (
    Source,
    deb822_sources,
    host_sources,
    one_line_sources,
    sources_for,
)

DEB822 = """\
Types: deb
# http://snapshot.example/debian/20250520T000000Z
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb-src
URIs: http://source.example/debian
Suites: bookworm
Components: main
"""

ONE_LINE = """\
# deb http://commented.example/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main contrib # why
deb-src http://source.example/debian bookworm main
deb http://tool.example/apt stable tool
"""


def test_commented_and_disabled_repositories_are_not_used():
    """A comment may stand inside a paragraph, and name a host that is gone."""
    expected = [
        Source("http://mirror.example/debian", "bookworm"),
        Source("http://mirror.example/debian", "bookworm-updates"),
    ]
    assert expected == deb822_sources(DEB822)
    assert [Source("http://mirror.example/debian", "bookworm")] == one_line_sources(ONE_LINE)


def test_another_release_comes_from_the_same_repositories():
    """Updates stay updates, security stays security; what is no release of Debian is left out."""
    here = [
        Source("http://a/debian", "bookworm"),
        Source("http://a/debian", "bookworm-updates"),
        Source("http://a/security", "bookworm-security"),
        Source("http://b/sdk", "cloud-sdk-bookworm"),
    ]
    expected = ["trixie", "trixie-updates", "trixie-security"]
    assert expected == [source.suite for source in sources_for("trixie", here)]


def test_a_file_of_mirrors_stands_for_its_lines(tmp_path):
    """Cloud images name mirrors through `mirror+file:`."""
    (tmp_path / "debian.list").write_text("# best first\nhttp://one.example/debian/\n")
    folder = tmp_path / "apt" / "sources.list.d"
    folder.mkdir(parents=True)
    text = f"deb mirror+file:{tmp_path}/debian.list bookworm main\n"
    (folder / "debian.list").write_text(text)
    assert [Source("http://one.example/debian", "bookworm")] == host_sources(tmp_path / "apt")


@pytest.mark.parametrize("answer", [b"Origin: Ubuntu\nSuite: noble\n", OSError("no route")])
def test_a_mirror_that_is_dead_or_not_debians_is_left_out(monkeypatch, answer):
    """The first that answers for a suite serves it."""

    class Response:
        def __init__(self, text):
            self.text = text

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def read(self, _size):
            return self.text

    def urlopen(url, timeout):
        if "good" in url:
            return Response(b"Origin: Debian\nSuite: stable\n")
        if isinstance(answer, Exception):
            raise answer
        return Response(answer)

    monkeypatch.setattr(debian_mirrors.urllib.request, "urlopen", urlopen)
    found = debian_mirrors.answering(
        [Source("http://bad", "trixie"), Source("http://good", "trixie"), Source("ftp://x", "sid")]
    )
    assert [Source("http://good", "trixie")] == found
