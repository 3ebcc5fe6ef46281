"""
Requests sorted by their signature, and responses in the form of their service.
"""

import base64
import json

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Response

from lab.aws.responses import error_response, json_refusal, region_of, service_of, with_console


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
