"""
What looks like a secret is masked wherever it stands; what does not is left alone.

The secrets are put together here, so that no scanner takes this file for a leak.
"""

import html
import importlib
import json
import pkgutil
import re
import time

import detect_secrets.plugins
import pytest
from detect_secrets.plugins.base import RegexBasedDetector
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from runbook_lib.core.secret_shapes import SHAPES, without_secrets
from runbook_lib.notebook.templates import find_notebooks
from tests.places import ROOT

VALUE = "hunter2" + "Correct9Horse"
HEX = "0123456789abcdef" * 4
SECRETS = [
    # passwords and tokens by the name beside them
    ("a password or token", f"RABBITMQ_DEFAULT_PASS=x PASSWORD={VALUE}"),
    ("a password or token", f"password: {VALUE}"),
    ("a password or token", f"the password = {VALUE}, it said"),
    ("a password or token", f"--password={VALUE}"),
    ("a password or token", f"{{'db_password': '{VALUE}'}}"),
    ("a password or token", f'{{"token": "{VALUE}"}}'),
    ("a password or token", f"api_key='{VALUE}'"),
    ("a password or token", f"aws_secret_access_key = {VALUE}/x+{VALUE}"),
    ("a password or token", f"RABBITMQ_ERLANG_COOKIE={VALUE.upper()}"),
    ("a password or token", "PASSPHRASE=" + "swordfish"),
    ("a password or token", f"http://192.0.2.7:8080/#token={VALUE}"),
    ("a password or token", f"/login?access_token={VALUE}&next=1"),
    ("a password or token", f"<td>password</td><td style='text-align:left'>{VALUE}</td>"),
    # the same in other forms: shorter names, tables as text, pairs, XML, escapes of a URL
    ("a password or token", f"RABBITMQ_DEFAULT_PASS={VALUE}"),
    ("a password or token", f"  DB_PASS: {VALUE}"),
    ("a password or token", f'{{"smtp_pass": "{VALUE}", "pass": "{VALUE}"}}'),
    ("a password or token", f"0  db_password  {VALUE}\n1  db_user      me"),
    ("a password or token", f"[('password', '{VALUE}')]"),
    ("a password or token", f'{{"name": "DB_PASSWORD", "value": "{VALUE}"}}'),
    ("a password or token", f"<SecretAccessKey>{VALUE}/{VALUE}+</SecretAccessKey>"),
    ("a password or token", f"password: >-\n  {VALUE}"),
    ("a password or token", f"next=%2Flogin%3Ftoken%3D{VALUE}%26x%3D1"),
    # arguments
    ("a password in a command", f"docker login --password {VALUE} -u me registry"),
    ("a password in a command", f"client --api-token '{VALUE}' list"),
    ("a password in a command", f"curl -u admin:{VALUE} https://x/"),
    ("a password in a command", f"curl --user admin:{VALUE} https://x/"),
    ("a password in a command", f"sshpass -p {VALUE} ssh host"),
    ("a password in a command", f"machine host login me password {VALUE}"),
    ("a password in a command", f"erl -setcookie {VALUE.upper()}"),
    ("a password in a command", f"mysql -uroot -p{VALUE} tiles"),
    ("a password in a command", f"mariadb-dump --user=root -p'{VALUE}' tiles"),
    ("a password in a command", f"CREATE USER worker IDENTIFIED BY '{VALUE}';"),
    ("a password in a command", f"alter user w identified with caching_sha2 by '{VALUE}'"),
    ("a password in a command", f"AUTH {VALUE}"),
    ("a password or token", f"//registry/:_auth={VALUE}"),
    ("a password or token", f"contraseña: {VALUE}"),
    ("a password or token", f"password\uff1a {VALUE}"),
    ("a password or token", f"password -> {VALUE}"),
    ("a password in an address", f"tried admin:{VALUE}@198.51.100.7:5672 twice"),
    # addresses
    ("a password in an address", f"amqp://geodiff:{VALUE}@rabbitmq:5672/"),
    ("a password in an address", f"https://user:p@ss{VALUE}@example.org/tiles"),
    ("a password in an address", f"redis://:{VALUE}@cache"),
    ("a password in an address", f"next=https%3A%2F%2Fuser%3A{VALUE}%40example.org%2F"),
    ("a signed address", f"https://b.s3.amazonaws.com/k?X-Amz-Expires=9&X-Amz-Signature={HEX}"),
    ("a signed address", f"https://b/k?X-Amz-Credential={VALUE}%2F2026&amp;x=1"),
    ("a signed address", f"https://b/k?X-Amz-Security-Token={VALUE}%2B"),
    ("a signed address", f"https://a.blob.core.windows.net/x?sv=2022&sig={VALUE}%3D"),
    ("a signed address", f"https://storage.googleapis.com/b/k?X-Goog-Signature={HEX}"),
    ("a signed address", f"next=https%3A%2F%2Fb%2Fk%3FX-Amz-Signature%3D{HEX}%26x%3D1"),
    ("a signed address", f"https://discord.com/api/webhooks/123456789012/{VALUE}-{VALUE}"),
    # headers and cookies
    ("a header with a secret", f"Authorization: Bearer {VALUE}"),
    ("a header with a secret", f'curl -H "Authorization: Basic {VALUE}==" http://x'),
    ("a header with a secret", f"{{'Authorization': 'token {VALUE}'}}"),
    ("a header with a secret", f"X-Registry-Auth: {VALUE}"),
    ("a header with a secret", f"X-Vault-Token: {VALUE}"),
    ("a header with a secret", f"got bearer {VALUE}."),
    ("a header with a secret", f"Authorization: AWS4-HMAC-SHA256 Credential=x, Signature={VALUE}"),
    ("a cookie", f"Set-Cookie: session={VALUE}; HttpOnly; Secure"),
    ("a cookie", f"Cookie: a=b; _xsrf={VALUE}"),
    ("a cookie", f'{{"cookies": {{"session": "{VALUE}", "other": "{VALUE}"}}}}'),
    ("a cookie", f"example.org\tTRUE\t/\tTRUE\t0\tsession\t{VALUE}"),
    # keys and tokens by their own shape
    ("an AWS access key", "AKIA" + "IOSFODNN7EXAMPLE"),
    ("an AWS access key", "ASIA" + "IOSFODNN7EXAMPLE"),
    ("a login to a registry", f'{{"auths": {{"registry": {{"auth": "{VALUE}=="}}}}}}'),
    ("a Swarm join token", "SWMTKN-1-" + "3" * 50 + "-" + VALUE),
    ("a Swarm unlock key", "SWMKEY-1-" + VALUE),
    ("a web token", f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIi{VALUE}.{VALUE}"),
    ("a token of a service", f"ghp_{VALUE}{VALUE}"),
    ("a token of a service", "AccountKey=" + "/=" + VALUE * 3 + "A" * (86 - 3 * len(VALUE))),
    ("a token of a service", f"github_pat_{VALUE}_{VALUE}"),
    ("a token of a service", f"dckr_pat_{VALUE}-{VALUE}"),
    ("a token of a service", f"glpat-{VALUE}{VALUE}"),
    ("a token of a service", f"xoxb-1-{VALUE}-{VALUE}"),
    ("a token of a service", f"sk_live_{VALUE}{VALUE}"),
    ("a token of a service", f"hvs.{VALUE}{VALUE}"),
    *[
        (
            "a private key",
            f"-----BEGIN {kind}PRIVATE KEY-----\n{VALUE}\n-----END {kind}PRIVATE KEY-----",
        )
        for kind in ("", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED ")
    ],
    ("a private key", f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n{VALUE}"),
]
NO_SECRETS = [
    "ssh-ed25519 AAAAC3 a public key, SWMTKN is a prefix",
    "RABBITMQ_PASSWORD_FILE=/run/secrets/rabbitmq_password",
    "password: ${RABBITMQ_PASSWORD}  token: {{ token }}  secret=<yours>",
    "amqp://geodiff:$PASSWORD@rabbitmq  http://localhost:8080/@x  ssh://git@host:22/x",
    "token = secrets.token_urlsafe(32); password=None; run(password=password, token=self.token)",
    "secret rabbitmq_password: created as a random token",
    "<td>secret</td><td>geo-diff_token-12ab34</td>",
    "<td>rabbitmq_password</td><td>created (3 tasks)</td>",
    "image rabbitmq@sha256:" + HEX + ", by the digest " + HEX,
    "the key pair key-0123456789abcdef0; npm_config_registry_of_a_mirror",
    "Bearer authentication and basic authentication are refused; a token of 43 characters",
    "a cookie in a volume, the cookie: each node has the same",
    "1,234 tiles, secrets: none of 3, tokens: 12, keys: 6 of 6",
    "docker run --user 1000:1000 -u ubuntu:docker --secret source=db_password_12,target=x",
    "docker login --password-stdin; --token <token> --password $PASSWORD; a pass: 143 of 143 tiles",
    "mysql -P 33060 -pdata; mysql_port -p33 is short; identified by 'me'; AUTH is on, cookies: {}",
    "geo-diff:Ab12cd34ef@sha256:" + HEX + " me@host:12345678 12:30:45Z@x user:pass@host",
    "bypass=12345678 compass: north1234; rabbitmq_password   2 weeks ago; token   in 12 files",
    '<b>token</b> <span class="token">word1234</span> <th>password</th> <NextToken/>',
    "db_password           2026-03-01T12:00:00Z; secrets: db_password, worker_password_2",
    "HMAC SK AC i-0123456789abcdef0 vol-0123456789abcdef0 " + HEX,
]


@pytest.mark.parametrize(("kind", "text"), SECRETS, ids=lambda value: value[:40])
def test_a_secret_is_masked_and_named(kind, text):
    clean, kinds = without_secrets(text)
    assert kind in kinds
    assert f"[{kind} was here]" in clean
    assert VALUE.upper() not in clean.upper()
    assert HEX not in clean


@pytest.mark.parametrize(
    "text", [f"password: \x1b[31m{VALUE}\x1b[0m", f"\x1b[1mTOKEN\x1b[0m={VALUE}"]
)
def test_a_coloured_secret_is_masked(text):
    assert VALUE not in without_secrets(text)[0]


@pytest.mark.parametrize(("kind", "text"), SECRETS, ids=lambda value: value[:40])
@pytest.mark.parametrize(
    "wrapped", [json.dumps, html.escape, repr, lambda t: json.dumps(json.dumps({"x": t}))]
)
def test_a_secret_is_masked_inside_of_json_html_and_python(kind, text, wrapped):
    if "<td" in text:  # escaped, it is no table
        return
    clean, kinds = without_secrets(wrapped(text))
    assert kinds
    assert VALUE not in clean


@pytest.mark.parametrize("text", NO_SECRETS, ids=lambda text: text[:40])
def test_what_is_no_secret_stays(text):
    assert (text, []) == without_secrets(text)


@pytest.mark.parametrize("text", [text for _, text in SECRETS] + NO_SECRETS, ids=lambda t: t[:40])
def test_what_is_masked_once_has_nothing_more_to_mask(text):
    once, _ = without_secrets(text)
    assert (once, []) == without_secrets(once)


def test_the_notebooks_themselves_have_nothing_to_mask():
    for notebook in find_notebooks(ROOT / "notebooks"):
        assert [] == without_secrets(notebook.path.read_text())[1], notebook.name


GUESSED = {
    # it also takes an address of IPv4, any value beside a name, and eyJ0.0 for a secret
    *["IPPublicDetector", "IbmCloudIamDetector", "IbmCosHmacDetector", "CloudantDetector"],
    *["SoftlayerDetector", "NpmDetector", "ArtifactoryDetector", "JwtTokenDetector"],
    "SquareOAuthDetector",  # with a backslash inside
}


def rules():
    for module in pkgutil.iter_modules(detect_secrets.plugins.__path__):
        loaded = importlib.import_module(f"detect_secrets.plugins.{module.name}")
        for name, kind in vars(loaded).items():
            is_rule = isinstance(kind, type) and issubclass(kind, RegexBasedDetector)
            if is_rule and name not in {*GUESSED, "RegexBasedDetector"}:
                yield from (
                    pytest.param(rule, id=f"{name}-{n}")
                    for n, rule in enumerate(kind.denylist)
                    if "aws." not in rule.pattern  # any 40 characters near the word
                )


@pytest.mark.parametrize("rule", rules())
def test_what_a_maintained_tool_finds_by_its_shape_is_found_here(rule):
    @given(st.from_regex(rule, fullmatch=True, alphabet=st.characters(max_codepoint=126)))
    @settings(max_examples=20, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    def is_found(text):
        if text.startswith("://"):  # not what stands for a value, as in https://user:<password>@
            text = "https" + re.sub(r"[<>{}%\"'\\s\x1c-\x1f]", "0", text)
        if "PRIVATE KEY" in text:
            text = f"-----{text}-----"
        assert without_secrets(f"seen: {text} at 10:00")[1]

    is_found()


@pytest.mark.parametrize("text", ["a" * 50_000, "x:/" * 20_000, "token" * 10_000, "=\"'" * 20_000])
def test_a_long_text_of_any_kind_takes_seconds_at_most(text):
    began = time.process_time()
    without_secrets(text)
    assert time.process_time() - began < 5
    assert len(SHAPES) > 10
