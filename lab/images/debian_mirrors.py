"""
Debian mirrors, read from this machine's own apt sources: no host name stands in the code.
"""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

APT = Path("/etc/apt")
SUITE = re.compile(r"(?P<release>[a-z]+)(?P<pocket>-updates|-security|)/?")
PROBE_TIMEOUT_S = 6


@dataclass(frozen=True)
class Source:
    """
    One repository of one suite, as apt knows it.
    """

    uri: str
    suite: str

    @property
    def line(self) -> str:
        return f"deb {self.uri} {self.suite} main"


def host_sources(apt: Path = APT) -> list[Source]:
    """
    Every binary repository with a `main` component in the host's apt sources, each once.
    """
    folder = apt / "sources.list.d"
    found: list[Source] = []
    for path in [apt / "sources.list", *sorted(folder.glob("*.list"))]:
        if path.is_file():
            found += one_line_sources(path.read_text(encoding="utf-8"))
    for path in sorted(folder.glob("*.sources")):
        found += deb822_sources(path.read_text(encoding="utf-8"))
    return list(dict.fromkeys(_without_mirror_lists(found)))


def one_line_sources(text: str) -> list[Source]:
    """
    Parse the old format: `deb [option=value ...] uri suite component ...`, `#` to the line's end.
    """
    sources = []
    for line in text.splitlines():
        bare = re.sub(r"\[[^]]*\]", "", line.partition("#")[0], count=1)
        kind, *words = bare.split() or [""]
        if kind == "deb" and "main" in words[2:]:
            sources.append(Source(words[0].rstrip("/"), words[1]))
    return sources


def deb822_sources(text: str) -> list[Source]:
    """
    Parse the new format: paragraphs of fields; comment lines may stand anywhere.
    """
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    sources = []
    for paragraph in re.split(r"\n\s*\n", "\n".join(lines)):
        fields = _fields(paragraph)
        if fields.get("enabled", "yes").lower() in {"no", "false", "0"}:
            continue
        if "deb" in fields.get("types", "").split() and "main" in fields.get("components", ""):
            uris, suites = fields.get("uris", "").split(), fields.get("suites", "").split()
            sources += [Source(uri.rstrip("/"), suite) for uri in uris for suite in suites]
    return sources


def sources_for(release: str, sources: Iterable[Source]) -> list[Source]:
    """
    The same repositories for another release; `-updates` and `-security` keep their suffix.
    """
    wanted = []
    for source in sources:
        if match := SUITE.fullmatch(source.suite):
            wanted.append(Source(source.uri, release + match["pocket"]))
    return list(dict.fromkeys(wanted))


def answering(sources: Iterable[Source]) -> list[Source]:
    """
    The first source of each suite that answers now and is Debian's, in the given order.
    """
    candidates = list(sources)
    with ThreadPoolExecutor(8) as pool:
        good = list(pool.map(_is_debian, candidates))
    kept = [source for source, is_good in zip(candidates, good, strict=True) if is_good]
    return list({source.suite: source for source in reversed(kept)}.values())[::-1]


def _is_debian(source: Source) -> bool:
    url = f"{source.uri}/dists/{source.suite}/InRelease"
    if not url.startswith(("http://", "https://")):
        return False
    try:
        with urllib.request.urlopen(url, timeout=PROBE_TIMEOUT_S) as response:
            head = response.read(4096).decode(errors="replace")
    except (OSError, ValueError, urllib.error.URLError):
        return False
    return bool(re.search(r"^Origin: Debian$", head, re.MULTILINE))


def _fields(paragraph: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in paragraph.splitlines():
        if line[:1].isspace() and name:
            fields[name] += f" {line.strip()}"
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()
    return fields


def _without_mirror_lists(sources: list[Source]) -> list[Source]:
    """
    Replace a file of mirrors (`mirror+file:`, usual in cloud images) by the mirrors in it.
    """
    plain = []
    for source in sources:
        scheme, _, path = source.uri.partition(":")
        if scheme != "mirror+file":
            plain.append(source)
        elif Path(path).is_file():
            lines = [line.split("#")[0].split() for line in Path(path).read_text().splitlines()]
            plain += [Source(words[0].rstrip("/"), source.suite) for words in lines if words]
    return plain
