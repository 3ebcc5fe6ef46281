"""
What AWS refuses, as the clients of a place say it: never an error of the SDK.
"""

import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from runbook_lib.cloud import aws, capacity, preflight
from runbook_lib.cloud.refusals import find_statements, missing_right
from runbook_lib.core.errors import AccessError, UnavailableError

USER = "arn:aws:iam::123456789012:user/operator"
VOLUME = "arn:aws:ec2:us-east-1:123456789012:volume/*"
PLAIN = (
    f"You are not authorized to perform this operation. User: {USER} is not authorized to perform: "
    f"ec2:RunInstances on resource: {VOLUME} because no identity-based policy allows the "
    "ec2:RunInstances action. Encoded authorization failure message: aGVsbG8-_x"
)
ENCODED = (
    "You are not authorized to perform this operation. Encoded authorization failure message: "
    "aGVsbG8-_x"
)


def nobody_decodes(_):
    raise AccessError("no right to decode either")


def test_a_refusal_names_the_action_the_resource_and_the_statement():
    error = str(missing_right(PLAIN, "ec2:RunInstances", nobody_decodes))
    expected, *_ = error.splitlines()

    assert f"expected the right to ec2:RunInstances on {VOLUME}" in expected
    assert "statement WithEncryptedDisks of params/iam-policy.json" in expected
    assert USER in expected
    assert "ec2:Encrypted Bool true" in error
    assert "Encoded" not in error


def test_an_encoded_refusal_is_decoded_or_comes_with_the_command():
    context = {"action": "ec2:RunInstances", "resource": VOLUME}

    def decode(text):
        assert "aGVsbG8-_x" == text
        return json.dumps({"allowed": False, "context": context})

    assert "WithEncryptedDisks" in str(missing_right(ENCODED, "ec2:RunInstances", decode))
    for failing in (nobody_decodes, lambda _: "[]", lambda _: "no JSON"):
        error = str(missing_right(ENCODED, "ec2:StopInstances", failing))
        assert "ChangeOnlyOurs of params/iam-policy.json" in error
        assert "aws sts decode-authorization-message --encoded-message aGVsbG8-_x" in error


def test_an_explicit_deny_is_not_cured_by_a_statement():
    denied = PLAIN.replace("no identity-based policy allows", "with an explicit deny in a policy")

    assert "who denies this" in str(missing_right(denied, "ec2:RunInstances", nobody_decodes))


@pytest.mark.parametrize(
    ("action", "resource", "sids"),
    [
        ("ec2:RunInstances", "arn:aws:ec2:eu-west-1::image/ami-1", ["FromCanonicalsImages"]),
        ("ec2:RunInstances", "arn:aws:ec2:eu-west-1:1:subnet/subnet-1", ["InOneNetwork"]),
        ("ec2:DescribeInstances", "*", ["Look"]),
        ("s3:DeleteObject", "arn:aws:s3:::runbook-tiles-c-0123456789ab/a", ["WhichIsEmptied"]),
        ("iam:CreateUser", "arn:aws:iam::1:user/x", []),
        ("s3:ListBucket", "", ["LookForTheBucketAndItsRole"]),
    ],
)
def test_a_statement_is_found_by_action_and_resource(action, resource, sids):
    found = [sid for sid, _, _ in find_statements(action, resource)]

    assert len(sids) == len(found)
    assert all(one.startswith(begin) for one, begin in zip(found, sids, strict=True))


@pytest.mark.parametrize("message", ["", "no", "User: is not authorized to perform:", "x" * 9999])
def test_whatever_aws_says_is_told_in_bounds(message):
    error = str(missing_right(message, "ec2:StopInstances", nobody_decodes))

    assert "the right to ec2:StopInstances" in error
    assert len(error) < 3000


# ---- through the clients


