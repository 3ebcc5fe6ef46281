"""
The certificate of the map's two public ports: made for this cluster, or a person's own.

Its key is in a secret of the Swarm and nowhere else. Labels of the secret tell what it is for, and
notebooks know its server by the certificate's hash, so that nobody on the way can take its place.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import docker
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import NotFoundError, ParameterError
from runbook_lib.stacks.deployment.secrets import read_value
from runbook_lib.stacks.running.containers import OWNER

OFF, MADE = "off", "made"
OVERLAY = "stacks/geo-diff/web-tls.yml"
SECRET = "web_tls"  # noqa: S105 - its name
_SHA256, _NAMES, _ENDS, _HOW = (f"runbook.tls.{n}" for n in ("sha256", "names", "ends", "how"))
_UNREADABLE = (UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
_LASTS, _RENEW = timedelta(days=365), timedelta(days=30)


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
        return {"TLS_CERTIFICATE": self.secret, "TLS_SHA256": self.sha256} if self.secret else {}


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
    if how == OFF:
        return changes
    given = b"" if how == MADE else read_value(SECRET, values_dir)
    if not given and _find(manager, how, hosts, stack_name):
        return changes
    if how != MADE and not given:
        raise ParameterError(
            f"expected a certificate and its key for {', '.join(hosts)}; none is given",
            next_step=f"write both in PEM into a file {SECRET} of values_dir, or set web_tls: made",
        )
    pem = given or _self_signed(hosts)
    leaf = read_certificate(pem, hosts)
    sha256 = leaf.fingerprint(hashes.SHA256()).hex()
    name = f"{SECRET}_{sha256[:12]}"
    if name in {secret.name for secret in manager.secrets.list()}:
        return changes
    names = " ".join(sorted(_names(leaf)))
    labels = {OWNER: stack_name, _SHA256: sha256, _NAMES: names, _HOW: how}
    labels[_ENDS] = leaf.not_valid_after_utc.isoformat()
    manager.secrets.create(name=name, data=pem, labels=labels)
    changes.add("secret", name, f"certificate {how}, for {', '.join(hosts)}")
    return changes


def get_certificate(
    manager: docker.DockerClient, how: str, hosts: Iterable[str], stack_name: str
) -> Certificate:
    """
    Return the certificate that `ensure_certificate` left in the Swarm, the one that ends last.
    """
    if how == OFF:
        return Certificate()
    found = _find(manager, how, sorted(set(hosts)), stack_name)
    if not found:
        raise NotFoundError(
            f"expected a certificate of the stack {stack_name} in the Swarm; there is none",
            next_step="run 07_web_stack from its beginning",
        )
    return found[-1]


def read_certificate(pem: bytes, hosts: Iterable[str]) -> x509.Certificate:
    """
    Return the first certificate of a PEM text, after checking it.

    Raises ParameterError with all that is wrong: no certificate, no key or another one's, a host
    that it does not name, or a time that it is not valid.
    """
    try:
        leaf = x509.load_pem_x509_certificates(pem)[0]
        key = serialization.load_pem_private_key(pem, password=None)
        is_its_key = key.public_key() == leaf.public_key()
        begins, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
        names = _names(leaf)
    except (ValueError, TypeError, *_UNREADABLE) as error:  # TypeError: it has a password
        text = f"expected certificate, chain and key in PEM, without a password: {error}"
        raise _unusable([text]) from error
    problems = []
    if not is_its_key:
        problems.append("the key is not the first certificate's")
    if not begins <= datetime.now(UTC) < ends:
        problems.append(f"it is valid from {begins:%Y-%m-%d %H:%M} to {ends:%Y-%m-%d %H:%M} UTC")
    if missing := _unnamed(hosts, names):
        seen = ", ".join(sorted(names)) or "nobody"
        problems.append(f"it names {seen}, not {', '.join(missing)}")
    if problems:
        raise _unusable(problems)
    return leaf


def _unnamed(hosts: Iterable[str], names: set[str]) -> list[str]:
    # `*.example.org` names every host of that domain
    return [h for h in hosts if not {h.lower(), f"*.{h.lower().partition('.')[2]}"} & names]


def _unusable(problems: list[str]) -> ParameterError:
    return ParameterError(
        f"expected the value of {SECRET} to be a certificate and its key; it cannot be used",
        evidence="\n".join(problems),
        next_step="give another one; page_name and tiles_name are the names that it must have",
    )


def _names(leaf: x509.Certificate) -> set[str]:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    addresses = map(str, found.get_values_for_type(x509.IPAddress))
    return {name.lower() for name in found.get_values_for_type(x509.DNSName)} | set(addresses)


def _find(
    manager: docker.DockerClient, how: str, hosts: list[str], stack_name: str
) -> list[Certificate]:
    """
    Find the certificates of the stack for these hosts that need not be renewed, the last to end
    last.
    """
    wanted = [f"{OWNER}={stack_name}", f"{_HOW}={how}"]
    until = datetime.now(UTC) + (_RENEW if how == MADE else timedelta())
    found = []
    for secret in manager.secrets.list(filters={"label": wanted}):
        labels = secret.attrs["Spec"]["Labels"]
        ends = datetime.fromisoformat(labels[_ENDS])
        names = set(labels[_NAMES].split())
        if ends > until and not _unnamed(hosts, names):
            found.append((ends, Certificate(str(secret.name), labels[_SHA256])))
    return [certificate for _, certificate in sorted(found, key=lambda each: each[0])]


def _self_signed(hosts: list[str]) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "geo-diff")])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # the clocks of nodes and browsers differ
        .not_valid_after(now + _LASTS)
        .add_extension(
            x509.SubjectAlternativeName([_general_name(h) for h in hosts]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    certificate = builder.sign(key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM) + private


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
