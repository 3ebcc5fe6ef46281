"""
YAML as Docker's command line reads it; with a CLI that has `stack config`, compared with it.
"""

import functools
import shutil
import subprocess

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runbook_lib.core.errors import NotFoundError, ParameterError
from runbook_lib.stacks.compose.documents import load_document
from runbook_lib.stacks.compose.reading import read
from runbook_lib.stacks.compose.rendering import render
from runbook_lib.stacks.compose.scalars import Timestamp, resolved
from runbook_lib.stacks.compose.writing import written


@pytest.fixture
def document(tmp_path):
    """Write a document and read it."""

    def one(text):
        path = tmp_path / "stack.yml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_document(path)

    return one


def error_of(document, text):
    with pytest.raises(ParameterError) as told:
        document(text)
    return str(told.value)


PLAIN = {
    "on": "on", "yes": "yes", "y": "y", "no": "no", "off": "off", "=": "=", "23:30": "23:30",
    "2222:22": "2222:22", "true": True, "TRUE": True, "False": False, "": None, "~": None,
    "null": None, "nULL": "nULL", "12": 12, "-1": -1, "+7": 7, "1_000": 1000, "_1": "_1", "1_": 1,
    "014": 12, "0o14": 12, "-0o14": -12, "08": 8.0, "0x1F": 31, "0b11": 3, "0": 0, "-0": 0,
    "18446744073709551615": 18446744073709551615, "18446744073709551616": 18446744073709551616.0,
    "1.5": 1.5, "1e3": 1000.0, ".5": 0.5, "1.": 1.0, "1e400": "1e400", ".e3": ".e3",
    "1.2.3": "1.2.3", "+.inf": float("inf"), ".5_0": 0.5, "._5": "._5",
    "1_0.5": 10.5, "-": "-", ".": ".",
    "0x": "0x",
    "2024-13-45": "2024-13-45", "2024-05-01": Timestamp("2024-05-01"),
    "2024-05-01T10:00:00+03:00": Timestamp("2024-05-01T10:00:00+03:00"),
    "2024-05-01 10:00:00": Timestamp("2024-05-01 10:00:00"),
    "2024-05-01 10:00:00Z": "2024-05-01 10:00:00Z", "2024-05-01T10:00:00": "2024-05-01T10:00:00",
    "2024-5-1T1:2:3.5Z": Timestamp("2024-5-1T1:2:3.5Z"), "0000-02-29": Timestamp("0000-02-29"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "value"), PLAIN.items())
def test_a_plain_scalar_is_what_go_yaml_makes_of_it(text, value):
    assert (type(value), value) == (type(resolved(text)), resolved(text))


TAGGED = """
a: !!str 12
b: !!float 1
c: !thing 12
d: ! 12
e: !!int "12"
f: !!binary aGk=
g: "0891234"
h: '1e3'
i: |
  12
j: !!timestamp "2024-05-01"
"""


def test_tags_and_quotes_decide_first(document):
    assert {
        "a": "12", "b": 1.0, "c": "12", "d": 12, "e": 12, "f": "hi", "g": "0891234", "h": "1e3",
        "i": "12\n", "j": "2024-05-01",
    } == document(TAGGED).content  # fmt: skip


def test_a_tag_that_does_not_fit_is_told(document):
    assert "stack.yml:1: expected a value of !!int, saw a text" in error_of(document, "a: !!int x")


def test_all_duplicate_keys_are_told_with_both_lines(document):
    told = error_of(document, "services:\n  db: {a: 1}\n  web: {a: 1, a: 2}\n  db: {b: 1}\n")

    assert "stack.yml:3: a is twice here, first in line 3" in told
    assert "stack.yml:4: db is twice here, first in line 2" in told


def test_a_key_that_is_no_text_is_told(document):
    told = error_of(document, "labels:\n  1: a\n  true: b\n  [c]: d\n  2024-05-01: e\n")

    assert "stack.yml:2: expected a text as key, saw an integer" in told
    assert ["3", "4", "5"] == [line.split(":")[1] for line in told.splitlines()[2:5]]


def test_merge_keys_give_way_to_the_mapping_itself_and_to_earlier_ones(document):
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  z: 3\n  <<: [*a, *b]\nd: {'<<': 1}\n"
    content = document(text).content

    assert {"x": 1, "y": 1, "z": 3} == content["c"]
    assert {"<<": 1} == content["d"]


