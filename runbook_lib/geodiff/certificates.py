"""
Certificates in PEM, each with its key: made for some hosts, or a person's own, checked.
"""

import ipaddress
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from runbook_lib.core.errors import ParameterError

SECRET = "web_tls"  # noqa: S105 - its name
_UNREADABLE = (UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
_LASTS = timedelta(days=365)


def make_certificate(hosts: Iterable[str]) -> bytes:
    """
    Make a key, and a certificate for these hosts that it signs itself, for a year.
    """
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


def read_certificate(pem: bytes, hosts: Iterable[str]) -> x509.Certificate:
    """
    Return the first certificate of a PEM text, after checking it.

    Raises ParameterError with all that is wrong: no certificate, no key or another one's, a host
    that it does not name, or a time that it is not valid.
    """
    part = "certificate"
    try:
        leaf = x509.load_pem_x509_certificates(pem)[0]
        begins, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
        names = names_of(leaf)
        part = "key"
        key = serialization.load_pem_private_key(pem, password=None)
        is_its_key = key.public_key() == leaf.public_key()
    except (ValueError, TypeError, *_UNREADABLE):  # TypeError: it has a password
        text = "expected certificate, chain and key in PEM, each on lines of its own, without a"
        # none of the library's own words: they can hold the key
        raise _unusable([f"{text} password; the {part} cannot be read"]) from None
    problems = []
    if not is_its_key:
        problems.append("the key is not the first certificate's")
    if not begins <= datetime.now(UTC) < ends:
        problems.append(f"it is valid from {begins:%Y-%m-%d %H:%M} to {ends:%Y-%m-%d %H:%M} UTC")
    if missing := find_unnamed(hosts, names):
        seen = ", ".join(sorted(names)) or "nobody"
        problems.append(f"it names {seen}, not {', '.join(missing)}")
    if problems:
        raise _unusable(problems)
    return leaf


def names_of(leaf: x509.Certificate) -> set[str]:
    """
    Return the host names and addresses that a certificate is for.
    """
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    addresses = map(str, found.get_values_for_type(x509.IPAddress))
    return {name.lower() for name in found.get_values_for_type(x509.DNSName)} | set(addresses)


def find_unnamed(hosts: Iterable[str], names: set[str]) -> list[str]:
    """
    Find the hosts that are not among the names; `*.example.org` names every host of that domain.
    """
    return [h for h in hosts if not {h.lower(), f"*.{h.lower().partition('.')[2]}"} & names]


def _unusable(problems: list[str]) -> ParameterError:
    return ParameterError(
        f"expected the value of {SECRET} to be a certificate and its key; it cannot be used",
        evidence="\n".join(problems),
        next_step="give another one; page_name and tiles_name are the names that it must have",
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
