"""
The YAML documents of files, as Docker's command line reads them, and the place of every key.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from runbook_lib.core.errors import NotFoundError, ParameterError
from runbook_lib.core.project import PROJECT
from runbook_lib.stacks.compose.scalars import kind
from runbook_lib.stacks.compose.yaml_values import Reader

Keys = tuple[str | int, ...]

_BYTES = 1 << 20


@dataclass(frozen=True)
class Document:
    """
    A file's YAML, as it stands there.
    """

    path: Path
    content: dict[str, Any]

    @property
    def name(self) -> str:
        return shown(self.path)

    def find(self, keys: Keys) -> tuple[int, int]:
        """
        Return how many of the keys the document has, and the line of the last of them.
        """
        value: Any = self.content
        line = 1
        for depth, key in enumerate(keys):
            if key not in getattr(value, "lines", {}):
                return depth, line
            line, value = value.lines[key], value[key]
        return len(keys), line


def place_of(sources: Sequence[Document], keys: Sequence[str | int]) -> str:
    """
    Return the file and line of the nearest of the nested keys; of the last document that has it.
    """
    found = [(*document.find(tuple(keys)), document.name) for document in sources]
    depth = max(depth for depth, _, _ in found)
    return next(f"{name}:{line}" for its, line, name in reversed(found) if its == depth)


def shown(path: Path) -> str:
    """
    Return a path relative to the project if it lies there.
    """
    return str(path.relative_to(PROJECT) if path.is_relative_to(PROJECT) else path)


def load_document(path: Path) -> Document:
    """
    Read a file's first YAML document, a mapping.

    Raises NotFoundError if there is no such file; ParameterError with all duplicate keys, keys that
    are no text and values that their tag does not fit, or with the first error of syntax.
    """
    if not path.is_file():
        raise NotFoundError(
            f"expected a stack file at {path}; there is none",
            next_step="set stack_file to a Compose v3 file, relative to the project",
        )
    name = shown(path)
    data = path.read_bytes()
    if len(data) > _BYTES:
        raise ParameterError(f"expected {name} to have at most 1 MiB; it has {len(data)} bytes")
    reader = Reader(name, data)
    try:
        content = reader.document()
    except yaml.reader.ReaderError as error:
        raise ParameterError(
            f"expected UTF-8, or UTF-16 with its mark, in {name}; byte {error.position} is neither",
            evidence=str(error.reason),
            next_step=f"iconv -f latin1 -t utf-8 {name}  if that is its encoding",
        ) from error
    except yaml.MarkedYAMLError as error:
        mark: Any = error.problem_mark
        evidence = f"{name}:{mark.line + 1}: {error.problem}"
        raise ParameterError(f"expected YAML in {name}", evidence=evidence) from error
    if not isinstance(content, dict):
        reader.problems.append(f"{name}:1: expected a mapping, saw {kind(content)}")
    refuse_all(reader.problems, f"YAML that Docker reads in {name}")
    return Document(path, content)


def refuse_all(problems: list[str], what: str) -> None:
    """
    Raise ParameterError with all problems, if there are any.
    """
    if problems:
        count = f"{len(problems)} error{'s' if len(problems) > 1 else ''}"
        listed = "\n".join(dict.fromkeys(problems))
        raise ParameterError(
            f"expected {what}; found {count}",
            evidence=listed,
            next_step="correct these lines, then run this again",
        )
