"""
Parameters made to break what they reach: refused in words, or harmless in a shell and a path.
"""

import contextlib
import json
import shlex
import string
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_lib.core.errors import ParameterError
from runbook_lib.core.project import NOTEBOOKS
from runbook_lib.notebook.templates import find_notebooks
from runbook_lib.runner.values import declared, load, read_arguments, resolve, take_notebooks

DECLARED = declared(find_notebooks(NOTEBOOKS))
FREE = {p.name for p in DECLARED.values() if p.rule == "path"} | {"stack_variables", "open_ports"}
"""Paths of this machine, and values: each is quoted, or goes by standard input."""

HOSTILE = st.sampled_from(
    [
        *("*", "?", "..", "../..", "/", "-", "--", "~", "~root", "$(id)", "`id`", "'", '"', "\\"),
        *("\n", "\r\n", "\0", "\x1b[2J", ";", "|", "&", "<", ">", "{a,b}", "[a]", "!", "#", "%"),
        *("geo-diff", "us-east-1", "http://x", "https://user:word@x/?a", "file:///etc/passwd"),
        *("1.2.3.4/32", "0.0.0.0/0", "worker-1", "t2.micro", "=", ":", "\u202e", "é", "\ud800"),
        *("null", "0300", "1e999", "[]", "{}", "&a", "*a", "!!python/object:os.system x"),
    ]
)
TEXTS = st.lists(st.one_of(HOSTILE, st.text(max_size=8)), max_size=6).map("".join)
VALUES = st.one_of(TEXTS, st.lists(TEXTS, max_size=4), st.integers(), st.floats(), st.booleans())


def harmless(name, value):
    """One word of a shell, whatever quotes it stands in; one part of a path or a URL."""
    texts = value if isinstance(value, list) else [value]
    for text in (t for t in texts if isinstance(t, str) and t):
        assert not set(text) & set("\0\x1b") or name == "stack_variables"
        if name not in FREE:
            plain = text.replace("~", "").replace(" ", "")
            assert plain == shlex.quote(plain), (name, text)
            assert "*" not in text
            assert "?" not in text
            assert ".." != text


@pytest.mark.hostile
@given(st.sampled_from(sorted(DECLARED)), VALUES)
def test_a_value_of_a_file_is_refused_or_harmless(name, value):
    # JSON is YAML; what it escapes is read back as it was
    with TemporaryDirectory() as folder, contextlib.suppress(ParameterError):
        path = Path(folder, "params.yml")
        path.write_text(f"{name}: {json.dumps(value)}\n")
        harmless(name, resolve(load(path), DECLARED, {})[name])


@pytest.mark.hostile
@given(st.sampled_from(sorted(DECLARED)), TEXTS)
def test_an_argument_is_refused_or_harmless(name, text):
    with contextlib.suppress(ParameterError):
        harmless(name, resolve(read_arguments([f"{name}={text}"], DECLARED), DECLARED, {})[name])


@pytest.mark.hostile
@given(st.one_of(st.binary(max_size=200), TEXTS.map(lambda t: t.encode(errors="surrogatepass"))))
def test_a_file_of_anything_is_refused_in_words_or_read(data):
    with TemporaryDirectory() as folder, contextlib.suppress(ParameterError):
        path = Path(folder, "params.yml")
        path.write_bytes(data)
        settings = load(path)
        take_notebooks(settings)
        resolve(settings, DECLARED, DECLARED)


def test_what_the_rules_let_through_is_what_people_write():
    """Else the tests above would pass with rules that refuse everything."""
    usual = {
        "cluster": "My_cluster-2",
        "region": "ap-southeast-2",
        "endpoint_url": "http://127.0.0.1:5566",
        "key_file": "~/My keys/geo-diff.pem",
        "instance_type": "c7gd.12xlarge",
        "operator_cidr": "203.0.113.7/32",
        "docker_version": "5:27.3.1-1~ubuntu.24.04~noble",
        "tiles_url": "https://my-bucket.s3.us-east-1.amazonaws.com/geo%20diff/~me/tiles/",
        "tiles_dir": "/srv/tiles-2",
        "surfaces": ["FOREST-JUNGLE", "lava_2.1"],
        "queues": ["celery@host:1", "TASK_QUEUE"],
        "stack_variables": ["GREETING=it's $5 & more"],
        "open_ports": ["web: tcp/80 from 0.0.0.0/0"],
    }
    assert set(string.printable) > set("".join(map(str, usual.values())))
    with TemporaryDirectory() as folder:
        path = Path(folder, "params.yml")
        path.write_text("".join(f"{n}: {json.dumps(v)}\n" for n, v in usual.items()))
        assert usual == resolve(load(path), DECLARED, {})
