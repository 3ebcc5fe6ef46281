"""
Secrets in the saved files of a run: found, masked, and treated as a failure.
"""

import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from botocore.exceptions import BotoCoreError
from papermill.iorw import load_notebook_node, write_ipynb

from runbook_lib.core.credentials import aws_session
from runbook_lib.core.project import PROJECT
from runbook_lib.core.secret_shapes import SHAPES, without_secrets
from runbook_lib.notebook.templates import heading_above

_SHORTEST = 6
"""A known secret of fewer characters is not looked for: it would be found in words and numbers."""
_LARGEST = 64 * 1024
_PIXELS = ("image/png", "image/jpeg", "image/gif")


class Masker:
    """
    A replacer of known secrets, given by kind, and of text that looks like a secret.
    """

    def __init__(self, known: Mapping[str, str]) -> None:
        self._shapes = {
            kind: re.compile("|".join(re.escape(form) for form in (secret, quote(secret, safe=""))))
            for kind, secret in known.items()
        } | dict(SHAPES)

    def mask(self, text: str) -> tuple[str, list[str]]:
        """
        Return the text without its secrets, and the kinds of secrets in it.
        """
        return without_secrets(text, self._shapes)

    def mask_notebook(self, path: Path) -> list[str]:
        """
        Mask a saved notebook in place; return the findings as "kind, under “heading”".
        """
        notebook = load_notebook_node(str(path))
        findings: list[str] = []

        def masked(text: str) -> str:
            clean, kinds = self.mask(text)
            findings.extend(f"{kind}, under “{heading}”" for kind in kinds)
            return clean

        sources = [(cell.cell_type, cell.source) for cell in notebook.cells]
        for index, cell in enumerate(notebook.cells):
            heading = heading_above(sources, index)
            map_texts(cell, masked)
        heading = "metadata"
        map_texts(notebook.metadata, masked)
        if findings:
            write_ipynb(notebook, str(path))
        return list(dict.fromkeys(findings))


def map_texts(node: Any, change: Callable[[str], str]) -> Any:  # noqa: ANN401 - any JSON value
    """
    Change every text inside a JSON value but pictures, in place for lists and objects.
    """
    if isinstance(node, str):
        return change(node)
    if isinstance(node, list):
        node[:] = [map_texts(item, change) for item in node]
    if isinstance(node, dict):
        texts = {key: value for key, value in node.items() if not key.startswith(_PIXELS)}
        node.update({key: map_texts(value, change) for key, value in texts.items()})
    return node


def known_secrets(parameters: Mapping[str, Any]) -> dict[str, str]:
    """
    Return the secrets that a run with these parameters is given, by kind.
    """
    found = credentials_in_use(str(parameters.get("credentials_file", "")))
    prefix = "RUNBOOK_SECRET_"
    given = {k.removeprefix(prefix): v for k, v in os.environ.items() if k.startswith(prefix)}
    folder = str(parameters.get("values_dir", ""))
    for file in (PROJECT / Path(folder).expanduser()).glob("*") if folder else ():
        with suppress(OSError):  # 06 reports it
            if file.is_file() and file.stat().st_size <= _LARGEST:
                given[file.name] = file.read_text(encoding="utf-8", errors="ignore")
    values = {name: value.strip() for name, value in given.items()}
    return found | {f"the secret {n}": v for n, v in values.items() if len(v) >= _SHORTEST}


def credentials_in_use(credentials_file: str) -> dict[str, str]:
    """
    Return the AWS secrets that the notebooks of this run use, by kind.
    """
    try:
        found = aws_session(credentials_file).get_credentials()
        frozen = found.get_frozen_credentials() if found else None
    except (BotoCoreError, RuntimeError):  # a sign-on has expired; or they are new, and over
        frozen = None
    if frozen is None:
        return {}  # 00_start_here reports the problem
    named = {"secret access key": frozen.secret_key, "session token": frozen.token}
    return {f"the AWS {kind}": secret for kind, secret in named.items() if secret}
