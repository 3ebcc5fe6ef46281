"""
A Compose v3 stack file with its values: its requirements, and the place of what it says.

Any stack file deploys, as with the guide's `set_up_stack.sh <file> <name>`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runbook_lib.stacks.compose.documents import Document, place_of, shown
from runbook_lib.stacks.compose.variables import Variable, without_values


@dataclass(frozen=True)
class StackFile:
    """
    A stack file and those merged into it, with all variables replaced.

    `documents` is what Docker gets, one for each file, the overlays applied to the first;
    `content` is the same merged. Relative paths in any file are relative to the folder of `path`.
    """

    path: Path
    content: dict[str, Any] = field(repr=False)  # with values that are not shown
    documents: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    overlays: tuple[str, ...] = ()
    variables: tuple[Variable, ...] = ()
    extension: dict[str, Any] = field(default_factory=dict)
    sources: tuple[Document, ...] = field(default=(), repr=False)

    @property
    def services(self) -> dict[str, dict[str, Any]]:
        return self._section("services")

    @property
    def networks(self) -> dict[str, dict[str, Any]]:
        return self._section("networks")

    def _section(self, name: str) -> dict[str, dict[str, Any]]:
        return {key: dict(spec or {}) for key, spec in (self.content.get(name) or {}).items()}

    def external(self, section: str) -> dict[str, str]:
        """
        The items of a section that must exist before the stack is deployed: their keys in the file,
        and their names in the Swarm.
        """
        names = {}
        for key, spec in self._section(section).items():
            if its := spec.get("external"):
                named = its.get("name") if isinstance(its, Mapping) else None
                names[key] = str(spec.get("name") or named or key)
        return names

    @property
    def external_secrets(self) -> list[str]:
        """
        The names in the Swarm of the secrets that must exist before the stack is deployed.
        """
        return list(self.external("secrets").values())

    @property
    def generated_secrets(self) -> list[str]:
        """
        The external secrets that may be made as random tokens.
        """
        return [str(name) for name in self.extension.get("generated_secrets") or []]

    @property
    def hidden(self) -> list[str]:
        """
        The values that are not shown.
        """
        return [variable.value for variable in self.variables if not variable.shown]

    def hide(self, text: str) -> str:
        """
        Return a text without the values that are not shown.
        """
        return without_values(text, self.hidden)

    def where(self, *keys: str | int) -> str:
        """
        Return the file and line of the nearest of the nested keys; of the last file that has it.
        """
        return place_of(self.sources, keys) if self.sources else shown(self.path)

    def explain(self, error: str) -> str:
        """
        Return an error text of Docker with the line of the file that it is about, if it names keys.
        """
        sections = "services|networks|volumes|secrets|configs"
        match = re.search(rf"\b(?:{sections})\.[\w.\[\]<-]*\w", error)
        if match:
            keys = [k for k in re.split(r"[.\[\]]+", match[0]) if k]
            return f"{self.where(*_joined(self.content, keys))}: {error}"
        for section in sections.split("|"):
            for name in self._section(section):
                if re.search(rf"\b{section[:-1]}\W{{1,3}}{re.escape(name)}(?![\w-])", error):
                    return f"{self.where(section, name)}: {error}"
        return error


def _joined(value: Any, keys: Sequence[str]) -> list[str | int]:  # noqa: ANN401 - any YAML value
    # a key may have dots itself; in Docker's texts keys are joined by dots
    for count in range(len(keys), 0, -1):
        key = ".".join(keys[:count])
        if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            return [int(key), *_joined(value[int(key)], keys[count:])]
        if isinstance(value, Mapping) and key in value:
            return [key, *_joined(value[key], keys[count:])]
    return list(keys[:1])


def image_name(service: str, spec: Mapping[str, Any]) -> str:
    """
    Return the text that names a service's image; an image without a name is built under that of
    its service, in lower case as with Compose.
    """
    return str(spec.get("image") or service.lower())
