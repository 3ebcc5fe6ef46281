"""
Image references by the grammar of distribution/reference.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_lib.core.errors import ParameterError
from runbook_lib.stacks.building.references import read_reference

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "full", "name"),
    [
        ("redis", "docker.io/library/redis:latest", "redis"),
        ("redis:latest", "docker.io/library/redis:latest", "redis"),
        ("docker.io/redis:7", "docker.io/library/redis:7", "redis:7"),
        ("index.docker.io/me/app", "docker.io/me/app:latest", "me/app"),
        ("library/a/b", "docker.io/library/a/b:latest", "library/a/b"),
        ("127.0.0.1:5000/alpha", "127.0.0.1:5000/alpha:latest", "127.0.0.1:5000/alpha"),
        ("localhost/a:1", "localhost/a:1", "localhost/a:1"),
        ("[::1]:5000/a/b:1", "[::1]:5000/a/b:1", "[::1]:5000/a/b:1"),
        ("Example.com/a__b/c--d.e_f", "Example.com/a__b/c--d.e_f:latest", None),
        (f"me/app@{DIGEST}", f"docker.io/me/app@{DIGEST}", f"me/app@{DIGEST}"),
        (f"app:latest@{DIGEST}", f"docker.io/library/app:latest@{DIGEST}", f"app:latest@{DIGEST}"),
        ("a:" + "b" * 128, "docker.io/library/a:" + "b" * 128, "a:" + "b" * 128),
    ],
)
def test_a_reference_is_read_with_dockers_defaults(text, full, name):
    assert full == str(read_reference(text))
    assert name in (None, read_reference(text).name)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not a name"),
        ("me/App", "lower case"),
        ("MyOrg/app", "lower case"),
        ("a//b", "'' is not a name"),
        ("a___b", "is not a name"),
        ("-a", "is not a name"),
        ("a\n", "is not a name"),
        ("a:", "a tag has"),
        ("a:1:2", "is not a name|a tag has"),
        ("a:" + "b" * 129, "a tag has"),
        ("a:ü", "a tag has"),
        ("a@sha256:12", "a digest is"),
        ("a@", "a digest is"),
        ("localhost:http/a", "not a host"),
        ("https://example.com/a", "not a host"),
        ("a" * 64, "an image's id"),
        ("/".join(["a" * 50] * 6), "255 characters"),
    ],
)
def test_what_is_no_reference_is_refused_with_the_reason(text, why):
    with pytest.raises(ParameterError, match=why):
        read_reference(text)


@given(
    st.from_regex(
        r"([a-z]{1,8}\.[a-z]{2,3}(:[0-9]{1,5})?/)?[a-z0-9]{1,9}(/[a-z0-9_.-]{1,9})?(:[\w.-]{1,9})?",
        fullmatch=True,
    )
)
def test_what_is_read_says_the_same_again(text):
    """Property: the full and the short form both name the same image."""
    try:
        reference = read_reference(text)
    except ParameterError:
        return
    assert reference == read_reference(str(reference)) == read_reference(reference.name)
