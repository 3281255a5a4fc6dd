"""Session tokens with real processes: a viewer with tokens, and an attacker without."""

import itertools
import uuid

import pytest

from gaze_tools.sample_clip import SAMPLE, read_frames, seed_sample_maps
from gaze_tools.stack.client import GazeClient, GazeClientError
from gaze_tools.stack.launcher import start_function, start_upstream_services

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


@pytest.mark.parametrize("key", KEYS)
def test_a_viewer_calibrates_watches_and_is_scored(function_url, frames, key):
    viewer = {"ip_address": next(ADDRESSES), "token_key": key.encode()}
    calibration = GazeClient(function_url, video_id="five-targets", session_id=str(uuid.uuid4()), **viewer)
    calibration.post_frame(1, frames[0], calibration_target=[0.5, 0.5])
    viewing = GazeClient(function_url, video_id="sample", **viewer)
    calibrated = {
        "calibration_session": calibration.session_id,
        "calibration_token": calibration.session_token,
    }
    for number, frame in enumerate(frames, start=1):
        viewing.post_frame(number, frame, **calibrated)

    result = viewing.complete(FRAMES + 1, **calibrated).body["result"]

    assert (result["frames"]["received"], result["lost"]["missing"]) == (FRAMES, 0)
    assert result["calibration"]["reason"] == "too_few_dots"


@pytest.mark.parametrize("token_key", [None, b"x" * 32], ids=["no token", "another key"])
def test_a_stranger_neither_reads_nor_ends_the_session(function_url, frames, token_key):
    address = next(ADDRESSES)
    viewer = GazeClient(function_url, video_id="sample", ip_address=address, token_key=KEYS[0].encode())
    stranger = GazeClient(function_url, video_id="sample", ip_address=address, token_key=token_key)
    viewer.post_frame(1, frames[0])

    with pytest.raises(GazeClientError, match="401"):
        stranger.post_frame(1, frames[0])
    with pytest.raises(GazeClientError, match="401"):
        stranger.complete(1)

    assert viewer.complete(2).body["result"]["frames"]["received"] == 1
