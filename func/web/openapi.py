"""The OpenAPI 3.1 document."""

from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from func.errors import NotReadyError
from func.tracing import MAX_TRACESTATE_LENGTH, REQUEST_ID
from func.web.batch_schemas import MAX_FRAMES, BatchAnswer, BatchMetadata, BatchRequest
from func.web.problems import PROBLEMS, Problem
from func.web.schemas import (
    MULTIPART_CONDITION,
    CompletedAnswer,
    FrameAnswer,
    FrameMetadata,
    FrameRequest,
    LivenessAnswer,
    ProblemDocument,
    ReadinessAnswer,
)

_SOMETIMES_ABSENT = {
    "CalibrationSummary": {"refreshed", "refreshed_by_deg", "other_viewer", "mirrored"},
    "CalibrationCheck": {"drift"},
}
"""Keys of answers that are not always there, unlike all others with a default."""

_REQUEST_ID_OF_ANSWER = {
    "description": "That of the request if it was valid, otherwise a new UUID.",
    "schema": {"type": "string", "pattern": f"^{REQUEST_ID.pattern}$"},
}

_TRACE_HEADERS = [
    {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        # Any value is accepted: one that is invalid is replaced, and never refused.
        "schema": {"type": "string"},
    }
    for name, description in (
        (
            "X-Request-Id",
            f"Id of the request in logs and answers, `{REQUEST_ID.pattern}`. Any other value is replaced by a UUID.",
        ),
        ("traceparent", "W3C Trace Context. An invalid value is replaced by a new trace."),
        ("tracestate", f"W3C Trace Context, up to {MAX_TRACESTATE_LENGTH} characters; otherwise ignored."),
    )
]


@cache
def describe_api() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document, generated from the models that validate requests."""
    requests: tuple[type[BaseModel], ...] = (FrameRequest, FrameMetadata, BatchRequest, BatchMetadata)
    answers: tuple[type[BaseModel], ...] = (
        FrameAnswer,
        BatchAnswer,
        CompletedAnswer,
        LivenessAnswer,
        ReadinessAnswer,
        ProblemDocument,
    )
    _, schemas = models_json_schema(
        [*((model, "validation") for model in requests), *((model, "serialization") for model in answers)],
        ref_template="#/components/schemas/{model}",
    )
    for model, names in _SOMETIMES_ABSENT.items():
        described = schemas["$defs"][model]
        described["required"] = [name for name in described["required"] if name not in names]
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "gaze-function",
            "version": version("function"),
            "description": "Estimates where viewers look in webcam frames and scores their attention to a video.",
        },
        "paths": {
            "/gaze": {
                "post": {
                    "operationId": "processFrame",
                    "parameters": _TRACE_HEADERS,
                    "summary": "Process one frame, or several; score the session after the last one.",
                    "requestBody": {
                        "required": True,
                        "content": {
                            "application/json": {
                                "schema": {"anyOf": [_reference(FrameRequest), _reference(BatchRequest)]}
                            },
                            "multipart/form-data": _describe_multipart(),
                        },
                    },
                    "responses": {
                        "200": _describe_answer(
                            "The frame is stored, at least one of the frames is, or the session is scored.",
                            FrameAnswer,
                            CompletedAnswer,
                            BatchAnswer,
                        ),
                        **_describe_problems(PROBLEMS.values()),
                    },
                }
            },
            "/health/liveness": {
                "get": {
                    "operationId": "getLiveness",
                    "summary": "Liveness of the process.",
                    "responses": {"200": _describe_answer("The process is alive.", LivenessAnswer)},
                }
            },
            "/health/readiness": {
                "get": {
                    "operationId": "getReadiness",
                    "summary": "Readiness of model and landmarker, and the state of each upstream service.",
                    "responses": {
                        "200": _describe_answer("Model and landmarker are loaded.", ReadinessAnswer),
                        **_describe_problems([PROBLEMS[NotReadyError]]),
                    },
                }
            },
            "/metrics": {
                "get": {
                    "operationId": "getMetrics",
                    "summary": "Metrics of this process.",
                    "responses": {
                        "200": {
                            "description": "Prometheus' text format.",
                            "content": {"text/plain": {"schema": {"type": "string"}}},
                        }
                    },
                }
            },
            "/openapi.json": {
                "get": {
                    "operationId": "getOpenapi",
                    "summary": "This document.",
                    "responses": {
                        "200": {
                            "description": "OpenAPI 3.1.",
                            "content": {"application/json": {"schema": {"type": "object"}}},
                        }
                    },
                }
            },
        },
        "components": {"schemas": schemas["$defs"]},
    }
    for path in document["paths"].values():
        for operation in path.values():
            for answer in operation["responses"].values():
                answer["headers"] = {"X-Request-Id": _REQUEST_ID_OF_ANSWER} | answer.get("headers", {})
    return document


def _describe_multipart() -> dict[str, Any]:
    condition: dict[str, Any] = MULTIPART_CONDITION
    return {
        "schema": {
            "type": "object",
            "required": ["metadata"],
            "properties": {
                "metadata": {"anyOf": [_reference(FrameMetadata), _reference(BatchMetadata)]},
                "frame": {
                    "anyOf": [
                        {
                            "description": "JPEG, PNG or WebP; required unless `last_frame`.",
                            "contentMediaType": "application/octet-stream",
                        },
                        {
                            "description": "One part for each of the `frames`, in their order; a last frame without an "
                            "image has none.",
                            "type": "array",
                            "maxItems": MAX_FRAMES,
                            "items": {"contentMediaType": "application/octet-stream"},
                        },
                    ]
                },
            },
            **condition,
        },
        "encoding": {
            "metadata": {"contentType": "application/json"},
            "frame": {"contentType": "image/jpeg, image/png, image/webp"},
        },
    }


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _describe_answer(description: str, *models: type[BaseModel]) -> dict[str, Any]:
    references = [_reference(model) for model in models]
    schema = references[0] if len(references) == 1 else {"oneOf": references}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _describe_problems(problems: Iterable[Problem]) -> dict[str, Any]:
    """Return the OpenAPI responses for these problems by status."""
    titles: dict[int, list[str]] = {}
    retried = set()
    for problem in problems:
        known = titles.setdefault(problem.status, [])
        if problem.title not in known:
            known.append(problem.title)
        if problem.retry_after_s is not None:
            retried.add(problem.status)
    answers: dict[str, Any] = {}
    for status, names in sorted(titles.items()):
        answers[str(status)] = {
            "description": "; ".join(names) + ".",
            "content": {"application/problem+json": {"schema": _reference(ProblemDocument)}},
        }
        if status in retried:
            answers[str(status)]["headers"] = {
                "Retry-After": {"description": "Time to wait, in seconds.", "schema": {"type": "integer", "minimum": 1}}
            }
    return answers