def answering(status, body, content_type="text/xml"):
    """An endpoint that answers everything alike."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815 - http.server's name

        def log_message(self, *_): ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture
def keys(tmp_path):
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = AKIA\naws_secret_access_key = x\n")
    return str(file)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("RequestExpired", "they have ended"),
        ("ExpiredToken", "they have ended"),
        ("AuthFailure", "expected AWS to know these credentials"),
        ("UnauthorizedOperation", "the right to ec2:DescribeVpcs (statement Look"),
    ],
)
def test_a_client_says_what_is_wrong_with_rights_or_keys(keys, code, said):
    body = f"<Response><Errors><Error><Code>{code}</Code><Message>m</Message></Error></Errors>"
    server = answering(400, f"{body}<RequestID>1</RequestID></Response>".encode())
    ec2 = aws.Place("us-east-1", f"http://127.0.0.1:{server.server_port}", keys).client("ec2")
    with pytest.raises(AccessError, match="next: ") as caught:
        ec2.describe_vpcs()
    server.shutdown()
    assert said in str(caught.value)
    assert "  next: " in str(caught.value)


@pytest.mark.parametrize("body", [b"<html>a page</html>", b"no XML"])
def test_an_answer_that_is_not_of_aws_is_told_in_words(keys, body):
    """`endpoint_url` is something else."""
    server = answering(404, body)
    place = aws.Place("us-east-1", f"http://127.0.0.1:{server.server_port}", keys)
    with pytest.raises(
        UnavailableError, match=r"answer GetCallerIdentity; asked 1 time, (?s:.)*next"
    ):
        aws.whoami(place.client("sts"))
    server.shutdown()


def test_other_services_and_their_protocols_say_it_too(keys):
    body = json.dumps({"__type": "AccessDeniedException", "message": "no"}).encode()
    server = answering(400, body, "application/x-amz-json-1.1")
    place = aws.Place("us-east-1", f"http://127.0.0.1:{server.server_port}", keys)
    with pytest.raises(AccessError, match=r"servicequotas:GetServiceQuota \(statement Look"):
        capacity.quota_vcpus(place.client("service-quotas"))
    server.shutdown()


def test_keys_that_can_no_longer_be_renewed_are_told_in_words(monkeypatch, tmp_path):
    """The SDK finds out in the middle of a run, when it signs a request."""
    program = tmp_path / "keys.sh"
    program.write_text(
        f"echo x >>{tmp_path}/calls; [ $(wc -l <{tmp_path}/calls) -lt 3 ] || exit 1\n"
        'echo \'{"Version": 1, "AccessKeyId": "ASIA", "SecretAccessKey": "x", '
        f'"SessionToken": "t", "Expiration": "2999-01-01T00:00:00Z"}}\'\n'
    )
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = sh {program}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    ec2 = aws.Place("us-east-1", "http://127.0.0.1:9").client("ec2")
    held = ec2._request_signer._credentials
    held._expiry_time = held._expiry_time.replace(year=2020)
    (tmp_path / "calls").write_text("x\n" * 9)
    with pytest.raises(AccessError, match="they have ended"):
        ec2.describe_vpcs()


def test_the_preflight_names_the_statement_for_every_right_that_is_missing(lab, tmp_path):
    """On the lab, for a user who may only look."""
    looks = {"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [looks]})
    iam, file = lab.administrator("iam"), tmp_path / "credentials"
    iam.create_user(UserName="looks")
    iam.put_user_policy(UserName="looks", PolicyName="looks", PolicyDocument=policy)
    key = iam.create_access_key(UserName="looks")["AccessKey"]
    file.write_text(
        f"[default]\naws_access_key_id = {key['AccessKeyId']}\n"
        f"aws_secret_access_key = {key['SecretAccessKey']}\n"
    )
    ec2 = replace(lab.place, credentials_file=str(file)).client("ec2")
    table = preflight.allowed_actions(
        ec2, "geo-diff", "t2.micro", "ami-0aaaaaaaaaaaa2404", "/dev/sda1"
    )
    answers = dict(zip(table["action"], table["answer"], strict=True))

    assert "allowed" == answers["ec2:DescribeInstances"]
    assert "FromCanonicalsImages" in answers["ec2:RunInstances"]
    assert "MakeOnlyWhatIsOursAndEnds" in answers["ec2:ImportKeyPair"]
