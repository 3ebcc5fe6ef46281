"""
How this host reaches the outside, for the images: certificates, proxies, apt and pip settings.

Behind a proxy that re-signs TLS, a build in a container fails without them. Everything is read
from the host; no address stands in the code.
"""

from __future__ import annotations

import configparser
import hashlib
import json
import os
import re
import shutil
import ssl
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CA_BUNDLE = Path("etc/ssl/certs/ca-certificates.crt")
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
PIP_FILES = (Path("/etc/pip.conf"), Path("~/.pip/pip.conf"), Path("~/.config/pip/pip.conf"))
PIP_OPTIONS = ("index-url", "extra-index-url", "trusted-host", "timeout", "proxy")
APT_OPTIONS = re.compile(r'Acquire::(https?|ftp|Retries|Check-\w|Max-ValidTime)[^ ]* "[^"]+";')
LOCAL_ONLY = re.compile(r"file:|/|\w+://([^/@]*@)?(localhost|127\.|\[::1\])")

# update-ca-certificates rebuilds the bundle from Debian's certificates alone
KEEP_BUNDLE = f"#!/bin/sh\ncp /usr/local/share/host-ca-bundle.crt /{CA_BUNDLE}\n"
DPKG = """\
# no fsync for a file system that is thrown away; nobody reads manuals here
force-unsafe-io
path-exclude=/usr/share/man/*
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
path-exclude=/usr/share/locale/*
"""


@dataclass(frozen=True)
class HostAccess:
    """
    The files (path to text) and environment variables that an image gets.
    """

    files: Mapping[str, str]
    environment: Mapping[str, str]

    @property
    def digest(self) -> str:
        text = json.dumps([dict(self.files), dict(self.environment)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def write(self, folder: Path) -> None:
        """
        Write the files below a folder that stands for `/`.
        """
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            path.chmod(0o755 if text.startswith("#!") else 0o644)


def read_host_access(environ: Mapping[str, str] = os.environ) -> HostAccess:
    """
    Collect the settings of this host.
    """
    files = {
        "etc/apt/apt.conf.d/95host": "\n".join(apt_options()) + "\n",
        "etc/dpkg/dpkg.cfg.d/95lab": DPKG,
    }
    pip = pip_options(environ)
    if bundle := ca_bundle(environ):
        files[str(CA_BUNDLE)] = bundle
        files["usr/local/share/host-ca-bundle.crt"] = bundle
        files["etc/ca-certificates/update.d/95host"] = KEEP_BUNDLE
        pip["cert"] = f"/{CA_BUNDLE}"
    lines = [f"{option} = {value}" for option, value in pip.items()]
    files["etc/pip.conf"] = "\n".join(["[global]", *lines, ""])
    proxies = {name: environ[name] for name in PROXIES if environ.get(name)}
    proxies = {name: value for name, value in proxies.items() if not LOCAL_ONLY.match(value)}
    files["etc/environment"] = "".join(f"{name}={value}\n" for name, value in proxies.items())
    return HostAccess(files, proxies)


def ca_bundle(environ: Mapping[str, str]) -> str:
    """
    The certificates that this host trusts, as one PEM text; empty where it has none.
    """
    paths = [environ.get("SSL_CERT_FILE"), f"/{CA_BUNDLE}", ssl.get_default_verify_paths().cafile]
    for path in paths:
        if path and Path(path).is_file():
            return Path(path).read_text(encoding="utf-8", errors="replace")
    return ""


def apt_options() -> list[str]:
    """
    The proxies and time checks of the host's apt, without proxies on the host's loopback.
    """
    if not shutil.which("apt-config"):
        return []
    dump = subprocess.run(
        ["apt-config", "dump", "Acquire"], check=False, capture_output=True, text=True
    )
    lines = [line for line in dump.stdout.splitlines() if APT_OPTIONS.fullmatch(line)]
    return [line for line in lines if not LOCAL_ONLY.match(line.split('"')[1])]


def pip_options(environ: Mapping[str, str]) -> dict[str, str]:
    """
    The index settings of the host's pip, without those that only work on the host.
    """
    options: dict[str, str] = {}
    own_file = environ.get("PIP_CONFIG_FILE")
    for path in [*PIP_FILES, *([Path(own_file)] if own_file else [])]:
        parser = configparser.ConfigParser(interpolation=None)
        parser.read(path.expanduser(), encoding="utf-8")
        for section in ("global", "install"):
            if parser.has_section(section):
                options |= dict(parser[section])
    for option in PIP_OPTIONS:
        if value := environ.get("PIP_" + option.upper().replace("-", "_")):
            options[option] = value
    kept = {}
    for option in PIP_OPTIONS:
        words = [word for word in options.get(option, "").split() if not LOCAL_ONLY.match(word)]
        if words:
            kept[option] = " ".join(words)
    return kept
