"""
Secrets in the saved files of a run: found, masked, and treated as a failure.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.session
from botocore.exceptions import BotoCoreError
from papermill.iorw import load_notebook_node, write_ipynb

from runbook_lib.notebook.templates import heading_above

_SHAPES = {
    "a private key": re.compile(
        r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"
        r"(?:.*?-----END (?:[A-Z]+ )*PRIVATE KEY-----|.*)",
        flags=re.DOTALL,
    ),
    "a Swarm join token": re.compile(r"SWMTKN-\d-[\w-]+"),
    "a Swarm unlock key": re.compile(r"SWMKEY-\d-[\w+/-]+"),
}


class Masker:
    """
    A replacer of known secrets, given by kind, and of text that looks like a secret.
    """

    def __init__(self, known: dict[str, str]) -> None:
        self._shapes = dict(_SHAPES)
        for kind, secret in known.items():
            self._shapes[kind] = re.compile(re.escape(secret))

    def mask(self, text: str) -> tuple[str, list[str]]:
        """
        Return the text without its secrets, and the kinds of secrets in it.
        """
        kinds = []
        for kind, shape in self._shapes.items():
            text, count = shape.subn(f"[{kind} was here]", text)
            kinds += [kind] * bool(count)
        return text, kinds

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
    Change every text inside a JSON value, in place for lists and objects.
    """
    if isinstance(node, str):
        return change(node)
    if isinstance(node, list):
        node[:] = [map_texts(item, change) for item in node]
    if isinstance(node, dict):
        node.update({key: map_texts(value, change) for key, value in node.items()})
    return node


def credentials_in_use(credentials_file: str) -> dict[str, str]:
    """
    Return the AWS secrets that the notebooks of this run use, by kind.
    """
    session = botocore.session.Session()
    if credentials_file:
        session.set_config_variable("credentials_file", str(Path(credentials_file).expanduser()))
    try:
        found = session.get_credentials()
        frozen = found.get_frozen_credentials() if found else None
    except BotoCoreError:  # also a single sign-on that has expired
        frozen = None
    if frozen is None:
        return {}  # 00_start_here reports the problem
    named = {"secret access key": frozen.secret_key, "session token": frozen.token}
    return {f"the AWS {kind}": secret for kind, secret in named.items() if secret}
