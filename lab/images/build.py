"""
The images of the lab: two Debian bases, and what is built on them.

Each carries the digest of its sources and is built again only when that changes.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import docker
from docker.errors import APIError, BuildError, DockerException, ImageNotFound
from filelock import FileLock

from lab.core.errors import LabError
from lab.engine import packages
from lab.images import rootfs
from lab.images.debian_mirrors import host_sources
from lab.images.host_access import HostAccess, read_host_access

SOURCES_LABEL = "lab.sources"
HERE = Path(__file__).parent
INSTANCE_RELEASE = "bookworm"
SERVICE_RELEASE = "trixie"
HUB_TIMEOUT_S = 2


@dataclass(frozen=True)
class Builder:
    """
    What every build needs: the engine, the folder of cached tars, the host's access to the outside.
    """

    client: docker.DockerClient
    folder: Path
    host_access: HostAccess = field(default_factory=read_host_access)

    def digest(self, *parts: str) -> str:
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    def lock(self, tag: str) -> FileLock:
        """
        Held while an image is built: another lab may find the same image missing.
        """
        return FileLock(self.folder / f"{tag.replace('/', '-').replace(':', '-')}.lock")

    def is_current(self, tag: str, digest: str) -> bool:
        """
        Whether the engine has this image, built from these sources.
        """
        try:
            return self.client.images.get(tag).labels.get(SOURCES_LABEL) == digest
        except ImageNotFound:
            return False


def base_digest(release: str, host_access: HostAccess) -> str:
    """
    The digest of a base's sources: the release, the host's mirrors and its access.
    """
    lines = [source.line for source in host_sources()]
    text = "\0".join([release, rootfs.TRIM, *lines, host_access.digest])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def ensure_base(builder: Builder, release: str) -> str:
    """
    Build a minimal Debian that reaches the outside as its host does, if it is missing; its tag.

    From the cached tar; else Docker Hub's official image; else a new tar from the host's mirrors.
    """
    tag, digest = f"lab/base:{release}", base_digest(release, builder.host_access)
    with builder.lock(tag):
        if not builder.is_current(tag, digest):
            _build_base(builder, release, tag, digest)
    return tag


def _build_base(builder: Builder, release: str, tag: str, digest: str) -> None:
    bare = (
        _from_cache(builder, release, digest)
        or _from_docker_hub(builder, release)
        or _from_mirror(builder, release, digest)
    )
    dockerfile = f'FROM {bare}\nCOPY files/ /\nCMD ["bash"]\n'
    dockerfile += "".join(f"ENV {k}={v}\n" for k, v in builder.host_access.environment.items())
    with tempfile.TemporaryDirectory() as context:
        folder = Path(context)
        builder.host_access.write(folder / "files")
        (folder / "Dockerfile").write_text(dockerfile, encoding="utf-8")
        build(builder, tag, folder, digest)


def ensure_instance(builder: Builder, tag: str) -> bool:
    """
    Build the machine image if it is missing or outdated; whether it was built.
    """
    folder = HERE / "instance"
    base = base_digest(INSTANCE_RELEASE, builder.host_access)
    digest = builder.digest(base, *folder_texts(folder))
    with builder.lock(tag):
        if builder.is_current(tag, digest):
            return False
        build(builder, tag, folder, digest, base=ensure_base(builder, INSTANCE_RELEASE))
    return True


def build(builder: Builder, tag: str, folder: Path, digest: str, *, base: str = "") -> None:
    """
    Build a folder with a Dockerfile, and remove the image that had the tag before.

    On the host's network, so that the build reaches what the host reaches.
    """
    before = _image_id(builder.client, tag)
    try:
        builder.client.images.build(
            fileobj=_context(folder),
            custom_context=True,
            tag=tag,
            rm=True,
            forcerm=True,
            network_mode="host",
            labels={SOURCES_LABEL: digest},
            buildargs={"BASE": base} if base else {},
        )
    except BuildError as exc:
        lines = [str(line.get("stream") or line.get("error") or "") for line in exc.build_log]
        raise LabError(
            f"expected the image {tag} to build, but it does not",
            evidence="; ".join("".join(lines).strip().splitlines()[-3:]),
            next_step=f"docker build --network host {folder}",
        ) from exc
    if before and before != _image_id(builder.client, tag):
        remove_image(builder.client, before)


def remove_image(client: docker.DockerClient, name: str) -> None:
    """
    Remove an image or a tag; happy if it is gone already, or if a container still uses it.
    """
    try:
        client.images.remove(name)
    except (ImageNotFound, APIError):
        return


def hub_answers(client: docker.DockerClient) -> bool:
    """
    Whether Docker Hub, at the address that the engine names, answers within two seconds.
    """
    address = str(client.info().get("IndexServerAddress", ""))
    try:
        with urllib.request.urlopen(address, timeout=HUB_TIMEOUT_S):
            return True
    except urllib.error.HTTPError:
        return True  # it answers, if only to refuse
    except (OSError, ValueError):
        return False


def _from_docker_hub(builder: Builder, release: str) -> str:
    name = f"debian:{release}-slim"
    if not hub_answers(builder.client):
        return ""
    try:
        builder.client.images.pull("debian", tag=f"{release}-slim")
    except DockerException:  # rate limit, or no route to the registry: use the mirror
        return ""
    return name


def _from_cache(builder: Builder, release: str, digest: str) -> str:
    tar = rootfs.find_rootfs(builder.folder, release, digest)
    return _import(builder, release, tar) if tar else ""


def _from_mirror(builder: Builder, release: str, digest: str) -> str:
    packages.ensure_programs(["mmdebstrap"])
    return _import(builder, release, rootfs.ensure_rootfs(builder.folder, release, digest))


def _import(builder: Builder, release: str, tar: Path) -> str:
    builder.client.api.import_image_from_file(str(tar), repository="lab/bare", tag=release)
    return f"lab/bare:{release}"


def _image_id(client: docker.DockerClient, tag: str) -> str:
    try:
        return str(client.images.get(tag).id)
    except ImageNotFound:
        return ""


def _context(folder: Path) -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(folder, arcname=".")
    buffer.seek(0)
    return buffer


def folder_texts(folder: Path) -> list[str]:
    return [path.name + path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())]
