"""
Responses, and errors in the form that each AWS protocol expects.
"""

from __future__ import annotations

import base64
import json
import re
import uuid
from typing import Any
from xml.sax.saxutils import escape

from werkzeug.wrappers import Request, Response

Environ = dict[str, Any]
# The error codes of services that speak JSON, where they differ.
JSON_CODES = {
    "AccessDenied": "AccessDeniedException",
    "InvalidClientTokenId": "UnrecognizedClientException",
    "SignatureDoesNotMatch": "InvalidSignatureException",
}


def service_of(request: Request) -> str:
    """
    The AWS service that a request was signed for; empty when it is not signed.
    """
    return _scope(request)[3]


def region_of(request: Request) -> str:
    return _scope(request)[2]


def text_response(text: str, status: int = 200) -> Response:
    return Response(text, status=status, content_type="text/plain; charset=utf-8")


def json_response(content: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(content), status=status, content_type="application/x-amz-json-1.1")


def error_response(service: str, status: int, code: str, message: str) -> Response:
    """
    An error as boto3 parses it for this service: the XML of EC2, S3, or IAM and STS, or JSON.
    """
    request_id = str(uuid.uuid4())
    code_xml = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    if service == "ec2":
        body = (
            f"<Response><Errors><Error>{code_xml}</Error></Errors>"
            f"<RequestID>{request_id}</RequestID></Response>"
        )
    elif service == "s3":
        body = f"<Error>{code_xml}<RequestId>{request_id}</RequestId></Error>"
    elif service in ("iam", "sts"):
        body = (
            f"<ErrorResponse><Error><Type>Sender</Type>{code_xml}</Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    else:
        return json_response({"__type": code, "message": message}, status)
    declaration = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return Response(declaration + body, status=status, content_type="text/xml;charset=UTF-8")


def json_refusal(text: str) -> Response | None:
    """
    Translate a refusal of moto's IAM, which is in XML, for services that speak JSON; else None.
    """
    match = re.search(r"<Code>(.*?)</Code>.*<Message>(.*?)</Message>", text, re.DOTALL)
    if match is None:
        return None
    code, message = match.groups()
    return json_response({"__type": JSON_CODES.get(code, code), "message": message}, 400)


def with_console(response: Response, text: bytes) -> Response:
    """
    Replace moto's canned console output.
    """
    output = base64.b64encode(text)
    body = re.sub(
        rb"(?<=<output>).*?(?=</output>)", lambda _: output, response.get_data(), flags=re.DOTALL
    )
    return Response(body, status=response.status, content_type=response.content_type)


def _scope(request: Request) -> list[str]:
    """
    The parts of `Credential=KEY/date/region/service/aws4_request`; empty strings if unsigned.
    """
    header = request.headers.get("Authorization", "")
    parts = header.partition("Credential=")[2].partition(",")[0].split("/")
    return parts if len(parts) == 5 else [""] * 5
