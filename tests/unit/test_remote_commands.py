"""
Every command for another machine, read as its shell will: each value is one quoted word.

A value in quotes of its own, inside quotes of the command, ends them: `sh -c 'rm {quote(name)}'`
runs what the name says. So a value stands outside of quotes and is quoted by shlex, or is a
constant of the library, or a number.
"""

import ast
import functools
import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.places import ROOT

SOURCES = [p for r in ("runbook_lib", "lab") for p in sorted((ROOT / r).rglob("[!_]*.py"))]
PLAIN, QUOTED, RAW = "plain", "quoted", "raw"
"""A constant or a number; what shlex has quoted; anything else."""

RUNNERS = {"run": 1, "run_with_input": 1, "run_all": 2, "exec_command": 0}
RUNNERS |= {"_run_program": 1, "_on_each_disk": 0}
"""The functions that run a command elsewhere, and which argument it is."""
NUMBERS = {"int", "float", "bool"}
BUILT_IN = {"int", "float", "len", "round", "min", "max"}


@dataclass(frozen=True)
class Piece:
    """A piece of a command: its text, or a value of some kind."""

    kind: str
    text: str


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@functools.cache
def functions() -> dict[str, list[tuple[ast.Module, ast.FunctionDef]]]:
    found: dict[str, list[tuple[ast.Module, ast.FunctionDef]]] = {}
    for path in SOURCES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef):
                found.setdefault(node.name, []).append((parsed(path), node))
    return found


@dataclass(frozen=True)
class Reader:
    """Takes an expression of a function apart, with what its names were assigned."""

    module: ast.Module
    function: ast.FunctionDef | ast.Module
    seen: tuple[str, ...] = ()

    def pieces(self, node: ast.expr) -> Iterator[Piece]:
        match node:
            case ast.Constant(value=str(text)):
                yield Piece("text", text)
            case ast.Constant():
                yield Piece(PLAIN, str(node.value))
            case ast.JoinedStr():
                for value in node.values:
                    yield from self.pieces(value)
            case ast.FormattedValue(format_spec=None):
                yield from self.pieces(node.value)
            case ast.FormattedValue():
                numeric = ast.unparse(node.format_spec) in ("f'd'", "f'g'")  # else it raises
                yield Piece(PLAIN if numeric else RAW, ast.unparse(node.value))
            case ast.BinOp(op=ast.Add()):
                yield from self.pieces(node.left)
                yield from self.pieces(node.right)
            case ast.BinOp(op=ast.FloorDiv() | ast.Div() | ast.Sub()):
                yield Piece(PLAIN, ast.unparse(node))
            case ast.IfExp():
                yield from self.pieces(node.body)
                yield from self.pieces(node.orelse)
            case ast.BoolOp():
                for value in node.values:
                    yield from self.pieces(value)
            case ast.Call():
                yield from self.call(node)
            case ast.Name(id=name) | ast.Attribute(attr=name) if name.strip("_").isupper():
                yield from self.constant(node, name)
            case ast.Name(id=name):
                yield from self.local(name)
            case _:
                yield Piece(RAW, ast.unparse(node))

    def constant(self, node: ast.expr, name: str) -> Iterator[Piece]:
        """A constant of this module is read: it may be the beginning of a command."""
        values = [v for v in assigned(self.module, name) if isinstance(node, ast.Name)]
        if values and name not in self.seen:
            for value in values:
                yield from Reader(self.module, self.module, (*self.seen, name)).pieces(value)
        else:
            yield Piece(PLAIN, name)

    def local(self, name: str) -> Iterator[Piece]:
        values = assigned(self.function, name)
        if name in self.seen:
            return
        here = Reader(self.module, self.function, (*self.seen, name))
        for value in values:
            yield from here.pieces(value)
        if not values:
            annotation = parameters(self.function).get(name, "")
            yield Piece(PLAIN if annotation in NUMBERS else RAW, name)

    def call(self, node: ast.Call) -> Iterator[Piece]:
        name = ast.unparse(node.func)
        if name in ("shlex.quote", "shlex.join", "map"):
            yield Piece(QUOTED, ast.unparse(node))
        elif name in BUILT_IN or name.endswith(".getsource"):
            yield Piece(PLAIN, ast.unparse(node))
        elif isinstance(node.func, ast.Attribute) and node.func.attr == "format":
            yield from self.formatted(node.func.value, node)
        elif isinstance(node.func, ast.Attribute) and node.func.attr == "join":
            for argument in node.args:
                each = getattr(argument, "elt", argument)
                yield from self.pieces(each)
        elif (found := functions().get(name.rpartition(".")[2])) and name not in self.seen:
            for module, function in found:
                reader = Reader(module, function, (*self.seen, name))
                for one in ast.walk(function):
                    if isinstance(one, ast.Return) and one.value is not None:
                        yield from reader.pieces(one.value)
        else:
            yield Piece(RAW, ast.unparse(node))

    def formatted(self, template: ast.expr, call: ast.Call) -> Iterator[Piece]:
        values = {keyword.arg: keyword.value for keyword in call.keywords}
        for piece in self.pieces(template):
            if piece.kind != "text":
                yield piece
                continue
            for text, field, _, _ in string.Formatter().parse(piece.text):
                yield Piece("text", text)
                if field is None:
                    continue
                if field in values:
                    yield from self.pieces(values[field])
                else:  # **values: a dictionary of this function
                    yield from self.of_dictionary(field, call)

    def of_dictionary(self, field: str, call: ast.Call) -> Iterator[Piece]:
        for keyword in call.keywords:
            for value in assigned(self.function, getattr(keyword.value, "id", "")):
                if isinstance(value, ast.Dict):
                    for key, one in zip(value.keys, value.values, strict=True):
                        if isinstance(key, ast.Constant) and key.value == field:
                            yield from self.pieces(one)
                            return
        yield Piece(RAW, field)


