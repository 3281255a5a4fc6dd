"""Errors of the gateway as problem documents (RFC 9457), in the form of the function's own."""

import json
import uuid
from collections.abc import Mapping

from flask import Response

PROBLEM_TYPE = "application/problem+json"


class StudioError(Exception):
    """A request that the gateway refuses.

    Attributes:
        status: HTTP status.
        slug: Last part of the problem's type.
        title: Title of the problem.
    """

    def __init__(self, status: int, slug: str, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.slug, self.title = status, slug, title


def answer_problem(error: StudioError, headers: Mapping[str, str] | None = None) -> Response:
    """Return a problem document."""
    document = {
        "type": f"/problems/{error.slug}",
        "title": error.title,
        "status": error.status,
        "detail": str(error),
        "instance": uuid.uuid4().urn,
    }
    return Response(json.dumps(document), error.status, dict(headers or {}), content_type=PROBLEM_TYPE)


def bad_request(detail: str) -> StudioError:
    """Return the error for a malformed request."""
    return StudioError(400, "bad-request", "Bad request", detail)


def not_found(detail: str) -> StudioError:
    """Return the error for something that does not exist."""
    return StudioError(404, "not-found", "Not found", detail)
