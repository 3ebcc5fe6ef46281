"""
Names of nodes and services from names of files and containers.
"""

import re

import polars as pl

_ROLE = re.compile(r"([A-Za-z]+(?:-[A-Za-z]+)*)[ _-]?0*(\d+)")
_SWARM = r"^/*(?:[^._]*_)?(.*?)(?:\.(?:\d+|[a-z0-9]{25})(?:\.[a-z0-9]*)?)?$"
"""A task's name: its service, its number (the node's id, of a global service), and its own id."""
_COMPOSE = r"^(?<base>[^._]+-[^._]+)-\d+$"


def node_name(file_name: str) -> str:
    """
    Return the role in a file's name: worker-1 for worker01.csv; a host's own name stays as it is.
    """
    name = file_name.partition(".")[0].strip()
    match = _ROLE.fullmatch(name)
    return f"{match[1].lower()}-{match[2]}" if match else name


def missing_roles(names: list[str]) -> list[str]:
    """
    Return the workers whose number lies below one that is there, and the manager if it is absent.

    Only names that are roles are counted: 40 in ip-172-31-5-40 is no number of nodes.
    """
    numbers = {int(m[1]) for name in names if (m := re.fullmatch(r"worker-(\d{1,4})", name))}
    absent = [f"worker-{n}" for n in range(1, max(numbers, default=0)) if n not in numbers]
    return absent + ([] if "manager" in names or not (numbers or not names) else ["manager"])


def service_names(containers: pl.Series) -> pl.Series:
    """
    Return each container's service: of Swarm's `stack_service.1.taskid`, of Compose's
    `project_service_1` and `project-service-1`.

    In the last form both parts may have hyphens: the project is what all such names begin with.
    """
    distinct = containers.unique().drop_nulls()
    short = distinct.str.extract(_SWARM)
    task = distinct.str.contains(".", literal=True)
    numbered = short.str.extract(_COMPOSE).set(task, None)
    old = short.str.extract(r"^([^.]+)_\d+$").set(task, None)
    projects = [name.split("-") for name in numbered.drop_nulls().unique()]
    shared = _shared(projects)
    names = {
        whole: "-".join(base.split("-")[shared:]) if base else first or plain
        for whole, base, first, plain in zip(distinct, numbered, old, short, strict=True)
    }
    return containers.replace_strict(names, default=None, return_dtype=pl.String)


def _shared(names: list[list[str]]) -> int:
    """
    Count the parts with which all names begin, at least one, leaving one of each.
    """
    shared = 0
    for parts in zip(*(name[:-1] for name in names), strict=False):
        if len(set(parts)) > 1:
            break
        shared += 1
    return max(1, shared)
