"""
A Compose v3 stack file with its values: checked, its requirements, and rendered for Docker.

Any stack file deploys, as with the guide's `set_up_stack.sh <file> <name>`. Its conventions: a
service with `build` gets the image built from its sources, a service with the label
`runbook.replicas: live` keeps its number of replicas from the autoscaler, and the block `x-runbook`
names the notebook's parameters that set variables, and the secrets that may be generated.

Overlay files change parts of it. Every service then has their names in the label
`runbook.overlays`, a record of the deployment in the Swarm.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from runbook_lib.core.errors import ParameterError
from runbook_lib.core.project import PROJECT
from runbook_lib.stacks.compose import merging
from runbook_lib.stacks.compose.documents import Document, load_document, refuse_all, shown, written
from runbook_lib.stacks.compose.shapes import shape_problems
from runbook_lib.stacks.compose.variables import (
    NOT_SHOWN,
    Substitution,
    Variable,
    given,
    without_values,
)

LIVE_REPLICAS = {"runbook.replicas": "live"}
OVERLAYS = "runbook.overlays"
EXTENSION = "x-runbook"


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
        return _where(self.sources, keys) if self.sources else shown(self.path)

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


def read(
    path: str | Path,
    overlays: Sequence[str] = (),
    *,
    more: Sequence[str] = (),
    variables: Sequence[str] = (),
    env_file: str = "",
    parameters: Mapping[str, object] | None = None,
    complete: bool = True,
) -> StackFile:
    """
    Read a stack file, apply its overlays in order (see `merged`), and replace its variables.

    File names are relative to the project; paths in an overlay are relative to the folder of the
    stack file, as with Compose.

    Parameters
    ----------
    more
        Files that Docker merges into the first, in order, as with several `-c`.
    variables
        Values as NAME=value; they win over the lines NAME=value of `env_file`, those over the
        `parameters` that the block `x-runbook` names, and those over defaults in the file.
    complete
        False leaves variables without a value empty, to read what a stack has.

    Raises NotFoundError if there is no such file; ParameterError with all errors of the files and
    all variables without a value, each with its line.
    """
    first, *others = [load_document(PROJECT / each) for each in (path, *more)]
    laid_over = [load_document(PROJECT / overlay) for overlay in overlays]
    content: dict[str, Any] = first.content
    for overlay in laid_over:
        content = merged(content, overlay.content)
    sources = ((first, *laid_over), *((other,) for other in others))
    raw = [content, *(other.content for other in others)]
    extension = _extension([each.get(EXTENSION) for each in raw], sources)
    values = given(variables, env_file, parameters or {}, extension.get("variables") or {})
    substitution = Substitution(values, complete=complete)
    documents, problems = [], []
    for document, its in zip(raw, sources, strict=True):
        # other extensions reach services through anchors, which are followed already
        asked = {k: v for k, v in document.items() if not k.startswith("x-")}
        replaced = substitution.replaced(asked, partial(_where, its))
        problems += [f"{_where(its, keys)}: {text}" for keys, text in shape_problems(replaced)]
        documents.append(replaced)
    used = substitution.finish(problems)
    _normalise(documents)
    whole = documents[0] if len(documents) == 1 else merging.merge_files(documents)
    if not whole.get("services"):
        raise ParameterError(
            f"expected a Compose v3 file with services in {first.name}",
            next_step="see stacks/geo-diff/work.yml",
        )
    return StackFile(
        path=first.path,
        content=whole,
        documents=tuple(documents),
        overlays=tuple(overlays),
        variables=used,
        extension=extension,
        sources=(first, *laid_over, *others),
    )


def merged(under: Any, over: Any) -> Any:  # noqa: ANN401 - any YAML value
    """
    Apply an overlay to a document as JSON Merge Patch (RFC 7386); both stay unchanged.

    Mappings are merged, everything else is replaced, and null removes. Compose's own merge appends
    lists, so no file could remove a port.
    """
    if not isinstance(over, Mapping):
        return over
    result = dict(under) if isinstance(under, Mapping) else {}
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def _extension(blocks: Sequence[Any], sources: Sequence[Sequence[Document]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    problems = []
    for block, its in zip(blocks, sources, strict=True):
        if block is None:
            continue
        shape = {"variables": Mapping, "generated_secrets": list}
        where = _where(its, (EXTENSION,))
        if not isinstance(block, Mapping) or not block.keys() <= shape.keys():
            problems.append(f"{where}: expected {EXTENSION} to have {' and '.join(shape)} only")
        elif not all(isinstance(block[k] or shape[k](), shape[k]) for k in block):
            problems.append(f"{where}: expected variables to be a mapping, and secrets a list")
        else:
            result = merged(result, block)
    refuse_all(problems, f"a block {EXTENSION} that can be read")
    return result


def _where(sources: Sequence[Document], keys: Sequence[str | int]) -> str:
    found = [(*document.find(tuple(keys)), document.name) for document in sources]
    depth = max(depth for depth, _, _ in found)
    return next(f"{name}:{line}" for its, line, name in reversed(found) if its == depth)


def _joined(value: Any, keys: Sequence[str]) -> list[str | int]:  # noqa: ANN401 - any YAML value
    # a key may have dots itself; in Docker's texts keys are joined by dots
    for count in range(len(keys), 0, -1):
        key = ".".join(keys[:count])
        if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            return [int(key), *_joined(value[int(key)], keys[count:])]
        if isinstance(value, Mapping) and key in value:
            return [key, *_joined(value[key], keys[count:])]
    return list(keys[:1])


def _normalise(documents: Sequence[dict[str, Any]]) -> None:
    needed = [9]
    for document in documents:
        if document.get("version") == "3.13":
            needed.append(13)
        for spec in (document.get("services") or {}).values():
            if spec.get("deploy", {}) is None:
                del spec["deploy"]
            networks = spec.get("networks")
            attached = networks.values() if isinstance(networks, Mapping) else ()
            if "oom_score_adj" in spec or any("driver_opts" in (its or {}) for its in attached):
                needed.append(13)
            elif "start_interval" in spec.get("healthcheck", {}):
                needed.append(12)
    # newer versions of Docker take none and "3" for their newest, 20.10 for 1.0 and 3.0; the files
    # of a stack must agree
    for document in documents:
        if document.get("version", "3") in ("", "3"):
            document["version"] = f"3.{max(needed)}"


def declared_services(stack: StackFile) -> pd.DataFrame:
    """
    Return one row per service of the file; columns: service, image, built, replicas, placement.
    """
    rows = []
    for name, spec in stack.services.items():
        deploy = spec.get("deploy", {})
        built = "here" if spec.get("build") else "pulled"
        placement = ", ".join((deploy.get("placement") or {}).get("constraints", []))
        texts = (image_name(name, spec), built, _replicas(deploy), placement)
        rows.append((name, *map(stack.hide, texts)))
    return pd.DataFrame(rows, columns=["service", "image", "built", "replicas", "placement"])


def _replicas(deploy: Mapping[str, Any]) -> str:
    mode, replicas = deploy.get("mode") or "replicated", deploy.get("replicas", 1)
    if mode == "replicated-job":
        return f"one run on {replicas}"
    return {"replicated": str(replicas), "global-job": "one run on every node"}.get(mode, mode)


def declared_variables(stack: StackFile) -> pd.DataFrame:
    """
    Return one row per variable of the files; columns: variable, value, source, where.

    Values from the file of `env_file` are not shown.
    """
    rows = [(v.name, v.value if v.shown else NOT_SHOWN, v.source, v.where) for v in stack.variables]
    return pd.DataFrame(rows, columns=["variable", "value", "source", "where"])


def render(stack: StackFile, images: Mapping[str, str], replicas: Mapping[str, int]) -> list[str]:
    """
    Return the YAML to deploy, one text for each document.

    Parameters
    ----------
    images
        The reference to run for each name of a built image, also in services that only use it:
        `{"geo-diff": "172.31.0.4:5001/geo-diff:0a1b2c3d4e5f"}`.
    replicas
        The running replicas of services with the label `runbook.replicas: live`.
    """
    texts = []
    whole = stack.services
    for document in stack.documents:
        services = {}
        for name, spec in (document.get("services") or {}).items():
            rendered = {key: value for key, value in spec.items() if key != "build"}
            image = image_name(name, whole[name])
            if image in images and (whole[name].get("build") or "image" in whole[name]):
                rendered["image"] = images[image]
            deploy = dict(spec.get("deploy", {}))
            if name in replicas:
                deploy["replicas"] = replicas[name]
            if stack.overlays:
                deploy["labels"] = {**_labels(spec), OVERLAYS: ",".join(stack.overlays)}
            services[name] = {**rendered, "deploy": deploy} if deploy else rendered
        texts.append(written({**document, "services": services}))
    return texts


def keeps_replicas(spec: Mapping[str, Any]) -> bool:
    """
    Check whether an autoscaler sets a service's replicas, so that a deployment keeps them.
    """
    if (spec.get("deploy") or {}).get("mode", "replicated") != "replicated":
        return False
    return LIVE_REPLICAS.items() <= {k: str(v) for k, v in _labels(spec).items()}.items()


def image_name(service: str, spec: Mapping[str, Any]) -> str:
    """
    Return the text that names a service's image; an image without a name is built under that of
    its service, in lower case as with Compose.
    """
    return str(spec.get("image") or service.lower())


def _labels(spec: Mapping[str, Any]) -> dict[str, Any]:
    return merging.as_mapping((spec.get("deploy") or {}).get("labels"), "")
