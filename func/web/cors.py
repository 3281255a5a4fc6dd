"""Cross-origin requests (the Fetch standard's CORS protocol): which web pages may post frames from a browser.

The function needs no cookies, so credentials are never allowed.
"""

from collections.abc import Callable, Collection

PATH = "/gaze"
"""The only path that pages of other origins may use."""

ALLOWED_HEADERS = ("Content-Type",)
EXPOSED_HEADERS = ("Retry-After", "WWW-Authenticate", "X-Request-Id")
PREFLIGHT_MAX_AGE_S = 600


class CorsPolicy:
    """Adds headers to answers for pages of the listed origins; without any, answers stay as they are.

    Args:
        origins: Exact origins, such as `https://study.example`.
    """

    def __init__(self, origins: Collection[str]) -> None:
        self._origins = frozenset(origins)

    def list_headers(self, method: str, path: str, find_header: Callable[[str], str | None]) -> dict[str, str]:
        """Return the headers that the answer to a request needs in addition.

        Args:
            method: Method of the request.
            path: Its path.
            find_header: Returns the value of a header by its name in lower case, None without it.
        """
        if not self._origins or path != PATH:
            return {}
        # Also in answers to other origins: a cache must not confuse them.
        headers = {"Vary": "Origin"}
        origin = find_header("origin")
        if origin not in self._origins:
            return headers
        headers["Access-Control-Allow-Origin"] = origin
        if method == "OPTIONS" and find_header("access-control-request-method"):
            headers["Access-Control-Allow-Methods"] = "POST"
            headers["Access-Control-Allow-Headers"] = ", ".join(ALLOWED_HEADERS)
            headers["Access-Control-Max-Age"] = str(PREFLIGHT_MAX_AGE_S)
        else:
            headers["Access-Control-Expose-Headers"] = ", ".join(EXPOSED_HEADERS)
        return headers
