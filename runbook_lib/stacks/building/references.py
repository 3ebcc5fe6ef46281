"""
Image references, read by the grammar of Docker's registries.

Source: the package `reference` of the project distribution/distribution.
"""

import re
from dataclasses import dataclass

from runbook_lib.core.errors import ParameterError

HUB = "docker.io"
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_PATH = re.compile(r"[a-z0-9]+(?:(?:[_.]|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")


@dataclass(frozen=True)
class Reference:
    """
    An image's reference in its full form: `redis` is `docker.io/library/redis:latest`.
    """

    domain: str
    path: str
    tag: str = "latest"
    digest: str = ""

    @property
    def name(self) -> str:
        """
        The shortest text with the same meaning.
        """
        tag = "" if self.tag == "latest" and not self.digest else self.tag
        return self._with(self.short_path, tag)

    @property
    def short_path(self) -> str:
        """
        The name without tag and digest, and without what Docker adds by itself.
        """
        if self.domain != HUB:
            return f"{self.domain}/{self.path}"
        official = re.fullmatch("library/([^/]+)", self.path)
        return official[1] if official else self.path

    def __str__(self) -> str:
        return self._with(f"{self.domain}/{self.path}", self.tag)

    def _with(self, path: str, tag: str) -> str:
        return path + (f":{tag}" if tag else "") + (f"@{self.digest}" if self.digest else "")


def read_reference(text: str) -> Reference:
    """
    Read a reference as Docker does, with the defaults filled in.

    Raises ParameterError that says which part is wrong.
    """
    rest, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise _wrong(text, f"a digest is sha256: and 64 hexadecimal digits, not {digest!r}")
    head, slash, last = rest.rpartition("/")
    last, colon, tag = last.partition(":")
    if colon and not _TAG.fullmatch(tag):
        raise _wrong(text, f"a tag has at most 128 of A-Z a-z 0-9 _ . and -, not {tag!r}")
    domain, path = _split(head + slash + last)
    if not _DOMAIN.fullmatch(domain):
        raise _wrong(text, f"{domain!r} is not a host of a registry, with or without a port")
    for part in path.split("/"):
        if _PATH.fullmatch(part):
            continue
        if _PATH.fullmatch(part.lower()):
            raise _wrong(text, f"the name of an image is lower case, not {part!r}")
        raise _wrong(
            text, f"{part!r} is not a name: a-z and 0-9, with single . or _, __ or - between"
        )
    if domain == HUB and re.fullmatch(r"library/[0-9a-f]{64}", path):
        raise _wrong(text, "64 hexadecimal digits are an image's id, not a name")
    if len(f"{domain}/{path}") > 255:
        raise _wrong(text, "a name has at most 255 characters")
    return Reference(domain, path, tag or ("" if digest else "latest"), digest)


def _split(name: str) -> tuple[str, str]:
    # the first part is a registry if no path of Docker Hub looks like it
    first, slash, path = name.partition("/")
    if not slash or not (re.search("[.:]", first) or first == "localhost"):
        first, path = HUB, name
    if first in (HUB, "index.docker.io"):
        return HUB, path if "/" in path else f"library/{path}"
    return first, path


def _wrong(text: str, why: str) -> ParameterError:
    return ParameterError(f"expected an image's reference; {text!r} is none: {why}")
