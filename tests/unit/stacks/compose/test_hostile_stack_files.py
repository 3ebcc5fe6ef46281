"""
Stack files made to break their reader: refused in words, or read, whatever they hold.
"""

import contextlib
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runbook_lib.core.errors import RunbookError
from runbook_lib.stacks.compose.reading import read
from runbook_lib.stacks.compose.rendering import render
from runbook_lib.stacks.compose.tables import declared_services

KEYS = st.sampled_from(
    [
        *("services", "networks", "volumes", "secrets", "configs", "version", "x-runbook", "<<"),
        *("one", "image", "build", "command", "environment", "env_file", "deploy", "ports"),
        *("healthcheck", "external", "name", "file", "driver_opts", "labels", "replicas", "mode"),
        *("resources", "limits", "memory", "cpus", "placement", "constraints", "update_config"),
        *("variables", "generated_secrets", "configs", "source", "target", "${A}", "a.b", "", "é"),
    ]
)
TEXTS = st.sampled_from(
    [
        *("x", "nginx:1", "${A}", "${A:-b}", "${A?no}", "${", "$$", "$(id)", "80:80", "../../etc"),
        *("22:22", "1e999", "0o17", "12:34:56", "2024-13-01", "~", "null", "1.5G", "-1", "\x85"),
        *("a=b", "=", "/run/secrets/x", "\n", "'", '"', "🙂", "a" * 300, "file.env", ".", "/"),
    ]
)
LEAVES = st.one_of(TEXTS, st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
SERVICE = st.dictionaries(KEYS, VALUES, max_size=5).map(lambda spec: {"image": "x", **spec})
STACKS = st.one_of(
    VALUES,
    st.dictionaries(KEYS, VALUES, max_size=4),
    st.fixed_dictionaries({"services": st.dictionaries(KEYS, SERVICE | VALUES, max_size=3)}),
)
TAGS = st.sampled_from(
    [
        *("!!python/object/apply:os.system [id]", "!vault x", "&a [*a]", "*nothing", "? [a]\n: b"),
        *("{a: 1, a: 2}", "[" * 500, "{a: " * 200, "!!binary =", "<<: [1]", "- a\n b", "%YAML 9.9"),
        *("---\na: 1\n---\nb: 2", "!!set {a}", "!!omap [a: 1]", "!!timestamp x", "a: &x {<<: *x}"),
    ]
)
LAUGHS = "a0: &a0 [x]\n" + "".join(f"a{n + 1}: &a{n + 1} [{f'*a{n},' * 9}]\n" for n in range(9))


def refused_or_read(data, *more):
    """Everything that 06 reads of a stack file before it touches anything."""
    with TemporaryDirectory() as folder, contextlib.suppress(RunbookError):
        paths = [Path(folder, f"{number}.yml") for number in range(1 + len(more))]
        for path, content in zip(paths, (data, *more), strict=True):
            path.write_bytes(content)
        its = read(str(paths[0]), more=[str(path) for path in paths[1:]])
        declared_services(its)
        assert its.external_secrets is not None
        assert its.generated_secrets is not None
        render(its, {}, {})


@pytest.mark.hostile
@settings(max_examples=settings.default.max_examples // 4)
@given(STACKS, st.one_of(st.just({}), STACKS))
def test_any_structure_is_refused_in_words_or_read(stack, overlay):
    more = [json.dumps(overlay).encode()] if overlay else []
    refused_or_read(json.dumps(stack).encode(), *more)


@pytest.mark.hostile
@settings(max_examples=settings.default.max_examples // 4)
@given(
    st.one_of(
        st.binary(max_size=200),
        TAGS.map(str.encode),
        st.tuples(KEYS, TAGS).map(lambda pair: f"{pair[0]}: {pair[1]}".encode()),
        st.lists(TEXTS, max_size=6).map(lambda texts: "\n".join(texts).encode()),
    )
)
@example(LAUGHS.encode())
@example(b"services: {one: {image: x, command: " + b"[" * 3000 + b"]" * 3000 + b"}}")
@example(b"services: {one: {image: x}}\n" + b"#" * 2_000_000)
def test_any_text_is_refused_in_words_or_read(data):
    refused_or_read(data)
