"""
Access to the API: its token, and the one origin whose pages may read the responses.
"""

import hmac

SCHEME = b"bearer "
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": "Authorization",
    "Access-Control-Max-Age": "7200",
}


class Token:
    """
    The token of the API, compared in constant time.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def allows(self, authorization: str) -> bool:
        """
        Check an `Authorization` header as WSGI passes it, whatever bytes the client sent.
        """
        given = authorization.encode("latin-1", "replace")
        scheme, credentials = given[: len(SCHEME)], given[len(SCHEME) :].strip()
        return hmac.compare_digest(credentials, self._secret) and scheme.lower() == SCHEME


def cors_headers(origin: str, allowed: str) -> dict[str, str]:
    """
    The CORS headers of a response to a page of `origin` ("" if the request has none).
    """
    return {"Access-Control-Allow-Origin": allowed} if origin == allowed else {}
