"""
The images of the lab: two Debian bases and what is built on them.

Each carries the digest of what it was made from; it is made again only when that changes.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import tempfile
import urllib.error
import urllib.request
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import APIError, BuildError, DockerException, ImageNotFound

from lab.core.errors import LabError
from lab.core.locks import only_one
from lab.engine import packages
from lab.images import rootfs
from lab.images.debian_mirrors import host_sources
from lab.images.host_access import Passport, read_passport

SOURCES_LABEL = "lab.sources"
HERE = Path(__file__).parent
INSTANCE_RELEASE = "bookworm"
SERVICE_RELEASE = "trixie"
HUB_TIMEOUT_S = 2


@dataclass(frozen=True)
class Workshop:
    """
    What every image is made with: the engine, the folder of kept tars, the host's passport.
    """

    client: docker.DockerClient
    folder: Path
    passport: Passport

    def digest(self, *parts: str) -> str:
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    def alone(self, tag: str) -> AbstractContextManager[None]:
        """
        Other labs may find the same image missing at the same time.
        """
        return only_one(self.folder / f"{tag.replace('/', '-').replace(':', '-')}.lock")

    def is_current(self, tag: str, digest: str) -> bool:
        """
        Whether the engine has this image, made from these sources.
        """
        try:
            return self.client.images.get(tag).labels.get(SOURCES_LABEL) == digest
        except ImageNotFound:
            return False


def open_workshop(client: docker.DockerClient, folder: Path) -> Workshop:
    return Workshop(client, folder, read_passport())


def base_digest(release: str, passport: Passport) -> str:
    """
    What a base is made from: the release, the host's mirrors and its passport.
    """
    lines = [source.line for source in host_sources()]
    text = "\0".join([release, rootfs.TRIM, *lines, passport.digest])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def ensure_base(shop: Workshop, release: str) -> str:
    """
    A minimal Debian that can reach out as its host does; the tag.

    The tar that is kept; else Docker Hub's official image; else a tar from the own mirror.
    """
    tag, digest = f"lab/base:{release}", base_digest(release, shop.passport)
    with shop.alone(tag):
        if not shop.is_current(tag, digest):
            _make_base(shop, release, tag, digest)
    return tag


def _make_base(shop: Workshop, release: str, tag: str, digest: str) -> None:
    bare = _kept(shop, release, digest) or _official(shop, release) or _made(shop, release, digest)
    dockerfile = f'FROM {bare}\nCOPY files/ /\nCMD ["bash"]\n'
    dockerfile += "".join(f"ENV {k}={v}\n" for k, v in shop.passport.environment.items())
    with tempfile.TemporaryDirectory() as context:
        folder = Path(context)
        shop.passport.write(folder / "files")
        (folder / "Dockerfile").write_text(dockerfile, encoding="utf-8")
        build(shop, tag, folder, digest)


def ensure_instance(shop: Workshop, tag: str) -> bool:
    """
    The machine image; whether it had to be made.
    """
    folder = HERE / "instance"
    base = base_digest(INSTANCE_RELEASE, shop.passport)
    digest = shop.digest(base, *folder_texts(folder))
    with shop.alone(tag):
        if shop.is_current(tag, digest):
            return False
        build(shop, tag, folder, digest, base=ensure_base(shop, INSTANCE_RELEASE))
    return True


def build(shop: Workshop, tag: str, folder: Path, digest: str, *, base: str = "") -> None:
    """
    Build a folder with a Dockerfile; the image that had the tag before goes.

    On the host's network: what the host reaches, the build reaches.
    """
    before = _image_id(shop.client, tag)
    try:
        shop.client.images.build(
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
            f"the image {tag} should build, but does not",
            evidence="; ".join("".join(lines).strip().splitlines()[-3:]),
            next_step=f"docker build --network host {folder}",
        ) from exc
    if before and before != _image_id(shop.client, tag):
        remove_image(shop.client, before)


def remove_image(client: docker.DockerClient, name: str) -> None:
    """
    Remove an image or a tag; happy when it is gone, and when a container still uses it.
    """
    try:
        client.images.remove(name)
    except (ImageNotFound, APIError):
        return


def hub_answers(client: docker.DockerClient) -> bool:
    """
    Whether Docker Hub, at the address that the engine itself names, answers at once.
    """
    address = str(client.info().get("IndexServerAddress", ""))
    try:
        with urllib.request.urlopen(address, timeout=HUB_TIMEOUT_S):
            return True
    except urllib.error.HTTPError:
        return True  # an answer, if not a friendly one
    except (OSError, ValueError):
        return False


def _official(shop: Workshop, release: str) -> str:
    name = f"debian:{release}-slim"
    if not hub_answers(shop.client):
        return ""
    try:
        shop.client.images.pull("debian", tag=f"{release}-slim")
    except DockerException:  # rate limits, a registry that is cut off: the mirror does as well
        return ""
    return name


def _kept(shop: Workshop, release: str, digest: str) -> str:
    tar = rootfs.find_rootfs(shop.folder, release, digest)
    return _imported(shop, release, tar) if tar else ""


def _made(shop: Workshop, release: str, digest: str) -> str:
    packages.ensure_programs(["mmdebstrap"])
    return _imported(shop, release, rootfs.ensure_rootfs(shop.folder, release, digest))


def _imported(shop: Workshop, release: str, tar: Path) -> str:
    shop.client.api.import_image_from_file(str(tar), repository="lab/bare", tag=release)
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
