"""Behaviour and OpenAPI document agree: schemathesis sends what the schema allows and what it forbids.

What the schema allows must be accepted, what it forbids must be refused, and every answer must be as described. An
image cannot be generated from a schema, so a real one replaces each text in `frame`.
"""

from functools import cached_property

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings

from func.web.openapi import describe_api
from tests.http.asgi_client import AsgiAdapter
from tests.http.conftest import World
from tests.http.image_files import as_base64, make_image
from tests.running import run_function, serve_upstream

IMAGE_FILE = make_image(width_px=64, height_px=48)
IMAGE = as_base64(IMAGE_FILE)

SEEDED = settings(
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


CONFIG = {
    # A last frame without an image is valid, but there may be no session to score.
    "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", 410]}},
}

SCHEMA, SCHEMA_OF_SERVER = (
    schemathesis.openapi.from_dict(describe_api(), config=schemathesis.Config.from_dict(CONFIG)) for _ in range(2)
)


class Application:
    """The application with fake dependencies as a WSGI application, created at its first request."""

    @cached_property
    def _adapter(self):
        return AsgiAdapter(World(LANDMARKERS="2").handler)

    def __call__(self, environ, start_response):
        return self._adapter(environ, start_response)


SCHEMA.app = Application()


@pytest.fixture(scope="module")
def server(tmp_path_factory, mongo_uri):
    """Return the base URL of a real server."""
    environ = {"LANDMARKERS": "2", "BARRIER_TIMEOUT_S": "0", "MONGO_URI": mongo_uri, "MONGO_TIMEOUT_S": "5"}
    with serve_upstream() as upstream, run_function(upstream, tmp_path_factory.mktemp("log"), **environ) as running:
        yield running.url("")


def put_image_into(case):
    """Replace a text in `frame`; what is wrong with a request stays wrong, because any other text would be refused.

    Of several frames, each gets its own number, only one may be the last, and each has an image in multipart: the
    schema cannot say so.
    """
    if not isinstance(case.body, dict):
        return
    body = dict(case.body)
    if case.media_type == "multipart/form-data":
        if isinstance(body.get("metadata"), dict) and isinstance(body["metadata"].get("frames"), list):
            frames = body["metadata"]["frames"]
            body["metadata"] = {**body["metadata"], "frames": number_frames(frames)}
            body["frame"] = [IMAGE_FILE] * len(frames)
        elif "frame" in body:
            body["frame"] = IMAGE_FILE
    else:
        if isinstance(body.get("frame"), str) and body["frame"]:
            body["frame"] = IMAGE
        if isinstance(body.get("frames"), list):
            body["frames"] = [
                {**frame, "frame": IMAGE}
                if isinstance(frame, dict) and frame.get("frame") and isinstance(frame["frame"], str)
                else frame
                for frame in number_frames(body["frames"])
            ]
    case.body = body


def number_frames(frames):
    """Return frames with valid numbers in order; of those that are last, only the first one stays so."""
    numbered = []
    for number, frame in enumerate(frames, start=1):
        if isinstance(frame, dict):
            fields = dict(frame)
            sent = fields.get("frame_number")
            if isinstance(sent, int | float) and not isinstance(sent, bool) and sent == int(sent) and 1 <= sent < 2**31:
                fields["frame_number"] = number
            if fields.get("last_frame") is True and any(
                isinstance(each, dict) and each.get("last_frame") is True for each in numbered
            ):
                fields["last_frame"] = False
            numbered.append(fields)
        else:
            numbered.append(frame)
    return numbered


@pytest.mark.slow
@SCHEMA.parametrize()
@settings(SEEDED, max_examples=8)
def test_the_application_behaves_as_described(case):
    put_image_into(case)
    case.call_and_validate()


@pytest.mark.slow
@SCHEMA_OF_SERVER.parametrize()
@settings(SEEDED, max_examples=80)
def test_the_real_server_behaves_as_described(case, server):
    put_image_into(case)
    case.call_and_validate(base_url=server)
