"""
A Compose v3 stack file read: overlays applied, variables replaced, checked, several files merged.

The block `x-runbook` names the notebook's parameters that set variables, and the secrets that may
be generated. It never reaches Docker.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from runbook_lib.core.errors import ParameterError
from runbook_lib.core.project import PROJECT
from runbook_lib.stacks.compose.documents import Document, load_document, place_of, refuse_all
from runbook_lib.stacks.compose.merging import merge_files
from runbook_lib.stacks.compose.overlays import merged
from runbook_lib.stacks.compose.shapes import shape_problems
from runbook_lib.stacks.compose.stack_file import StackFile
from runbook_lib.stacks.compose.variables import Substitution, given

EXTENSION = "x-runbook"


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
        replaced = substitution.replaced(asked, partial(place_of, its))
        problems += [f"{place_of(its, keys)}: {text}" for keys, text in shape_problems(replaced)]
        documents.append(replaced)
    used = substitution.finish(problems)
    _normalise(documents)
    whole = documents[0] if len(documents) == 1 else merge_files(documents)
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


def _extension(blocks: Sequence[Any], sources: Sequence[Sequence[Document]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    problems = []
    for block, its in zip(blocks, sources, strict=True):
        if block is None:
            continue
        shape = {"variables": Mapping, "generated_secrets": list}
        where = place_of(its, (EXTENSION,))
        if not isinstance(block, Mapping) or not block.keys() <= shape.keys():
            problems.append(f"{where}: expected {EXTENSION} to have {' and '.join(shape)} only")
        elif not all(isinstance(block[k] or shape[k](), shape[k]) for k in block):
            problems.append(f"{where}: expected variables to be a mapping, and secrets a list")
        else:
            result = merged(result, block)
    refuse_all(problems, f"a block {EXTENSION} that can be read")
    return result


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
