"""Session tokens with real processes: a viewer with tokens, and an attacker without."""

import itertools
import uuid

import pytest

from gaze_tools.client import GazeClient, GazeRequestError, make_session_id
from gaze_tools.sample_clip import SAMPLE, read_frames, seed_sample_maps
from gaze_tools.stack.launcher import start_function, start_upstream_services
from gaze_tools.stack.session_tokens import sign_session

pytestmark = pytest.mark.slow

FRAMES = 5
KEYS = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210")


@pytest.fixture(scope="module")
def frames():
    return list(read_frames(str(SAMPLE / "clip.mp4"), FRAMES))


@pytest.fixture(scope="module")
def function_url(tmp_path_factory):
    log_dir = tmp_path_factory.mktemp("logs")
    with start_upstream_services(log_dir) as upstream:
        seed_sample_maps(upstream, FRAMES)
        settings = {"SESSION_TOKEN_KEYS": ",".join(KEYS)}
        with start_function(upstream, log_dir, settings=settings) as url:
            yield url
    log = (log_dir / "function.log").read_text()
    assert not any(key in log for key in KEYS)
    assert "v1." not in log


ADDRESSES = (f"198.51.100.{host}" for host in itertools.count(1))


def start_viewing(client, address, key, **fields):
    token = key and sign_session(key, make_session_id(address, "sample"), "sample", address)
    return client.start_viewing("sample", ip_address=address, session_token=token, **fields)


@pytest.mark.parametrize("key", KEYS)
def test_a_viewer_calibrates_watches_and_is_scored(function_url, frames, key):
    address, calibration_id = next(ADDRESSES), str(uuid.uuid4())
    with GazeClient(function_url) as client:
        calibration = client.start_calibration(
            video_id="five-targets",
            ip_address=address,
            session_id=calibration_id,
            session_token=sign_session(key, calibration_id, "five-targets", address),
        )
        calibration.measure((0.5, 0.5), [frames[0]])
        viewing = start_viewing(client, address, key, calibration=calibration)
        viewing.send_batch(frames)

        result = viewing.complete().result

    assert (result["frames"]["received"], result["lost"]["missing"]) == (FRAMES, 0)
    assert result["calibration"]["reason"] == "too_few_dots"


@pytest.mark.parametrize("key", [None, "x" * 32], ids=["no token", "another key"])
def test_a_stranger_neither_reads_nor_ends_the_session(function_url, frames, key):
    address = next(ADDRESSES)
    with GazeClient(function_url) as client:
        viewer = start_viewing(client, address, KEYS[0])
        stranger = start_viewing(client, address, key)
        viewer.send(frames[0])

        for attempt in (lambda: stranger.send(frames[0], frame_number=1), stranger.complete):
            with pytest.raises(GazeRequestError) as caught:
                attempt()
            assert (caught.value.status, caught.value.type) == (401, "/problems/session-token")

        assert viewer.complete().result["frames"]["received"] == 1
