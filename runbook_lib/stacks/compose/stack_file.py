"""
A Compose v3 stack file: parsed, its requirements, and rendered for one deployment.

Any stack file deploys, as with the guide's `set_up_stack.sh <file> <name>`. Two conventions: a
service with `build` gets the image built from its sources, and a service with the label
`runbook.replicas: live` keeps its number of replicas from the autoscaler.

Overlay files change parts of it. Every service then has their names in the label
`runbook.overlays`, a record of the deployment in the Swarm.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from runbook_lib.core.errors import NotFoundError, ParameterError
from runbook_lib.core.project import PROJECT

LIVE_REPLICAS = {"runbook.replicas": "live"}
OVERLAYS = "runbook.overlays"
_VARIABLE = re.compile(r"\$\{([A-Z_][A-Z0-9_]*)(?::?[-?][^}]*)?\}")


@dataclass(frozen=True)
class StackFile:
    """
    A parsed stack file; `content` is the YAML with the overlays applied.
    """

    path: Path
    content: dict[str, Any]
    overlays: tuple[str, ...] = ()

    @property
    def services(self) -> dict[str, Any]:
        return dict(self.content.get("services") or {})

    @property
    def variables(self) -> set[str]:
        """
        The names of the variables that the file interpolates.
        """
        return set(_VARIABLE.findall(self.path.read_text()))

    def where(self, *keys: str) -> str:
        """
        Return the place of a key, for messages.
        """
        return f"{self.path.name}: {'.'.join(keys)}"

    @property
    def external_secrets(self) -> list[str]:
        """
        The Docker secrets that must exist before the stack is deployed.
        """
        secrets = {n: spec or {} for n, spec in (self.content.get("secrets") or {}).items()}
        return [str(s.get("name", name)) for name, s in secrets.items() if s.get("external")]


def read(path: str | Path, overlays: Sequence[str] = ()) -> StackFile:
    """
    Read a stack file, and apply its overlays in order (see `merged`).

    File names are relative to the project; paths in an overlay are relative to the folder of the
    stack file, as with Compose.

    Raises NotFoundError if there is no such file; ParameterError if it has no services.
    """
    file = PROJECT / path
    content = _load(file)
    for overlay in overlays:
        content = merged(content, _load(PROJECT / overlay))
    return StackFile(file, content, tuple(overlays))


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


def _load(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise NotFoundError(
            f"expected a stack file at {file}; there is none",
            next_step="set stack_file to a Compose v3 file, relative to the project",
        )
    try:
        content = yaml.safe_load(file.read_text())
    except yaml.YAMLError as error:
        raise ParameterError(f"expected YAML in {file}", evidence=str(error)) from error
    if not isinstance(content, dict) or not content.get("services"):
        raise ParameterError(
            f"expected a Compose v3 file with services in {file}",
            next_step="see stacks/geo-diff/work.yml",
        )
    return content


def declared_services(stack: StackFile) -> pd.DataFrame:
    """
    Return one row per service of the file; columns: service, image, built, replicas, placement.
    """
    rows = []
    for name, spec in stack.services.items():
        deploy = spec.get("deploy", {})
        built = "here" if spec.get("build") else "pulled"
        replicas = deploy.get("mode", deploy.get("replicas", 1))
        placement = ", ".join(deploy.get("placement", {}).get("constraints", []))
        rows.append((name, spec.get("image", name), built, replicas, placement))
    return pd.DataFrame(rows, columns=["service", "image", "built", "replicas", "placement"])


def render(stack: StackFile, images: Mapping[str, str], replicas: Mapping[str, int]) -> str:
    """
    Return the YAML to deploy.

    Parameters
    ----------
    images
        The reference to run for each name of a built image, also in services that only use it:
        `{"geo-diff": "172.31.0.4:5001/geo-diff:0a1b2c3d4e5f"}`.
    replicas
        The running replicas of services with the label `runbook.replicas: live`.
    """
    services = {}
    for name, spec in stack.services.items():
        rendered = {key: value for key, value in spec.items() if key != "build"}
        if (image := image_name(name, spec)) in images and (spec.get("build") or "image" in spec):
            rendered["image"] = images[image]
        deploy = dict(spec.get("deploy", {}))
        if name in replicas:
            deploy["replicas"] = replicas[name]
        if stack.overlays:
            deploy["labels"] = {**_labels(spec), OVERLAYS: ",".join(stack.overlays)}
        services[name] = {**rendered, "deploy": deploy} if deploy else rendered
    return yaml.safe_dump({**stack.content, "services": services}, sort_keys=False)


def keeps_replicas(spec: Mapping[str, Any]) -> bool:
    """
    Check whether an autoscaler sets a service's replicas, so that a deployment keeps them.
    """
    return LIVE_REPLICAS.items() <= {k: str(v) for k, v in _labels(spec).items()}.items()


def image_name(service: str, spec: Mapping[str, Any]) -> str:
    """
    Return the text that names a service's image; an image without a name is built under that of
    its service, in lower case as with Compose.
    """
    return str(spec.get("image") or service.lower())


def _labels(spec: Mapping[str, Any]) -> dict[str, Any]:
    labels = spec.get("deploy", {}).get("labels") or {}
    if isinstance(labels, list):
        return dict(label.split("=", 1) for label in labels)
    return dict(labels)
