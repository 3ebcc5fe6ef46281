"""
The small parts of the lab: addresses, guest files, prices, the server's lock, responses.
"""

import base64
import io
import json
import os
import subprocess
import sys
import tarfile
from types import SimpleNamespace

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Response

from lab.aws.addresses import free_address
from lab.aws.instances import LabInstance
from lab.aws.prices_and_quotas import get_products, get_service_quota
from lab.aws.responses import error_response, json_refusal, region_of, service_of, with_console
from lab.aws.server import only_server
from lab.core.errors import LabError
from lab.machines.guest_files import GUEST, SCRIPTS, UNITS, first_start_archive, restart_archive


def test_the_lowest_free_address_is_given():
    """Released ones are used again."""
    used = ["10.0.128.1", "10.0.128.3", None]
    assert free_address("10.0.128.0/17", used) == "10.0.128.2"


def test_an_exhausted_pool_is_an_error():
    """With what to do about it."""
    with pytest.raises(LabError, match="release Elastic IPs"):
        free_address("10.0.0.0/30", ["10.0.0.1", "10.0.0.2"])


def test_the_reason_of_a_failed_boot_is_what_xml_can_carry():
    """A console has colours; a control character would make the whole answer unreadable."""
    machine = LabInstance.__new__(LabInstance)
    machine._state = SimpleNamespace(code=0, name="pending")
    machine.on_failed("no SSH\n  seen: [\x1b[0;32m  OK  \x1b[0m] Fini\x07shed")

    assert "Server.InternalError: no SSH\n  seen: [  OK  ] Finished" == machine.state_reason.message
    assert ("running", "impaired") == (machine.state, machine.status_checks)


def contents_of(archive: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: member for member in tar.getmembers()}


def test_a_new_instance_gets_its_files_with_the_right_owners():
    """Scripts can be executed, keys and user data are private."""
    found = contents_of(
        first_start_archive(
            authorized_key="ssh-ed25519 AAAA x",
            user_data=b"#!/bin/sh",
            mirror_url="http://172.31.0.2:5000",
            script="set -e",
        )
    )
    assert all(found[target].mode == 0o755 for target in SCRIPTS.values())
    assert all(found[f"etc/systemd/system/{unit}"].mode == 0o644 for unit in UNITS)
    keys = found["home/ubuntu/.ssh/authorized_keys"]
    assert (keys.mode, keys.uid, found["home/ubuntu/.ssh"].mode) == (0o600, 1000, 0o700)
    assert found["var/lib/cloud/instance/user-data.txt"].mode == 0o600
    assert found["etc/lab/net.sh"].mode == 0o700


def test_a_restart_replaces_the_rules_only():
    """Everything else is the guest's by now."""
    assert list(contents_of(restart_archive("set -e"))) == ["etc/lab/net.sh"]


def test_every_file_of_the_guest_is_seeded():
    """And none is missing."""
    assert {*SCRIPTS, *UNITS} == {path.name for path in GUEST.iterdir()}


def test_prices_match_all_filters_or_none():
    """Another region, or an unknown type, has no products here."""

    def count(**filters):
        asked = [{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in filters.items()]
        status, answer = get_products({"ServiceCode": "AmazonEC2", "Filters": asked})
        assert status == 200
        return len(answer["PriceList"])

    assert count(instanceType="t2.micro", regionCode="us-east-1") == 1
    assert count(instanceType="t2.micro", regionCode="eu-west-1") == 0
    assert count(instanceType="m5.large") == 0
    assert count() == 10


def test_an_unknown_quota_is_no_such_resource():
    """The lab knows the one that limits vCPUs."""
    status, answer = get_service_quota({"ServiceCode": "ec2", "QuotaCode": "L-0"})
    assert (status, answer["__type"]) == (400, "NoSuchResourceException")


@pytest.mark.parametrize("text", ["", "12", "{}", str(2**22 + 1), "own pid"])
def test_a_pid_that_a_killed_server_left_is_not_believed(tmp_path, text):
    """Broken, of a dead process, or of a pid that belongs to another process now."""
    path = tmp_path / "lab" / "lab.lock"
    path.parent.mkdir()
    path.write_text(str(os.getpid()) if text == "own pid" else text)
    with only_server(path):
        assert f"{os.getpid()}\n" == path.read_text()


def test_a_killed_server_leaves_its_lab_free(tmp_path):
    """It leaves the file with its pid, and no lock."""
    path = tmp_path / "lab.lock"
    code = f"from lab.aws.server import only_server; from pathlib import Path; import os\n\
with only_server(Path({str(path)!r})): os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code], check=False)
    assert path.read_text().strip().isdecimal()
    with only_server(path):
        pass


def test_a_living_owner_is_not_displaced(tmp_path):
    """The error names it; afterwards the lab can be served again."""
    path = tmp_path / "lab.lock"
    with only_server(path), pytest.raises(LabError, match=str(os.getpid())), only_server(path):
        pytest.fail("two servers")
    with only_server(path):
        pass


def signed(service: str):
    scope = f"AKIAX/20260101/eu-west-1/{service}/aws4_request"
    header = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00"
    return EnvironBuilder(headers={"Authorization": header}).get_request()


def test_a_request_is_sorted_by_its_signature():
    """Unsigned ones have neither service nor region."""
    request = signed("ec2")
    assert (service_of(request), region_of(request)) == ("ec2", "eu-west-1")
    assert service_of(EnvironBuilder().get_request()) == ""


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("ec2", "<Response><Errors><Error><Code>No</Code><Message>a &lt; b</Message>"),
        ("s3", "<Error><Code>No</Code>"),
        ("iam", "<ErrorResponse><Error><Type>Sender</Type><Code>No</Code>"),
        ("ssm", '{"__type": "No", "message": "a < b"}'),
    ],
)
def test_an_error_is_in_the_form_of_its_service(service, expected):
    """So that boto3 raises ClientError with the code, and does not retry."""
    response = error_response(service, 400, "No", "a < b")
    assert expected in response.get_data(as_text=True)


def test_a_refusal_in_xml_is_translated_to_json():
    """With the code that services which speak JSON use."""
    text = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
    response = json_refusal(text)
    assert response is not None
    assert json.loads(response.get_data()) == {"__type": "AccessDeniedException", "message": "no"}
    assert json_refusal('{"Parameter": {}}') is None


def test_a_console_replaces_the_canned_text():
    """Whatever it holds, backslashes too."""
    text = rb"\1 \g<0> [  OK  ]"
    response = with_console(Response("<x><output>Y2FubmVk</output></x>"), text)
    body = response.get_data()
    assert base64.b64decode(body.split(b"output>")[1].partition(b"<")[0]) == text
