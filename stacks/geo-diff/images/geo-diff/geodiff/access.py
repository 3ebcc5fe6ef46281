"""
Who may ask: the API's token, and the one origin whose pages may read the answers.
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
    The token of the API, compared in a time that says nothing of it.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def allows(self, authorization: str) -> bool:
        """
        Judge an `Authorization` header as WSGI gives it, whatever bytes the client put in it.
        """
        given = authorization.encode("latin-1", "replace")
        scheme, credentials = given[: len(SCHEME)], given[len(SCHEME) :].strip()
        return hmac.compare_digest(credentials, self._secret) and scheme.lower() == SCHEME


def cors_headers(origin: str, allowed: str) -> dict[str, str]:
    """
    Return the CORS headers of an answer to a page of `origin` ("" where it came from none).
    """
    return {"Access-Control-Allow-Origin": allowed} if origin == allowed else {}
