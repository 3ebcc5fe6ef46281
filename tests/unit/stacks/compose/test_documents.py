"""
YAML documents: keys, tags, encodings and limits, told with their lines.
"""

import pytest

from runbook_lib.core.errors import NotFoundError, ParameterError
from runbook_lib.stacks.compose.documents import load_document


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
