"""
TLS on the map's two public ports: the certificate in use, kept in the Swarm with its key.

The key is in a secret of the Swarm and nowhere else. Labels of the secret tell what it is for, and
notebooks know its server by the certificate's hash, so that nobody on the way can take its place.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import docker
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import NotFoundError, ParameterError
from runbook_lib.geodiff.certificates import (
    SECRET,
    find_unnamed,
    make_certificate,
    names_of,
    read_certificate,
)
from runbook_lib.stacks.deployment.secrets import read_value, remove_unused
from runbook_lib.stacks.running.containers import OWNER, create_once, find_services
from runbook_lib.stacks.running.specs import find_specs_in_use

OFF, MADE = "off", "made"
OVERLAY = "stacks/geo-diff/web-tls.yml"
_SHA256, _NAMES, _ENDS, _HOW = (f"runbook.tls.{n}" for n in ("sha256", "names", "ends", "how"))
_VARIABLE = "TLS_SHA256"
_RENEW = timedelta(days=30)


@dataclass(frozen=True)
class Certificate:
    """
    One that the Swarm has, by the name of its secret and its SHA-256; both empty for plain HTTP.
    """

    secret: str = ""
    sha256: str = ""

    @property
    def overlays(self) -> list[str]:
        """
        What the web stack needs for it.
        """
        return [OVERLAY] if self.secret else []

    @property
    def variables(self) -> dict[str, str]:
        """
        The variables of the overlay.
        """
        return {"TLS_CERTIFICATE": self.secret, _VARIABLE: self.sha256} if self.secret else {}


def ensure_certificate(
    manager: docker.DockerClient,
    how: str,
    hosts: Iterable[str],
    stack_name: str,
    *,
    values_dir: str = "",
) -> Changes:
    """
    Put a certificate for these hosts, with its key, into the Swarm, unless it is there.

    Once the web stack uses it, the earlier ones are removed that no service can need: call it
    before the deployment, and again when the stack has converged.

    Parameters
    ----------
    how
        `off`, `made` (self-signed, for a year, made again in its last month), or `given`.
    hosts
        Addresses and names under which browsers reach the two ports.
    values_dir
        The folder with the file `web_tls`: certificate, chain and key in PEM. Or the environment
        variable RUNBOOK_SECRET_WEB_TLS has it. Only for `given`, and only where it is new.

    Raises ParameterError if what is given cannot be used.
    """
    changes, hosts = Changes(), sorted(set(hosts))
    given = _given(how, values_dir)
    wanted = _find(manager, how, hosts, stack_name, given)
    if wanted is None:
        pem = given or (make_certificate(hosts) if how == MADE else b"")
        if not pem:
            raise ParameterError(
                f"expected a certificate and its key for {', '.join(hosts)}; none is given",
                next_step=f"write both in PEM into a file {SECRET} of values_dir, or set "
                "web_tls: made",
            )
        leaf = read_certificate(pem, hosts)
        wanted = _certificate(leaf)
        labels = {OWNER: stack_name, _HOW: how, _SHA256: wanted.sha256}
        labels |= {_NAMES: " ".join(sorted(names_of(leaf)))}
        labels |= {_ENDS: leaf.not_valid_after_utc.isoformat()}
        create = partial(manager.secrets.create, name=wanted.secret, data=pem, labels=labels)
        if create_once(create):
            changes.add("secret", wanted.secret, f"certificate {how}, for {', '.join(hosts)}")
    if find_pin(manager, stack_name) == wanted.sha256:
        changes += remove_unused(manager, stack_name, find_specs_in_use(manager), _SHA256)
    return changes


def get_certificate(
    manager: docker.DockerClient,
    how: str,
    hosts: Iterable[str],
    stack_name: str,
    *,
    values_dir: str = "",
) -> Certificate:
    """
    Return the certificate that `ensure_certificate` left in the Swarm: the one given, or else the
    one that ends last.
    """
    given = _given(how, values_dir)
    found = _find(manager, how, sorted(set(hosts)), stack_name, given)
    if found is None:
        raise NotFoundError(
            f"expected a certificate of the stack {stack_name} in the Swarm; there is none",
            next_step="run 07_web_stack from its beginning",
        )
    return found


def find_pin(manager: docker.DockerClient, stack_name: str) -> str:
    """
    Find the SHA-256 of the certificate that the web stack uses; "" if it uses none.
    """
    for service in find_services(manager, stack_name):
        for variable in service.attrs["Spec"]["TaskTemplate"]["ContainerSpec"].get("Env") or []:
            name, _, value = variable.partition("=")
            if name == _VARIABLE:
                return str(value)
    return ""


def _given(how: str, values_dir: str) -> bytes:
    return b"" if how in (OFF, MADE) else read_value(SECRET, values_dir)


def _find(
    manager: docker.DockerClient, how: str, hosts: list[str], stack_name: str, given: bytes
) -> Certificate | None:
    """
    Find the certificate given in the Swarm; without one, the last to end of those that the stack
    has for these hosts and that need not be renewed.
    """
    if how == OFF:
        return Certificate()
    own = _certificate(read_certificate(given, hosts)) if given else None
    until = datetime.now(UTC) + (_RENEW if how == MADE else timedelta())
    found = []
    for secret in manager.secrets.list(
        filters={"label": [f"{OWNER}={stack_name}", f"{_HOW}={how}"]}
    ):
        labels = secret.attrs["Spec"]["Labels"]
        one = Certificate(str(secret.name), labels[_SHA256])
        ends = datetime.fromisoformat(labels[_ENDS])
        fits = ends > until and not find_unnamed(hosts, set(labels[_NAMES].split()))
        if one == own or (own is None and fits):
            found.append((ends, one))
    return max(found, key=lambda each: each[0])[1] if found else None


def _certificate(leaf: x509.Certificate) -> Certificate:
    sha256 = leaf.fingerprint(hashes.SHA256()).hex()
    return Certificate(f"{SECRET}_{sha256[:12]}", sha256)
