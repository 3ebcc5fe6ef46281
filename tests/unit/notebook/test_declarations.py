"""
The parameters cell: what it may say, and what of it papermill would misread.
"""

import pytest

from runbook_lib.core.errors import ParameterError
from runbook_lib.notebook.declarations import declarations
from runbook_lib.notebook.problems import Setting, find_problems

GOOD = """
# where
cluster: str = "geo-diff"  # tags everything; /[a-z][a-z0-9-]*/
key_file: str = "~/.ssh/key.pem"  # the private key; made here if there is none
worker_count: int = 4  # how many workers; 1..20
wait_s: float = 1.5  # seconds between two batches; 0..
docker_source: str = "distro"  # where Docker comes from; docker-ce | distro
adopt: bool = False  # take over what is there
zones: list = ["a"]  # availability zones; a | b | c
tiles_url: str = ""  # required: where the parts are
proxy: str = ""  # a proxy; /https?:.+/
mirror: str = ""  # a mirror; "" for none; URL
work: str = "a"  # the one stack; stack
web: str = "b"  # the other; stack but work
"""


def parameter(name):
    return declarations(GOOD, "05_swarm")[name]


def test_a_line_gives_name_type_default_help_and_rule():
    found = parameter("worker_count")
    assert ("int", 4, "how many workers", "1..20") == (
        found.kind,
        found.default,
        found.help,
        found.rule,
    )
    assert "05_swarm, line 5" == found.where


def test_words_after_a_semicolon_are_help_not_a_rule():
    assert ("the private key; made here if there is none", "") == (
        parameter("key_file").help,
        parameter("key_file").rule,
    )


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("worker_count", 1, True),
        ("worker_count", 20, True),
        ("worker_count", 0, False),
        ("worker_count", 21, False),
        ("worker_count", "4", False),
        ("worker_count", True, False),
        ("worker_count", 4.0, False),
        ("wait_s", 2, True),
        ("wait_s", -0.1, False),
        ("docker_source", "docker-ce", True),
        ("docker_source", "snap", False),
        ("docker_source", "", False),
        ("cluster", "my-cluster2", True),
        ("cluster", "My cluster", False),
        ("adopt", True, True),
        ("adopt", 1, False),
        ("zones", ["a", "c"], True),
        ("zones", ["a", "d"], False),
        ("zones", "a", False),
        ("tiles_url", "http://x", True),
        ("tiles_url", "", False),
        ("proxy", "", True),
        ("proxy", "ftp:", False),
        ("mirror", "", True),
        ("mirror", "https://a.example:5000/b/c%20d", True),
        ("mirror", "https://a.example/b c", False),
        ("mirror", "https://user:word@a.example", False),
        ("mirror", "https://a.example/?x'", False),
        ("work", "registry", False),
        ("work", "registry2", True),
        ("work", "a" * 41, False),
        ("web", "a", True),  # nobody knows what work is
    ],
)
def test_a_value_is_held_against_type_and_rule(name, value, allowed):
    assert allowed == parameter(name).allows(value)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a = 1  # no type", "not of the form"),
        ("a: int  # no value", "not of the form"),
        ("import os", "not of the form"),
        ("a: str | None = None  # a union", "expected a plain"),
        ("a: dict = {}  # nested", "expected a plain"),
        ("a: int = 2 * 3  # computed", "malformed"),
        ("a: int = 1", "no help"),
        ('a: str = "k=v"  # a second equals sign', "papermill"),
        ('a: str = "#1"  # a hash in the default', "papermill"),
        ("a: int = 1  # a mistyped rule; 1-20", "after ;"),
        ("a: int =", "invalid syntax"),
    ],
)
def test_a_line_of_another_form_is_refused(line, reason):
    with pytest.raises(ParameterError, match=reason):
        declarations(line, "x")


def test_every_bad_line_is_named_at_once():
    with pytest.raises(ParameterError) as caught:
        declarations("a = 1\nb: int = 1  # fine\nc = 2", "x")
    assert "x, line 1" in str(caught.value)
    assert "x, line 3" in str(caught.value)
    assert "line 2" not in str(caught.value)


PAIR = """
min_scale: int = 4  # the fewest workers; 1..max_scale
max_scale: int = 8  # the most workers; 1..100
"""


@pytest.mark.parametrize(
    ("value", "others", "allowed"),
    [
        (8, {"max_scale": 8}, True),
        (9, {"max_scale": 8}, False),
        (0, {"max_scale": 8}, False),
        (9, {"max_scale": "many"}, True),  # which is refused itself
        (9, {}, True),
    ],
)
def test_a_range_may_end_at_another_parameter(value, others, allowed):
    assert allowed == declarations(PAIR, "x")["min_scale"].allows(value, others)


def test_an_equals_sign_in_help_and_rule_is_written_so_that_papermill_reads_the_line():
    line = r"pairs: list = []  # each NAME\x3dvalue; /[A-Z]+\x3d.*/"
    found = declarations(line, "x")["pairs"]
    assert ("each NAME=value", "/[A-Z]+=.*/") == (found.help, found.rule)
    assert [True, False] == [found.allows(value) for value in (["A=1"], ["A"])]


def test_a_pattern_means_ascii():
    word = declarations(r'word: str = "a"  # a word; /\w+/', "x")["word"]
    assert [True, False] == [word.allows(value) for value in ("b_1", "straße")]


@pytest.mark.parametrize(
    ("surfaces", "url", "allowed"),
    [(["DESERT"], "", False), ([], "", True), (["DESERT"], "http://x", True)],
)
def test_a_parameter_may_be_required_with_another_only(surfaces, url, allowed):
    line = 'url: str = ""  # required with surfaces: where the tiles are'
    found = declarations(line, "x")["url"]
    assert allowed == found.allows(url, {"surfaces": surfaces})


def test_a_rule_may_refuse_the_value_of_another_parameter():
    web = parameter("web")
    assert [True, False] == [web.allows("a", {"work": other}) for other in ("c", "a")]
    (told,) = find_problems(web, Setting("a", "here"), {"work": "a"})
    assert "here: web is 'a', expected str stack but work (the other, work is a)" == told


@pytest.mark.parametrize("value", ["x" * 20_001, ["a"] * 1_001, ["x" * 20_001]])
def test_every_length_is_bounded_and_what_is_too_long_is_not_shown(value):
    name = "zones" if isinstance(value, list) else "key_file"
    (told,) = find_problems(parameter(name), Setting(value, f"-p {name}={value}"))
    assert "expected at most" in told
    assert 400 > len(told)
