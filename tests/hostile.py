"""
Text that wants to be markup, values of any type filled with it, and what a page then consists of.
"""

import dataclasses
import inspect
import types
import typing
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from html.parser import HTMLParser

import pandas as pd
from hypothesis import strategies as st

FRAGMENTS = [
    *["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>"],
    *["<iframe srcdoc='<script>x()</script>'>", "<a href='javascript:x()'>", "</td></table>"],
    *["'", '"', ">", "<!--", "]]>", "&lt;script&gt;", "{0}", "{", "\x00", "\x1b[2J", " on=1 "],
    *["https://example.org/", "http://", "javascript:x()//", "data:text/html,", "../", "DESERT"],
]
WORST = "https://example.org/'\"><script>alert(1)</script><img src=x onerror=alert(1)>{0}"
hostile_texts = st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=6).map("".join)


def made(hint, text):
    """
    A value of a type, with the text wherever it can hold one.
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return made(inner[0], text)
    if hint is pd.DataFrame:
        return pd.DataFrame({text: [text, 1], "n": [1, 2]}, index=[text, f"{text}2"])
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return hint(**{f.name: made(hints[f.name], text) for f in dataclasses.fields(hint)})
    if inspect.isclass(hint) and issubclass(hint, (list, tuple)) and origin is None:
        (base,) = hint.__orig_bases__
        return hint([made(typing.get_args(base)[0], text)])
    if origin in (dict, Mapping):
        return {made(inner[0], text): made(inner[1], text)}
    if origin is Counter:
        return Counter({text: 3})
    if origin is tuple:
        return tuple(made(each, text) for each in inner if each is not ...)
    if origin is not None:  # lists, sequences, iterables
        return [made(inner[0], text)]
    plain = {int: 3, float: 1.5, bool: True, bytes: b"\x89PNG", datetime: datetime.now(UTC)}
    return plain.get(hint, text)


class Seen(HTMLParser):
    """
    The tags and attributes of a page.
    """

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.links = set(), set(), []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value for name, value in attrs if name in ("href", "src")]

    def handle_comment(self, data):
        self.tags.add("<!--")
