"""
Text from outside is text in every piece of HTML that the library makes.

What makes HTML is found by introspection and filled with hostile text by its types, so a new table
or picture is tested on the day it is written.
"""

import ast
import importlib
import inspect
import pkgutil
import re
import typing

import fabric
import pandas as pd
import pytest
from hypothesis import given, settings
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import HTML

import runbook_lib
from runbook_lib.core import findings, progress
from runbook_lib.core.tables import frame_html
from tests.hostile import WORST, Seen, hostile_texts, made
from tests.places import ROOT

PARSED_BY_BROWSERS = ("_repr_html_", "_repr_mimebundle_", "_repr_svg_", "_repr_markdown_")
TAGS = {
    *["table", "tr", "th", "td", "p", "b", "br", "code", "a", "div", "em", "small", "progress"],
    *["figure", "img", "figcaption"],
}
_TAG = re.compile(
    r"(?<!\?P)</?(p|b|a|i|br|td|th|tr|div|em|img|pre|svg|code|span|table|small)\b[ >]"
)
ATTRIBUTES = {"style", "href", "src", "alt", "width", "value", "max"}


def modules():
    for found in pkgutil.walk_packages(runbook_lib.__path__, "runbook_lib."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def own(module, kind):
    return [v for v in vars(module).values() if kind(v) and v.__module__ == module.__name__]


CLASSES = [c for m in modules() for c in own(m, inspect.isclass)]
SHOWN = [c for c in CLASSES if any(name in vars(c) for name in PARSED_BY_BROWSERS)]
DISPLAYED = [c for c in CLASSES if "_ipython_display_" in vars(c)]
BUILDERS = [
    f
    for m in modules()
    for f in own(m, inspect.isfunction)
    if "html" in f.__name__ or f.__annotations__.get("return") is HTML
]


def check(page):
    """
    Only our own tags and attributes, and links that are addresses or pictures.
    """
    seen = Seen(page)
    assert set() == seen.tags - TAGS
    assert set() == seen.attributes - ATTRIBUTES
    for link in seen.links:
        assert re.match(r"https?://|data:image/png;base64,[\w+/=]*$", link)


def pages_of(shown):
    for name in PARSED_BY_BROWSERS:
        if show := getattr(shown, name, None):
            page = show()
            yield page["text/html"] if isinstance(page, dict) else page


def test_introspection_finds_what_makes_html():
    assert len(SHOWN) >= 11
    assert {"html_table", "frame_html", "pictures"} <= {f.__name__ for f in BUILDERS}


@pytest.mark.parametrize("kind", SHOWN, ids=lambda c: c.__name__)
def test_what_a_notebook_shows_has_no_markup_of_others(kind):
    @given(hostile_texts)
    @settings(max_examples=25, deadline=None)
    def holds(text):
        for page in pages_of(made(kind, text)):
            check(page)

    holds()
    for page in pages_of(made(kind, WORST)):
        check(page)


@pytest.mark.parametrize("build", BUILDERS, ids=lambda f: f.__name__)
def test_what_a_function_builds_has_no_markup_of_others(build):
    hints = {
        k: v for k, v in typing.get_type_hints(build, localns={"pd": pd}).items() if k != "return"
    }
    if fabric.Connection in hints.values():
        assert "pictures(" in inspect.getsource(build)  # all that it does with what it reads
        return
    built = build(**{name: made(hint, WORST) for name, hint in hints.items() if name != "header"})
    check(built.data if isinstance(built, HTML) else built)


@pytest.mark.parametrize("kind", DISPLAYED, ids=lambda c: c.__name__)
@pytest.mark.parametrize("picture", [None, pd.DataFrame({WORST: [WORST]})], ids=["none", "table"])
def test_what_displays_itself_has_no_markup_of_others(kind, picture, monkeypatch):
    pages = []
    monkeypatch.setattr(findings, "display", lambda shown: pages.append(shown.data))
    kind(WORST, picture)._ipython_display_()
    assert pages
    check("".join(pages))


def test_a_line_of_progress_has_no_markup_of_others(monkeypatch):
    pages = []

    class Handle:
        def update(self, shown):
            pages.append(shown.data)

    def display(shown, display_id):
        pages.append(shown.data)
        return Handle()

    monkeypatch.setattr(progress, "get_ipython", InteractiveShell)
    monkeypatch.setattr(progress, "display", display)
    with progress.Progress(WORST) as line:
        line._shown = 0
        line.update(WORST, 1, 2)
    assert 3 == len(pages)
    check("".join(pages))


def test_a_table_shows_the_text_itself():
    shown = frame_html(pd.DataFrame({"tile": ["<b>&</b>"]}))
    assert "&lt;b&gt;&amp;&lt;/b&gt;" in shown


def test_a_text_with_a_tag_is_markup_that_escapes_what_is_put_into_it():
    """
    House rule: a literal with a tag stands in `Markup(...)`, whose `format` escapes; an f-string or
    a `+` of plain texts would not.
    """
    wrong = []
    for path in sorted((ROOT / "runbook_lib").rglob("*.py")):
        if path.name == "report.py":  # it cuts what nbconvert made
            continue
        nodes = list(ast.walk(ast.parse(path.read_text())))
        calls = [n for n in nodes if isinstance(n, ast.Call) and ast.unparse(n.func) == "Markup"]
        allowed = [n.value for n in nodes if isinstance(n, ast.Expr)]  # docstrings
        allowed += [part for call in calls for a in call.args for part in ast.walk(a)]
        in_f_strings = [part for n in nodes if isinstance(n, ast.JoinedStr) for part in n.values]
        fine = {id(n) for n in allowed} - {id(n) for n in in_f_strings}
        texts = [n for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]
        wrong += [f"{path}:{n.lineno}" for n in texts if _TAG.search(n.value) and id(n) not in fine]
    assert [] == wrong
