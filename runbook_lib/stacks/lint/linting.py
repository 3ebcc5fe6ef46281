"""
All problems of a stack file in a cluster, found at once.
"""

import os
from collections.abc import Collection, Iterable
from pathlib import Path

import docker

from runbook_lib.core.project import PROJECT
from runbook_lib.hosts.clusters import Cluster
from runbook_lib.stacks.building.pulled import Unavailable, find_unavailable
from runbook_lib.stacks.compose.stack_file import StackFile
from runbook_lib.stacks.deployment.secrets import variable
from runbook_lib.stacks.lint.declared import find_declared, find_deployed
from runbook_lib.stacks.lint.facts import ClusterFacts, find_facts
from runbook_lib.stacks.lint.ports import check_firewall, check_ports
from runbook_lib.stacks.lint.problems import Problems, Report
from runbook_lib.stacks.lint.room import check_placement, check_sizes
from runbook_lib.stacks.lint.settings import check_ignored, check_monitor, check_refused
from runbook_lib.stacks.lint.surroundings import check_existing, check_volumes

_FOR_NOW = ("takes no more requests", "did not answer")


def lint_stack(
    stack: StackFile,
    name: str,
    facts: ClusterFacts,
    *,
    made: Collection[str] = (),
    unavailable: Iterable[Unavailable] = (),
) -> Problems:
    """
    Find what will fail, or may surprise, if a stack file is deployed under a name.

    Parameters
    ----------
    made
        The external secrets that the deployment will create.
    unavailable
        The images that nobody has, from `find_unavailable`.
    """
    report = Report(stack, [])
    services, others = find_declared(stack, name, facts), find_deployed(name, facts)
    for service in services:
        spec = stack.services[service.name]
        check_placement(report, service, facts)
        check_volumes(report, service, facts)
        check_ignored(report, service.name, spec)
        check_monitor(report, service.name, spec)
        check_refused(report, name, service, facts)
    check_sizes(report, services, others, facts)
    check_ports(report, name, services, others, facts)
    check_firewall(report, services, facts)
    check_existing(report, facts, made)
    for image in unavailable:
        step = "correct its name, push it, or set registry_auth_file if it needs a login"
        keys = ("services", image.service, "image")
        may_pass = any(words in image.reason for words in _FOR_NOW)
        tell = report.warn if may_pass else report.error
        tell(keys, f"to get the image {image.image}", image.reason, step)
    return Problems.of(report.found)


def lint_cluster(
    here: Cluster,
    manager: docker.DockerClient,
    stack: StackFile,
    name: str,
    *,
    images: Collection[str],
    values_dir: str = "",
    registry_auth_file: str = "",
) -> Problems:
    """
    Gather the facts about a cluster, and lint a stack file against them; nothing is changed.

    `images` are those that are built here, by name.
    """
    folder = PROJECT / Path(values_dir).expanduser() if values_dir else None
    values = {file.name for file in folder.iterdir()} if folder and folder.is_dir() else set()
    made = [
        secret
        for secret in stack.external_secrets
        if variable(secret) in os.environ or secret in values
    ]
    unavailable = find_unavailable(here.engines, stack, images, registry_auth_file)
    return lint_stack(stack, name, find_facts(here, manager), made=made, unavailable=unavailable)
