"""
Errors speak in three parts, and are also the builtin that they resemble.
"""

import pytest

from runbook_lib.core import errors

LEAVES = errors.RunbookError.__subclasses__()


def test_a_message_has_what_was_expected_the_evidence_and_the_next_step():
    error = errors.NotFoundError("4 of 6 answered", evidence="a: refused\nb: late", next_step="ls")
    assert "4 of 6 answered\n  a: refused\n  b: late\n  next: ls" == str(error)


def test_parts_that_are_not_there_leave_no_trace():
    assert "only this" == str(errors.ConflictError("only this"))


def test_a_notebook_shows_the_message_without_our_stack():
    assert ["ConflictError: no"] == errors.ConflictError("no")._render_traceback_()


@pytest.mark.parametrize("leaf", LEAVES)
def test_each_leaf_is_also_a_builtin(leaf):
    assert [Exception] != [base for base in leaf.__bases__ if base.__module__ == "builtins"]
    assert len(leaf.__bases__) == 2


def test_the_drawing_of_the_tree_names_every_leaf():
    assert [] == [leaf.__name__ for leaf in LEAVES if leaf.__name__ not in errors.__doc__]


def test_what_a_host_said_cannot_move_the_terminals_cursor():
    said = "\x1b[2J\x1b]0;title\x07a\tb\r\u202egnp.exe"
    text = str(errors.CommandError("it failed", evidence=said, next_step="\x9b31m"))
    assert [] == [c for c in text if not c.isprintable() and c != "\n"]
    assert "\\x1b[2J" in text
