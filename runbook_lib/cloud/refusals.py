"""
What AWS refuses, in words: the right that is missing, and the statement in params/ that grants it;
and what it does not answer, however often it is asked.

Every client of `aws.Place` has these handlers, so no caller has to translate such an error.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ConnectionError,  # noqa: A004 - botocore's, which is not Python's
    CredentialRetrievalError,
    HTTPClientError,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from runbook_lib.cloud.capacity import SHORTAGES
from runbook_lib.core.credentials import ended
from runbook_lib.core.errors import AccessError, UnavailableError
from runbook_lib.core.project import PROJECT
from runbook_lib.core.rights import rights_of
from runbook_lib.core.words import count_of

_REFUSED = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")
_ENDED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired")
_UNKNOWN = (
    *("AuthFailure", "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken"),
    *("InvalidSignatureException", "SignatureDoesNotMatch", "UnrecognizedClientException"),
)
_LOST = (CredentialRetrievalError, SSOError, TokenRetrievalError)
_NO_ANSWER = (ConnectionError, HTTPClientError, ResponseParserError)
_SENTENCE = re.compile(
    r"(?:User: (\S+) is )?not authorized to perform: ([\w-]+:\w+)(?: on resource: (\S+))?"
)
_ENCODED = re.compile(r"Encoded authorization failure message: ([\w-]+)")

Decode = Callable[[str], str]


def translate_refusals(client: Any, credentials_file: str, decode: Decode) -> None:  # noqa: ANN401 - a boto3 client
    """
    Let a client raise AccessError where AWS refuses a right, or the credentials; UnavailableError
    where the last of its attempts has failed, too.

    Parameters
    ----------
    decode
        Asks AWS what an encoded message says: the JSON of STS's DecodeAuthorizationMessage.
    """

    def answered(
        parsed: Mapping[str, Any],
        model: Any,  # noqa: ANN401 - botocore's operation model
        http_response: Any,  # noqa: ANN401 - botocore's response
        context: Mapping[str, Any],
        **_: object,
    ) -> None:
        if (status := http_response.status_code) < 300:
            return
        error = parsed.get("Error", {})
        code, message = str(error.get("Code", "")), str(error.get("Message", ""))
        call = f"{model.service_model.signing_name}:{model.name}"
        _refuse(code, message, [*rights_of(call), call][0], credentials_file, decode)
        if _is_failure(status, code):
            raise _unavailable(client, model.name, context, f"{status} {code}: {message}")

    def failed(
        exception: Exception, event_name: str, context: Mapping[str, Any], **_: object
    ) -> None:
        still_expired = isinstance(exception, RuntimeError) and "expired" in str(exception)
        if still_expired or isinstance(exception, _LOST):
            raise ended(credentials_file, str(exception)) from exception
        if isinstance(exception, _NO_ANSWER):
            action = event_name.rpartition(".")[2]
            raise _unavailable(client, action, context, str(exception)) from exception

    client.meta.events.register("after-call.*", answered)
    client.meta.events.register("after-call-error.*", failed)


def _is_failure(status: int, code: str) -> bool:
    # an answer without a code is not AWS's
    is_busy = code.startswith("Throttling") or code in ("TooManyRequestsException", "")
    return is_busy or (status >= 500 and code not in SHORTAGES)


def _unavailable(
    client: Any,  # noqa: ANN401 - a boto3 client
    action: str,
    context: Mapping[str, Any],
    evidence: str,
) -> UnavailableError:
    times = count_of(context.get("retries", {}).get("attempt", 1), "time")
    return UnavailableError(
        f"expected {client.meta.endpoint_url} to answer {action}; asked {times}, it did not",
        evidence=evidence[:500],
        next_step="run this again later: what is done is not done twice; if it stays so, check "
        "region, endpoint_url and your network; for the lab:  python -m lab status",
    )


def _refuse(code: str, message: str, action: str, credentials_file: str, decode: Decode) -> None:
    """
    Raise AccessError if an error of AWS is about rights or credentials.
    """
    if code in _ENDED:
        raise ended(credentials_file, f"{code}: {message}")
    if code in _UNKNOWN:
        raise AccessError(
            "expected AWS to know these credentials; it does not",
            evidence=f"{code}: {message[:500]}",
            next_step="check AWS_PROFILE and the keys; for the lab:  make lab-up",
        )
    if code in _REFUSED:
        raise missing_right(message, action, decode)


def missing_right(message: str, action: str, decode: Decode) -> AccessError:
    """
    Return the error for a refused call: who lacks which right on what, and what would grant it.
    """
    encoded = _ENCODED.search(message)
    plain = _ENCODED.sub("", message).strip()
    who, what, on = "", action, ""
    if found := _SENTENCE.search(plain):
        who, what, on = found[1] or "", found[2], (found[3] or "").rstrip(".")
    elif encoded:
        what, on = _decoded(encoded[1], decode) or (action, "")
    statements = find_statements(what, on)
    names = " or ".join(f"{sid} of params/{name}" for sid, name, _ in statements)
    if "explicit deny" in plain:
        next_step = (
            "ask an administrator of the account who denies this: no other right outweighs it"
        )
    elif statements:
        next_step = f"an administrator grants it by the statement {names}" + "".join(
            f"\n    {sid}: {needs}" for sid, _, needs in statements if needs
        )
    else:
        next_step = "no policy in params/ has this right: the runbook should not need it"
    if encoded and not found:
        command = "aws sts decode-authorization-message --encoded-message"
        next_step += f"\n    or read why:  {command} {encoded[1]}"
    return AccessError(
        f"expected the right to {what}{f' on {on}' * bool(on)}"
        f"{f' (statement {names})' * bool(names)}; AWS refuses it{f' to {who}' * bool(who)}",
        evidence=plain[:500],
        next_step=next_step,
    )


def find_statements(action: str, resource: str) -> list[tuple[str, str, str]]:
    """
    Find the statements in params/ with this right: name, file, and the conditions in words.
    """
    found = []
    for path in sorted((PROJECT / "params").glob("iam-policy*.json")):
        for statement in json.loads(path.read_text(encoding="utf-8"))["Statement"]:
            actions = [one.lower() for one in _listed(statement["Action"])]
            arns = _listed(statement["Resource"])
            if action.lower() in actions and (
                not resource or any(map(partial(_fits, resource), arns))
            ):
                found.append((statement["Sid"], path.name, _conditions(statement)))
    return found


def _fits(resource: str, pattern: str) -> bool:
    # a variable stands for any text: its value is not known here
    parts = re.split(r"\$\{[^}]*\}|[*?]+", pattern)
    return re.fullmatch(".*".join(map(re.escape, parts)), resource) is not None


def _conditions(statement: Mapping[str, Any]) -> str:
    rows = []
    for operator, keys in statement.get("Condition", {}).items():
        for key, values in keys.items():
            rows.append(f"{key} {operator} {', '.join(map(str, _listed(values)))}")
    return "; ".join(rows)


def _decoded(encoded: str, decode: Decode) -> tuple[str, str] | None:
    try:
        context = json.loads(decode(encoded))["context"]
        return str(context["action"]), str(context["resource"])
    except (AccessError, BotoCoreError, KeyError, TypeError, ValueError):
        return None  # that, too, needs a right


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 - one, or several
    return value if isinstance(value, list) else [value]
