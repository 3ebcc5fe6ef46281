"""
A stack file rendered for one deployment.

Its conventions: a service with `build` gets the image built from its sources, and a service with
the label `runbook.replicas: live` keeps its number of replicas from the autoscaler. With overlays,
every service has their names in the label `runbook.overlays`, a record of the deployment in the
Swarm.
"""

from collections.abc import Mapping
from typing import Any

from runbook_lib.stacks.compose.merging import as_mapping
from runbook_lib.stacks.compose.stack_file import StackFile, image_name
from runbook_lib.stacks.compose.writing import written

LIVE_REPLICAS = {"runbook.replicas": "live"}
OVERLAYS = "runbook.overlays"


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


def _labels(spec: Mapping[str, Any]) -> dict[str, Any]:
    return as_mapping((spec.get("deploy") or {}).get("labels"), "")
