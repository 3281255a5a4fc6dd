"""docs/integrate.md: its commands and files work, and its tables are those of the code."""

import importlib.util
import re
from io import BytesIO

import pytest
import requests

from func.session_token import TokenVerifier
from func.web import problems
from func.web.problems import PROBLEMS, Problem
from tests.docs.guides import RUNNERS, follow_on_free_ports, read_blocks
from tests.docs.test_links import ROOT
from tests.studio.person import BLOCKED_CAMERA, open_page
from tests.studio.test_client_module import run as run_client

DOCUMENT = "docs/integrate.md"
GUIDE = (ROOT / DOCUMENT).read_text(encoding="utf-8")
BLOCKS = read_blocks(DOCUMENT)
GATEWAY = ROOT / "docs/examples/gateway.py"
FILES = ["gateway.py", "page/index.html", "page/main.js", "page/calibrate.js"]


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    with follow_on_free_ports(tmp_path_factory.mktemp("reader")) as reader:
        yield reader


def test_every_block_has_a_runner():
    assert [str(block) for block in BLOCKS if block.kind not in RUNNERS] == []
    assert [block.file_name for block in BLOCKS if block.kind == "file"] == FILES


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(len(BLOCKS)), ids=[f"line-{block.line}" for block in BLOCKS])
def test_a_reader_can_follow(reader, number):
    reader.follow(BLOCKS[: number + 1])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_page_calibrates_and_scores(reader):
    reader.follow(BLOCKS)
    address = reader.replace("http://localhost:8000")
    with open_page() as (page, seen):
        page.goto(address)
        page.click("#camera")
        page.click("#start:not([disabled])")
        page.wait_for_function("document.getElementById('film').currentTime > 1")
        # The server is gone for a while: the film waits.
        page.route("**/gaze", lambda route: route.abort())
        page.wait_for_function("document.getElementById('film').paused")
        assert page.is_visible("#waiting")
        page.unroute("**/gaze")
        page.wait_for_selector("#waiting", state="hidden")
        page.wait_for_selector("#message:has-text('core')")
        text = page.inner_text("#message")
        calibration, viewing = seen.results()

    assert (calibration["calibration"]["dots"], calibration["calibration"]["validation"]["dots"]) == (5, 2)
    assert viewing["calibration"]["used"]
    assert viewing["lost"]["missing"] == 0
    score = re.fullmatch(r"Score: ([\d.]+) \(chance: ([\d.]+)\)", text)
    # The person follows the salient object; chance is 30.
    assert score, text
    assert float(score[1]) > 40
    assert [error for error in seen.errors if "Failed to load resource" not in error] == []
    assert seen.origins() == {address}
    loaded = {url.removeprefix(address) for status, url in seen.answers if status == 200}
    assert loaded >= {f"/{name.removeprefix('page/')}" for name in FILES if name != "gateway.py"} - {"/index.html"}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_page_explains_a_blocked_camera(reader):
    reader.follow(BLOCKS)
    with open_page() as (page, seen):
        page.add_init_script(BLOCKED_CAMERA)
        page.goto(reader.replace("http://localhost:8000"))
        page.click("#camera")
        page.wait_for_selector("#message:has-text('The camera is blocked')")
        assert page.is_disabled("#start")

    assert seen.errors == []


def test_the_gateway_is_the_example():
    assert next(block.text for block in BLOCKS if block.file_name == "gateway.py") == GATEWAY.read_text()


def load_gateway(monkeypatch, tmp_path, key=""):
    monkeypatch.setenv("PAGE", str(tmp_path))
    monkeypatch.setenv("TOKEN_KEY", key)
    spec = importlib.util.spec_from_file_location("gateway_of_the_guide", GATEWAY)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.app.test_client()


def test_the_gateway_signs_tokens_that_the_function_accepts(monkeypatch, tmp_path):
    key = "0123456789abcdef0123456789abcdef"
    started = load_gateway(monkeypatch, tmp_path, key).post("/api/viewings", json={"video_id": "sample"}).get_json()

    viewing = TokenVerifier([key.encode()]).verify(
        started["session_token"], session_id=started["session_id"], ip_address="127.0.0.1", video_id="sample"
    )
    assert viewing is not None


def test_without_a_key_the_gateway_makes_no_token(monkeypatch, tmp_path):
    answer = load_gateway(monkeypatch, tmp_path).post("/api/viewings", json={"video_id": "sample"})

    assert answer.get_json().keys() == {"session_id", "video_id"}


