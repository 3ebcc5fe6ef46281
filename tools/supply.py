"""
What the project is made of, and what is known against it: `make sbom` and `make audit`.

The bills are in CycloneDX, one for each place that something comes from: the environment of the
notebooks, the locks of the images, the libraries of the map's page, and the Debian packages of the
images that run on a cluster.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import docker
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from docker.errors import DockerException
from packageurl import PackageURL

from runbook_lib.cloud import aws
from runbook_lib.core.errors import CommandError, ConflictError, NotFoundError, RunbookError
from runbook_lib.core.project import PROJECT
from runbook_lib.core.words import count_of, printable
from runbook_lib.hosts import clusters
from runbook_lib.stacks.building.digests import push_name
from runbook_lib.stacks.commands import read_values

BILLS = PROJECT / "sbom"
LOCKS = sorted(PROJECT.glob("stacks/*/images/*/requirements.lock"))
PAGES = sorted(PROJECT.glob("stacks/*/images/*/package-lock.json"))
_DPKG = ["-W", "-f", r"${Package}\t${Version}\t${Architecture}\n"]


def write_bills(parameters_file: Path) -> None:
    """
    Write every bill, and print how long each is; without a cluster, say that its images are not in.
    """
    BILLS.mkdir(exist_ok=True)
    for left in BILLS.glob("*.json"):  # of an earlier cluster, or half written
        left.unlink()
    own = ["environment", "--pyproject", "pyproject.toml"]
    _tool("cyclonedx-py", *own, "-o", BILLS / "notebooks.json")
    for lock in LOCKS:
        _tool("cyclonedx-py", "requirements", lock, "-o", BILLS / f"python-{lock.parent.name}.json")
    for lock in PAGES:
        _write(f"page-{lock.parent.name}", npm_packages(json.loads(lock.read_text())))
    try:
        for image, listed in _images(parameters_file):
            _write(f"image-{image}", debian_packages(listed))
    except (RunbookError, DockerException) as error:
        print(
            f"The Debian packages of the images are not in: {printable(str(error).splitlines()[0])}"
        )
        print(f"  next: make run PARAMS={parameters_file}, then make sbom again")
    for bill in sorted(BILLS.glob("*.json")):
        parts = json.loads(bill.read_text()).get("components", [])
        print(f"{bill.relative_to(PROJECT)}: {count_of(len(parts), 'component')}")


def npm_packages(lock: dict[str, Any]) -> Iterator[PackageURL]:
    """
    Return what a package-lock.json installs.
    """
    for path, entry in lock["packages"].items():
        if path:
            space, _, name = path.rpartition("node_modules/")[2].rpartition("/")
            yield PackageURL("npm", space or None, name, entry["version"])


def debian_packages(listed: str) -> Iterator[PackageURL]:
    """
    Return what dpkg lists: name, version and architecture in each line.
    """
    for line in listed.splitlines():
        name, version, architecture = line.split("\t")
        yield PackageURL("deb", "debian", name, version, {"arch": architecture})


def audit() -> str:
    """
    Ask PyPI for advisories against every locked version; return the verdict.

    Raises what `verdict` raises; CommandError if pip-audit does not answer.
    """
    entries = []
    for lock in [PROJECT / "requirements.lock", *LOCKS]:
        options = ["--require-hashes", "--disable-pip", "--progress-spinner", "off", "-f", "json"]
        said = _run("pip-audit", *options, "-r", lock)
        try:  # it ends with 1 for an advisory as for a crash, but a crash prints no JSON
            entries += json.loads(said.stdout)["dependencies"]
        except ValueError:
            raise _failed("pip-audit", said) from None
    return verdict(entries)


def verdict(entries: Iterable[dict[str, Any]]) -> str:
    """
    Return what pip-audit's entries say together.

    Raises ConflictError with every advisory; NotFoundError if some packages could not be asked for:
    pip-audit itself calls that "no known vulnerabilities".
    """
    named = {f"{entry['name']} {entry.get('version', '')}".strip(): entry for entry in entries}
    skipped = [str(entry["skip_reason"]) for entry in named.values() if "skip_reason" in entry]
    known = [
        f"{name}: {bug['id']}, mended in {', '.join(bug['fix_versions']) or 'no version yet'}"
        for name, entry in named.items()
        for bug in entry.get("vulns", [])
    ]
    if known:
        raise ConflictError(
            f"expected no advisory against {len(named)} locked packages; there are {len(known)}",
            evidence="\n".join(map(printable, known)),
            next_step="make lock, then make check; or say in CHANGELOG.md why it does not matter",
        )
    if skipped:
        raise NotFoundError(
            f"expected to learn the advisories against {len(named)} locked packages; for "
            f"{len(skipped)} of them nothing could be asked, so nothing is known",
            evidence=f"pip-audit says, for example: {_line(skipped[0])}",
            next_step="run make audit where the index of Python packages can be reached",
        )
    return f"no advisory against {len(named)} locked packages"


def _images(parameters_file: Path) -> Iterator[tuple[str, str]]:
    # asked of the manager, which has what it built; of a pulled image, only if a task runs there
    values = read_values(parameters_file, [], PROJECT / "notebooks")
    place = aws.Place(values["region"], values["endpoint_url"], values["credentials_file"])
    engine = clusters.get_cluster(values["cluster"], values["key_file"], place).engines["manager"]
    specs = [service.attrs["Spec"]["TaskTemplate"] for service in engine.services.list()]
    for image in sorted({str(spec["ContainerSpec"]["Image"]) for spec in specs}):
        name = image.partition("@")[0].rpartition("/")[2].replace(":", "-")[:80]
        yield name, _dpkg(engine, image)


def _dpkg(engine: docker.DockerClient, image: str) -> str:
    output = engine.containers.run(
        push_name(image), _DPKG, entrypoint="dpkg-query", remove=True, network_mode="none",
        read_only=True, cap_drop=["ALL"], mem_limit="128m",
    )  # fmt: skip
    return bytes(output).decode(errors="replace")


def _write(name: str, packages: Iterable[PackageURL]) -> None:
    kind = ComponentType.LIBRARY
    parts = [
        Component(type=kind, name=url.name, version=url.version, purl=url, bom_ref=str(url))
        for url in packages
    ]
    text = JsonV1Dot6(Bom(components=parts)).output_as_string(indent=1)
    (BILLS / f"{name}.json").write_text(f"{text}\n")


def _tool(program: str, *arguments: object) -> None:
    said = _run(program, *arguments)
    if said.returncode:
        raise _failed(program, said)


def _run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / program), *map(str, arguments)]
    try:
        return subprocess.run(
            command, cwd=PROJECT, capture_output=True, text=True, timeout=900, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))


def _failed(program: str, said: subprocess.CompletedProcess[str]) -> CommandError:
    return CommandError(
        f"expected an answer of {program}; it ended with {said.returncode}",
        evidence=_line(said.stderr) or "it said nothing",
        next_step="make setup; and see that the index of Python packages can be reached",
    )


def _line(text: str) -> str:
    # the last one: of a traceback, that is the reason
    return printable((text.strip().splitlines() or [""])[-1][-500:])


def main(arguments: list[str]) -> int:
    """
    Run `sbom PARAMETERS_FILE` or `audit`; return the exit code.
    """
    try:
        if arguments[0] == "sbom":
            write_bills(Path(arguments[1]))
        else:
            print(audit())
    except RunbookError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
