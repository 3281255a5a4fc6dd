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
    """Replace a text in `frame`; what is wrong with a request stays wrong, because any other text would be refused."""
    if not isinstance(case.body, dict) or "frame" not in case.body:
        return
    if case.media_type == "multipart/form-data":
        case.body = {**case.body, "frame": IMAGE_FILE}
    elif isinstance(case.body["frame"], str) and case.body["frame"]:
        case.body = {**case.body, "frame": IMAGE}


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
