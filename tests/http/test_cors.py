"""Which web pages may post frames to the function from a browser."""

import pytest

from func.errors import BusyError, SettingsError
from func.settings import read_settings
from func.web.frames import Frames

PAGE = "https://study.example"
PREFLIGHT = {"Origin": PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}


def cors_headers(answer):
    return {name: value for name, value in answer.headers if name.startswith("Access-Control") or name == "Vary"}


def test_by_default_no_answer_allows_anything(world, make_body):
    assert cors_headers(world.client.options("/gaze", headers=PREFLIGHT)) == {}
    assert cors_headers(world.post(make_body(), headers={"Origin": PAGE})) == {}


def test_a_preflight_of_a_listed_page_is_allowed(make_world):
    answer = make_world(CORS_ORIGINS=f"http://localhost:3000, {PAGE}").client.options("/gaze", headers=PREFLIGHT)

    assert answer.status_code == 204
    assert cors_headers(answer) == {
        "Access-Control-Allow-Origin": PAGE,
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": "Content-Type",
        "Access-Control-Max-Age": "600",
        "Vary": "Origin",
    }


@pytest.mark.parametrize(("frame_number", "status"), [(1, 200), (0, 400)])
def test_a_listed_page_reads_answers_and_delays(make_world, make_body, frame_number, status):
    world = make_world(CORS_ORIGINS=PAGE)

    answer = world.post(make_body(frame_number=frame_number), headers={"Origin": PAGE})

    assert answer.status_code == status
    assert cors_headers(answer) == {
        "Access-Control-Allow-Origin": PAGE,
        "Access-Control-Expose-Headers": "Retry-After, WWW-Authenticate, X-Request-Id",
        "Vary": "Origin",
    }


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://study.example", "https://study.example:444", "https://a.study.example", "null"],
)
def test_any_other_page_is_not(make_world, make_body, origin):
    world = make_world(CORS_ORIGINS=PAGE)

    for answer in (
        world.post(make_body(), headers={"Origin": origin}),
        world.client.options("/gaze", headers={**PREFLIGHT, "Origin": origin}),
    ):
        assert cors_headers(answer) == {"Vary": "Origin"}


def test_a_listed_page_reads_the_delay_of_an_early_refusal(make_world, monkeypatch):
    world = make_world(CORS_ORIGINS=PAGE)

    def refuse(_self):
        raise BusyError(retry_after_s=2.0)

    monkeypatch.setattr(Frames, "check_load", refuse)
    answer = world.handler.refuse_frame({"origin": PAGE}.get)

    assert answer.status == 503
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize("path", ["/metrics", "/health/readiness", "/openapi.json"])
def test_pages_read_nothing_but_their_frames(make_world, path):
    answer = make_world(CORS_ORIGINS=PAGE).client.get(path, headers={"Origin": PAGE})

    assert cors_headers(answer) == {}


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "null",
        "https://*.example",
        "https://study.example/",
        "https://study.example/page",
        "https://Study.example",
        "https://study.example:443",
        "http://study.example:80",
        "https://study.example:70000",
        "study.example",
        "ftp://study.example",
        "https://user@study.example",
        "https://study.example,",
    ],
)
def test_only_exact_origins_are_accepted(text):
    with pytest.raises(SettingsError, match="CORS_ORIGINS must be origins"):
        read_settings({"MONGO_URI": "mongodb://localhost", "CORS_ORIGINS": text})


def test_several_origins_are_read():
    settings = read_settings(
        {"MONGO_URI": "mongodb://localhost", "CORS_ORIGINS": "https://a.example, http://localhost:3000,http://[::1]:5"}
    )

    assert settings.cors_origins == ("https://a.example", "http://localhost:3000", "http://[::1]:5")
