"""
One document over another: the examples of RFC 7386, and that nobody's own is changed.
"""

import pytest

from runbook_lib.stacks.compose.overlays import merged

# appendix A of the RFC
EXAMPLES = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("under", "over", "expected"), EXAMPLES)
def test_the_examples_of_the_rfc(under, over, expected):
    assert expected == merged(under, over)


def test_what_lies_below_stays_as_it_was():
    under = {"services": {"a": {"ports": [1]}}}
    merged(under, {"services": {"a": {"ports": None, "image": "x"}}})
    assert {"services": {"a": {"ports": [1]}}} == under
