"""
Images that a stack uses and does not build: whether the nodes can have them.
"""

import base64
import json
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import requests
from docker.auth import INDEX_URL, AuthConfig, load_config
from docker.errors import APIError, DockerException

from runbook_lib.core.errors import NotFoundError, ParameterError
from runbook_lib.core.project import PROJECT
from runbook_lib.core.words import printable
from runbook_lib.stacks.building.references import HUB, Reference, read_reference
from runbook_lib.stacks.compose.stack_file import StackFile, image_name

_LIMIT = 1 << 20
_KEYS = {HUB: INDEX_URL}
_REASONS = {
    ("toomanyrequests", "too many requests"): "the registry {0} takes no more requests for now",
    ("denied", "unauthorized", "authentication", "no basic auth"): (
        "the registry {0} has no such image for everybody: its name is wrong, or it needs a login"
    ),
    ("manifest unknown", "name unknown", "not found"): "the registry {0} does not have it",
}
_UNREACHABLE = ("dial", "lookup", "timeout", "refused", "deadline", "x509", "tls", "https", "eof")


@dataclass(frozen=True)
class Unavailable:
    """
    An image that cannot be had, with the first service that needs it.
    """

    image: str
    service: str
    reason: str


def find_unavailable(
    engines: Mapping[str, docker.DockerClient],
    stack: StackFile,
    images: Collection[str],
    registry_auth_file: str = "",
    timeout_s: float = 30,
) -> list[Unavailable]:
    """
    Find the images of a stack that no node has, and that the manager cannot get from a registry.

    `images` are those that are built here, by name. An image that one node has is taken as had.

    Raises what `read_registry_auth` raises.
    """
    auth = read_registry_auth(registry_auth_file)
    users: dict[Reference, tuple[str, str]] = {}
    unreadable = []
    for service, spec in stack.services.items():
        text = image_name(service, spec)
        if text in images or not spec.get("image"):
            continue
        try:
            users.setdefault(read_reference(text), (text, service))
        except ParameterError as error:
            unreadable.append(Unavailable(text, service, str(error)))
    reasons = _reasons(engines, list(users), auth, timeout_s)
    return unreadable + [Unavailable(*users[r], why) for r, why in reasons.items() if why]


def read_registry_auth(path: str) -> AuthConfig:
    """
    Read the logins to registries from a Docker `config.json`; "" is for no login.

    Raises NotFoundError or ParameterError without anything of what the file says.
    """
    if not path:
        return AuthConfig({})
    file = PROJECT / Path(path).expanduser()
    step = "set registry_auth_file to the file that  docker login  wrote: ~/.docker/config.json"
    if not file.is_file():
        raise NotFoundError(
            f"expected logins to registries in {file}; no such file", next_step=step
        )
    if file.stat().st_size > _LIMIT:
        raise ParameterError(f"expected at most 1 MiB in {file}", next_step=step)
    try:
        content = json.loads(file.read_bytes())
        logins = content.keys() & {"auths", "credHelpers", "credsStore"}
        helpers = content.get("credHelpers") or {}
        for name in (content.get("credsStore") or "", *helpers.values()):
            name.encode()  # no text: no name of a helper
        config = load_config(config_dict=content) if logins else None
    except Exception:  # an error of the parser would show a part of the file
        config = None
    if config is None:
        raise ParameterError(f"expected a Docker config.json with auths in {file}", next_step=step)
    return config


def logins_of_stack(stack: StackFile, path: str) -> dict[str, Any]:
    """
    Return a Docker `config.json` with the logins that the images of a stack need; {} for none.

    Credential helpers run here: the manager has none.
    """
    config = read_registry_auth(path)
    auths = {}
    for service, spec in stack.services.items():
        registry = read_reference(image_name(service, spec)).domain if spec.get("image") else ""
        login = {k.lower(): v for k, v in (_login(config, registry) if registry else {}).items()}
        if login.get("identitytoken"):
            auths[_KEYS.get(registry, registry)] = {"identitytoken": login["identitytoken"]}
        elif login:
            pair = f"{login['username']}:{login['password']}"
            auth = base64.b64encode(pair.encode()).decode()
            auths[_KEYS.get(registry, registry)] = {"auth": auth}
    return {"auths": auths} if auths else {}


def use_registry_auth(engines: Mapping[str, docker.DockerClient], path: str) -> None:
    """
    Let the engines build upon images that need a login.
    """
    if path:
        read_registry_auth(path)
        for engine in engines.values():
            engine.api.reload_config(str(PROJECT / Path(path).expanduser()))


def _reasons(
    engines: Mapping[str, docker.DockerClient],
    images: list[Reference],
    auth: AuthConfig,
    timeout_s: float,
) -> dict[Reference, str]:
    pool = ThreadPoolExecutor(8)
    running = {image: pool.submit(_reason, engines, image, auth) for image in images}
    done, _ = wait(running.values(), timeout_s)
    pool.shutdown(wait=False, cancel_futures=True)
    late = f"its registry did not answer within {timeout_s:.0f} s"
    return {i: answer.result() if answer in done else late for i, answer in running.items()}


def _reason(engines: Mapping[str, docker.DockerClient], image: Reference, auth: AuthConfig) -> str:
    for engine in engines.values():
        try:
            engine.images.get(image.name)
        except APIError:
            continue
        return ""
    try:
        # {} is no login; without it, the SDK takes those of the operator's home
        login = _login(auth, image.domain)
    except ParameterError as error:
        return str(error).splitlines()[0]
    try:
        engines["manager"].images.get_registry_data(image.name, auth_config=login)
    except APIError as error:
        return _in_words(str(error.explanation or error), image.domain)
    except (DockerException, requests.RequestException) as error:
        return _in_words(str(error), image.domain)
    return ""


def _login(config: AuthConfig, registry: str) -> dict[str, str]:
    try:
        return dict(config.resolve_authconfig(registry) or {})
    except (DockerException, OSError, ValueError) as error:
        raise ParameterError(
            f"expected a login to {registry} from its credential helper; {_last_line(str(error))}",
            next_step=f"docker login {registry}  here, or a config.json with auths",
        ) from None


def _last_line(text: str) -> str:
    return printable(text.strip().splitlines()[-1][-200:]) if text.strip() else ""


def _in_words(text: str, registry: str) -> str:
    for signs, reason in _REASONS.items():
        if any(sign in text.lower() for sign in signs):
            return reason.format(registry)
    last = _last_line(text) or "no reason given"
    if any(sign in text.lower() for sign in _UNREACHABLE):
        return f"the registry {registry} is not reachable: {last}"
    return f"the registry {registry} says: {last}"