def test_what_is_merged_must_be_a_mapping(document):
    assert "expected << to merge mappings, saw an integer" in error_of(document, "a: {<<: 1}")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_is_utf_8_or_utf_16_with_its_mark(document, encoding):
    assert {"a": "é"} == document("a: é\n".encode(encoding)).content


def test_another_encoding_is_told(document):
    assert "expected UTF-8, or UTF-16 with its mark" in error_of(document, "a: é".encode("latin1"))


def test_the_line_of_an_error_of_syntax_is_told(document):
    assert "stack.yml:3: " in error_of(document, "a:\n  - b\n c: {\n")


def test_a_tab_may_follow_a_value(document):
    assert {"a": 10} == document("a: 10\t\n").content


def test_only_the_first_document_counts(document):
    assert {"a": 1} == document("a: 1\n---\n[broken\n").content


def test_aliases_of_aliases_are_limited(document):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]

    assert "at most 400000 values" in error_of(document, "\n".join(lines))


def test_a_value_that_contains_itself_is_told(document):
    assert "expected the anchor &a before *a" in error_of(document, "a: &a [*a]")


def test_levels_and_bytes_are_limited(document):
    assert "in 100 levels" in error_of(document, "a: " + "[" * 200 + "]" * 200)
    assert "at most 1 MiB" in error_of(document, "#" * (1 << 20) + "\n")


def test_the_line_of_the_nearest_key_is_found(document):
    its = document("a:\n  b:\n    - x\n    - c: 1\n")

    assert (4, 4) == its.find(("a", "b", 1, "c"))
    assert (2, 2) == its.find(("a", "b", 7))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(NotFoundError, match=r"nowhere\.yml"):
        load_document(tmp_path / "nowhere.yml")


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=20), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=20), VALUES))
@settings(max_examples=50, deadline=None)
@example({"a": "\x85\u2028\ufeff\x00\t\n\\\"'😀", "b": 1e22, "c": 1e-7, "d": "$$x", "e": [[], {}]})
def test_what_is_written_is_read_again(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("written") / "stack.yml"
    path.write_text(written(content))

    def undoubled(value):
        if isinstance(value, dict):
            return {key: undoubled(item) for key, item in value.items()}
        if isinstance(value, list):
            return [undoubled(item) for item in value]
        return value.replace("$$", "$") if isinstance(value, str) else value

    assert content == undoubled(load_document(path).content)


def test_every_text_is_written_in_quotes():
    assert '"a": "y"\n"b":\n  - "1e3"\n  - 2024-05-01\n' == written(
        {"a": "y", "b": ["1e3", Timestamp("2024-05-01")]}
    )


@functools.cache
def has_stack_config():
    if not shutil.which("docker"):
        return False
    command = ["docker", "stack", "config", "--help"]
    told = subprocess.run(command, check=False, capture_output=True, text=True).stdout
    return "--compose-file" in told


SPELLINGS = st.one_of(
    # without those that are no plain scalar here, or that Docker refuses in both places
    st.sampled_from(sorted(PLAIN.keys() - {"", "-", "+.inf", "true", "TRUE", "False"})),
    st.from_regex(r"[-+]?[0-9][0-9_]{0,7}(\.[0-9]{0,3})?([eE][-+]?[0-9]{1,2})?", fullmatch=True),
    st.from_regex(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}", fullmatch=True),
    st.text(st.characters(exclude_categories=["C"], exclude_characters="$")).map(
        lambda text: "'" + text.replace("'", "''") + "'"
    ),
)


@given(st.lists(SPELLINGS, min_size=40, max_size=40))
@settings(max_examples=3, deadline=None)
def test_every_scalar_comes_out_as_docker_reads_it(tmp_path_factory, spellings):
    if not has_stack_config():
        pytest.skip("no Docker CLI with `stack config`")
    folder = tmp_path_factory.mktemp("spelled")
    lines = [f"      v{n}: {text}" for n, text in enumerate(spellings)]
    service = "services:\n  one:\n    image: x\n"
    for key in ("environment", "labels"):
        (folder / "stack.yml").write_text("\n".join([f"{service}    {key}:", *lines, ""]))
        [text] = render(read(folder / "stack.yml"), {}, {})
        (folder / "rendered.yml").write_text(text)

        assert configured(folder, "stack.yml", key) == configured(folder, "rendered.yml", key)


def configured(folder, name, key):
    command = ["docker", "stack", "config", "--compose-file", name]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return yaml.load(done.stdout, yaml.CBaseLoader)["services"]["one"][key]
