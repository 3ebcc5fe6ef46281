"""
What of a folder an engine gets to build from.
"""

import io
import os
import tarfile

import pytest

from runbook_lib.core.errors import ParameterError
from runbook_lib.stacks.building import contexts
from runbook_lib.stacks.building.builds import sources_hash
from runbook_lib.stacks.building.contexts import (
    ignore_patterns,
    is_ignored,
    source_files,
    write_context,
)


@pytest.fixture
def folder(tmp_path):
    """A context with what people forget in it."""
    (tmp_path / "context" / ".git").mkdir(parents=True)
    for name in (".env", "x.log", "app.py", "Dockerfile", ".git/HEAD"):
        (tmp_path / "context" / name).write_text(name)
    (tmp_path / "context" / ".dockerignore").write_text("# secrets\n.env\n*.log\n.git\n")
    return tmp_path / "context"


def _sent(folder, dockerfile=None, text=b"FROM scratch\n"):
    into = io.BytesIO()
    name = write_context(folder, dockerfile or folder / "Dockerfile", text, into)
    into.seek(0)
    with tarfile.open(fileobj=into) as tar:
        return name, {i.name: tar.extractfile(i).read() if i.isreg() else i for i in tar}


def test_what_is_ignored_is_neither_sent_nor_hashed(folder):
    first = sources_hash(folder)
    (folder / ".env").write_text("PASSWORD=other")
    (folder / ".git" / "HEAD").write_text("other")

    assert [".dockerignore", "Dockerfile", "app.py"] == sorted(_sent(folder)[1])
    assert first == sources_hash(folder)
    (folder / "app.py").write_text("other")
    assert first != sources_hash(folder)


def test_the_ignore_file_of_a_dockerfile_goes_first(folder):
    (folder / "Dockerfile.dockerignore").write_text("*\n!app.py\n")

    name, sent = _sent(folder)
    assert {"app.py", ".dockerignore", name} == set(sent)
    assert f".dockerignore\n{name}\n".encode() == sent[".dockerignore"]


def test_a_dockerfile_outside_is_sent_under_a_name_that_copy_does_not_see(folder):
    outside = folder.parent / "Dockerfile.out"
    outside.write_text("FROM scratch\n")

    name, sent = _sent(folder, outside)
    assert name.startswith(".dockerfile.")
    assert b"FROM scratch\n" == sent[name]
    assert name == sent[".dockerignore"].decode().splitlines()[-1]
    assert b".env" in sent[".dockerignore"]


def test_links_are_sent_as_links_and_nothing_behind_them(folder):
    (folder.parent / "secret").mkdir()
    (folder.parent / "secret" / "key").write_text("key")
    (folder / "out").symlink_to("../secret")
    (folder / "file").symlink_to(folder.parent / "secret" / "key")
    (folder / "gone").symlink_to("nowhere")

    sent = _sent(folder)[1]
    assert "out/key" not in sent
    assert ["../secret", "nowhere"] == [sent["out"].linkname, sent["gone"].linkname]
    assert sent["file"].issym()


def test_empty_folders_modes_and_second_names_are_sent(folder):
    (folder / "empty").mkdir(mode=0o700)
    (folder / "app.py").chmod(0o640)
    os.link(folder / "app.py", folder / "b.py")
    os.mkfifo(folder / "pipe")

    into = io.BytesIO()
    write_context(folder, folder / "Dockerfile", b"", into)
    into.seek(0)
    with tarfile.open(fileobj=into) as tar:
        sent = {i.name: i for i in tar}
    assert sent["empty"].isdir()
    assert [0o700, 0o640] == [sent["empty"].mode, sent["app.py"].mode]
    assert sent["b.py"].isreg()
    assert [(0, 0, 0)] == list({(i.mtime, i.uid, i.gid) for i in sent.values()})


def test_a_mode_changes_the_hash_and_a_date_does_not(folder):
    first = sources_hash(folder)
    os.utime(folder / "app.py", (1, 1))
    assert first == sources_hash(folder)

    (folder / "app.py").chmod(0o600)
    assert first != sources_hash(folder)


def test_a_large_context_is_refused_with_what_is_large_in_it(folder, monkeypatch):
    monkeypatch.setattr(contexts, "LIMIT_MIB", 3)
    (folder / "data").mkdir()
    with (folder / "data" / "big").open("wb") as file:
        file.truncate(5 << 20)

    with pytest.raises(ParameterError, match=r"(?s)at most 3 MiB.*has 5 MiB.*5 MiB in data.*next:"):
        source_files(folder)
    (folder / ".dockerignore").write_text("data\n")
    assert "app.py" in source_files(folder)


def test_an_ignore_file_that_is_no_list_of_patterns_is_named(folder):
    (folder / ".dockerignore").write_text("[z-a]\n")

    with pytest.raises(ParameterError, match=r"expected patterns in .*\.dockerignore"):
        source_files(folder)


@pytest.mark.parametrize(
    ("patterns", "path", "ignored"),
    [
        ("*.log", "x.log", True),
        ("*.log", "a/x.log", False),
        ("**/*.log", "a/b/x.log", True),
        ("**/*.log", "x.log", True),
        ("*\n!src", "src/a/b.py", False),
        ("*\n!src", "other", True),
        ("**\n!a/b", "a/b", False),
        ("node_modules", "node_modules/a/b", True),
        ("node_modules", "x/node_modules", False),
        ("**/node_modules", "x/node_modules/a/b", True),
        ("**/node_modules\n!a/node_modules/keep", "a/node_modules/other", True),
        ("**/node_modules\n!a/node_modules/keep", "a/node_modules/keep", False),
        ("/foo", "foo", True),
        ("foo/", "foo/x", True),
        ("./foo", "foo", True),
        ("a/../b", "b", True),
        ("../b", "b", False),
        ("foo/**", "foo", False),
        ("foo/**", "foo/a", True),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/c/d/b", True),
        ("[a-c].txt", "b.txt", True),
        ("[^a-c].txt", "b.txt", False),
        ("[^a-c].txt", "d.txt", True),
        (r"\*.txt", "*.txt", True),
        (r"\*.txt", "a.txt", False),
        (r"\#a", "#a", True),
        ("#a", "#a", False),
        ("  a  ", "a", True),
        ("! a", "a", False),
        ("a\n!a/b\na/b/c", "a/b/c", True),
        ("a\n!a/b\na/b/c", "a/b/d", False),
        ("a.b", "axb", False),
        ("a+(b|c){2}$", "a+(b|c){2}$", True),
        ("?", "/", False),
        ("x**", "xa/b", True),
        (".", "a", False),
        ("\ufeffa", "a", True),
        ("a b", "a b", True),
    ],
)
def test_patterns_are_read_as_docker_reads_them(patterns, path, ignored):
    assert ignored == is_ignored(path, ignore_patterns(patterns))