@functools.cache
def assigned(scope: ast.AST, name: str) -> list[ast.expr]:
    """What a name is assigned in a scope: one by one, or as one of several."""
    found: list[ast.expr] = []
    for node in scope.body if isinstance(scope, ast.Module) else ast.walk(scope):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if not isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.NamedExpr):
            continue
        for target in targets:
            if isinstance(target, ast.Name) and target.id == name and value is not None:
                found.append(value)
            elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                pairs = zip(target.elts, value.elts, strict=True)
                found += [v for t, v in pairs if isinstance(t, ast.Name) and t.id == name]
    return found


def parameters(function: ast.AST) -> dict[str, str]:
    if not isinstance(function, ast.FunctionDef):
        return {}
    arguments = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
    return {a.arg: ast.unparse(a.annotation) if a.annotation else "" for a in arguments}


def problems(pieces: list[Piece]) -> list[str]:
    """The values that are not one quoted word, where a shell reads these pieces one by one."""
    found, quote, comment, before = [], "", False, "\n"
    for piece in pieces:
        if piece.kind != "text":
            if comment or piece.kind == RAW:
                found.append(f"{piece.text} is not quoted")
            elif piece.kind == QUOTED and quote:
                found.append(f"{piece.text} is quoted inside {quote}")
            before = "x"
            continue
        skip = False
        for character in piece.text:
            if comment:
                comment = character != "\n"
            elif skip:
                skip = False
            elif character == "\\" and quote != "'":
                skip = True
            elif quote:
                quote = "" if character == quote else quote
            elif character in "'\"":
                quote = character
            elif character == "#" and before.isspace():
                comment = True
            before = character
    return found


def commands() -> Iterator[tuple[str, Reader, ast.expr]]:
    """Each command that the library or the lab runs elsewhere: where, and its expression."""
    for path, function in outermost():
        for node in ast.walk(function):
            script = argument(node) if isinstance(node, ast.Call) else None
            handed_on = isinstance(script, ast.Name) and function.name in RUNNERS
            if script is not None and not (handed_on and script.id in parameters(function)):
                place = f"{path.relative_to(ROOT)}:{node.lineno}"
                yield place, Reader(parsed(path), function), script


def outermost() -> Iterator[tuple[Path, ast.FunctionDef]]:
    """The functions and methods; those inside of one are read with it."""
    for path in SOURCES:
        for node in parsed(path).body:
            for function in node.body if isinstance(node, ast.ClassDef) else [node]:
                if isinstance(function, ast.FunctionDef):
                    yield path, function


def argument(call: ast.Call) -> ast.expr | None:
    owner, _, name = ast.unparse(call.func).rpartition(".")
    if name not in RUNNERS or owner.endswith(("subprocess", "containers", "asyncio", "options")):
        return None
    position = 0 if owner and name == "run" else RUNNERS[name]
    return call.args[position] if len(call.args) > position else None


def test_the_commands_are_found():
    assert 60 < len(list(commands()))


def test_every_value_in_a_command_is_one_quoted_word():
    found = [
        f"{place}: {problem}"
        for place, reader, script in commands()
        for problem in problems(list(reader.pieces(script)))
    ]
    assert [] == found


def test_no_text_has_a_quoted_value_inside_quotes():
    """Commands for later, too: of units, and of messages to paste."""
    found = []
    for path, function in outermost():
        reader = Reader(parsed(path), function)
        for node in ast.walk(function):
            if isinstance(node, ast.JoinedStr):
                told = problems(list(reader.pieces(node)))
                found += [f"{path}:{node.lineno}: {t}" for t in told if " is quoted inside " in t]
    assert [] == found


BAD = """
import shlex
_TEMPLATE = "cd {folder} && echo '{folder}'"
def f(connection, name, count: int):
    word = shlex.quote(name)
    inner = f"rm {word}"
    run(connection, SCRIPT)
"""


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ('f"rm {name}"', ["name is not quoted"]),
        ('f"rm {word} {count}"', []),
        ("f\"sh -c '{inner}'\"", ["shlex.quote(name) is quoted inside '"]),
        ("f'sh -c \"rm {word}\"'", ['shlex.quote(name) is quoted inside "']),
        ("'rm ' + word + ' ' + name", ["name is not quoted"]),
        ('f"# of {name}\\nls"', ["name is not quoted"]),
        ('f"# of {word}\\nls"', ["shlex.quote(name) is not quoted"]),
        ("_TEMPLATE.format(folder=word)", ["shlex.quote(name) is quoted inside '"]),
        ('" ".join(shlex.quote(n) for n in name)', []),
        ('" ".join(f"-x {n}" for n in name)', ["n is not quoted"]),
        ("f\"find . -name '*.png' | head -{count} # it's {word}\"", ["shlex.quote(name) is not q"]),
    ],
)
def test_this_test_sees_what_it_looks_for(script, told):
    module = ast.parse(BAD.replace("SCRIPT", script))
    function = module.body[-1]
    call = function.body[-1].value
    seen = problems(list(Reader(module, function).pieces(argument(call))))
    assert told == [s[: len(t)] for s, t in zip(seen, told, strict=True)]