@pytest.mark.parametrize(
    ("path", "options", "status"),
    [
        ("/api/viewings", {"json": {"video_id": "another"}}, 404),
        ("/api/viewings", {"json": ["sample"]}, 404),
        ("/api/viewings", {"data": "sample"}, 404),
        ("/gaze", {"data": {"metadata": "{"}}, 400),
        ("/gaze", {"data": {"metadata": "[]"}}, 400),
        ("/gaze", {"data": {"metadata": "[" * 100_000}}, 400),
        ("/gaze", {"data": {"frame": (BytesIO(bytes(8 * 2**20)), "f"), "metadata": "{}"}}, 413),
        ("/gaze", {"data": {}}, 400),
    ],
)
def test_the_gateway_refuses_malformed_requests(monkeypatch, tmp_path, path, options, status):
    assert load_gateway(monkeypatch, tmp_path).post(path, **options).status_code == status


def test_the_gateway_says_that_the_metadata_is_missing(monkeypatch, tmp_path):
    answer = load_gateway(monkeypatch, tmp_path).post("/gaze", data={})

    assert answer.get_json() == {"detail": "The part metadata is not a JSON object."}


def test_the_gateway_logs_which_function_it_cannot_reach(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("FUNCTION_URL", "http://127.0.0.1:9")

    answer = load_gateway(monkeypatch, tmp_path).post("/gaze", data={"metadata": "{}"})

    assert (answer.status_code, answer.headers["Retry-After"]) == (502, "1")
    assert "http://127.0.0.1:9 cannot be reached" in caplog.text


def test_the_gateway_uses_no_proxy_of_the_environment(monkeypatch, tmp_path):
    requested = []
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setattr(
        "requests.adapters.HTTPAdapter.send",
        lambda _adapter, request, *, proxies, **_: requested.append(proxies) or make_response(request),
    )

    answer = load_gateway(monkeypatch, tmp_path).post("/gaze", data={"metadata": "{}"})

    assert (answer.status_code, requested) == (200, [{}])


def make_response(request):
    response = requests.Response()
    response.status_code, response.raw, response.request = 200, BytesIO(b"{}"), request
    return response


def test_the_gateway_says_the_address_itself(monkeypatch, tmp_path):
    sent = []
    monkeypatch.setattr(
        "requests.adapters.HTTPAdapter.send",
        lambda _adapter, request, **_: sent.append(request.body) or make_response(request),
    )
    gateway = load_gateway(monkeypatch, tmp_path)

    gateway.post("/gaze", data={"metadata": '{"ip_address": "6.6.6.6"}'}, headers={"X-Forwarded-For": "6.6.6.6"})

    assert b'"ip_address": "127.0.0.1"' in sent[0]
    assert b"6.6.6.6" not in sent[0]


def read_errors():
    """Return status, what the client does and advice for each problem type in the table."""
    table = GUIDE.split("<!-- errors: begin -->")[1].split("<!-- errors: end -->")[0]
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in table.splitlines()
        if line.startswith("| `") and "`type`" not in line
    ]
    return {
        slug: (int(status), client, advice)
        for types, status, client, advice in rows
        for slug in re.findall(r"`([^`]+)`", types)
    }


def test_every_problem_type_has_advice_and_its_status():
    known = [*PROBLEMS.values(), *(each for each in vars(problems).values() if isinstance(each, Problem))]

    assert {slug: status for slug, (status, _, _) in read_errors().items()} == {
        each.slug: each.status for each in known
    }
    assert all(advice for _, _, advice in read_errors().values())


def test_the_client_repeats_what_the_table_says():
    statuses = sorted({status for status, _, _ in read_errors().values()})
    repeated = run_client("gaze-client.js", f"{statuses}.filter(m.isTemporary)")

    assert {status: client for status, client, _ in read_errors().values()} == {
        status: "repeats" if status in repeated else "throws" for status in statuses
    }


def test_every_event_of_the_client_is_listed():
    source = (ROOT / "gaze_tools/studio/static/gaze-client.js").read_text(encoding="utf-8")
    viewing = source.split("export class Viewing")[1]
    emitted = set(re.findall(r'_emit\("(\w+)"', viewing)) | {"trouble", "recovery"}
    table = GUIDE.split("Events of `Viewing`")[1].split("\n\n")[1]

    assert {name for line in table.splitlines() for name in re.findall(r"`(\w+)`", line.split("|")[1])} == emitted
