"""Making the maps of a video file, with kills in between."""

import os
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from gaze_tools.saliency.compute import compute_maps, default_size, probe_video
from gaze_tools.saliency.models import make_model

FRAMES = 30


def write_video(path, *, frames=FRAMES, width=64, height=36, fps=25.0):
    """Write a video of a white square that moves to the right, without loss."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), fps, (width, height))
    for number in range(frames):
        frame = np.full((height, width, 3), 90, dtype=np.uint8)
        left = 2 + number * (width - 14) // max(1, frames)
        frame[10:20, left : left + 10] = 240
        writer.write(frame)
    writer.release()
    return path


@pytest.fixture
def video(tmp_path):
    return probe_video(write_video(tmp_path / "square.mkv"))


def numbers(store, **kwargs):
    return [number for number, _ in store.extract_saliencyMap("v", **kwargs).maps]


def test_a_video_says_what_it_is(video):
    assert (video.fps, video.width, video.height, video.stated_frames) == (25.0, 64, 36, FRAMES)
    assert len(video.sha256) == 64


def test_every_frame_gets_a_map_numbered_from_1(database, store, video):
    done = compute_maps(database, "v", video, make_model("spectral_residual", faces=False))

    assert (done.frames, done.maps, done.made) == (30, 30, 30)
    assert numbers(store) == list(range(1, 31))


def test_maps_of_every_n_th_frame_are_held_between(database, store, video):
    done = compute_maps(database, "v", video, make_model("spectral_residual", faces=False), every=7)

    assert done.maps == 5
    assert numbers(store) == [1, 8, 15, 22, 29]
    assert store.extract_saliencyMap("v").held_every == 7
    seen = dict(store.extract_saliencyMap("v", frame_nums=[1, 7, 8, 30]).maps)
    assert np.array_equal(seen[1], seen[7])
    assert not np.array_equal(seen[7], seen[8])
    assert list(seen) == [1, 7, 8, 30]


def test_the_map_follows_the_square(database, store, video):
    compute_maps(database, "v", video, make_model("itti_koch", faces=False), size=(18, 32))

    peaks = [int(each.max(axis=0).argmax()) for _, each in store.extract_saliencyMap("v", frame_nums=[5, 15, 25]).maps]
    assert peaks[0] + 3 < peaks[1] < peaks[2] - 3


def test_the_facts_say_how_the_maps_were_made(database, video):
    compute_maps(database, "v", video, make_model("itti_koch", faces=False), every=5, size=(18, 32))

    facts = database["videos"].find_one()
    assert facts["how"] == "itti_koch (Itti, Koch and Niebur 1998; Itti, Dhavale and Pighin 2003)"
    assert (facts["fps"], facts["width"], facts["height"], facts["frame_count"]) == (25.0, 64, 36, 30)
    assert (facts["map_width"], facts["map_height"], facts["map_count"]) == (32, 18, 6)
    assert (facts["every"], facts["held"]) == (5, True)


def test_the_same_again_makes_nothing(database, video):
    compute_maps(database, "v", video, make_model("spectral_residual", faces=False))

    assert compute_maps(database, "v", video, make_model("spectral_residual", faces=False)).made == 0
    assert compute_maps(database, "v", video, make_model("spectral_residual", faces=False), again=True).made == 30


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("model", ["spectral_residual", "itti_koch"])
def test_a_run_that_broke_off_goes_on_and_ends_with_the_same_maps(database, video, model, every):
    def break_off(number, _made):
        if number == 17:
            raise KeyboardInterrupt

    whole = compute_maps(database, "whole", video, make_model(model, faces=False), every=every)
    # 32 maps are stored at a time: what waits in memory is lost with the process.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gaze_tools.saliency.writer._MAPS_PER_BATCH", 3)
        with pytest.raises(KeyboardInterrupt):
            compute_maps(database, "v", video, make_model(model, faces=False), every=every, on_frame=break_off)
        done = compute_maps(database, "v", video, make_model(model, faces=False), every=every)

    assert 0 < done.made < whole.made
    assert done.digest == whole.digest


def test_another_file_under_the_same_name_begins_anew(database, tmp_path):
    path = write_video(tmp_path / "one.mkv")
    compute_maps(database, "v", probe_video(path), make_model("spectral_residual", faces=False))
    write_video(path, frames=12)

    assert compute_maps(database, "v", probe_video(path), make_model("spectral_residual", faces=False)).made == 12


def test_a_map_is_as_the_video_is_shaped_and_at_most_480_wide(tmp_path):
    wide = probe_video(write_video(tmp_path / "wide.mkv", frames=1, width=960, height=540))
    small = probe_video(write_video(tmp_path / "small.mkv", frames=1))

    assert default_size(wide) == (270, 480)
    assert default_size(small) == (36, 64)


def test_what_is_no_video_is_said(tmp_path):
    (tmp_path / "text.mp4").write_text("not a video")

    with pytest.raises(OSError, match="as a video"):
        probe_video(tmp_path / "text.mp4")
    with pytest.raises(OSError, match="as a video"):
        probe_video(tmp_path / "nothing.mp4")


NEVER_FINISHING = """
import threading
from gaze_tools import cli
from gaze_tools.saliency.writer import Generation
write = Generation.write
def write_or_stop(self, number, *arguments, **options):
    if number > 300:
        threading.Event().wait()
    write(self, number, *arguments, **options)
Generation.write = write_or_stop
cli.main(prog_name="gaze")
"""
"""The command `gaze`, which however stops at frame 300: a test that is slow to kill it still finds it at work."""


@pytest.mark.slow
def test_a_command_killed_hard_goes_on_without_computing_anything_twice(mongo_uri, database, store, tmp_path):
    path = write_video(tmp_path / "long.mkv", frames=400, width=320, height=180)
    command = ["saliency", "compute", str(path), "--video-id", "v"]
    command += ["--model", "itti_koch", "--every", "2", "--grace", "0", "--no-faces"]
    environment = {**os.environ, "MONGO_URI": mongo_uri, "MONGO_DATABASE": database.name}
    for stored_before_kill in (32, 96):
        process = subprocess.Popen(
            [sys.executable, "-c", NEVER_FINISHING, *command], env=environment, stdout=subprocess.DEVNULL
        )
        try:
            while database["v"].estimated_document_count() < stored_before_kill:
                assert process.poll() is None
                time.sleep(0.01)
        finally:
            process.kill()
            process.wait()
    stored = {each["_id"] for each in database["v"].find({}, {"_id": 1})}
    assert 96 <= len(stored) < 200
    database["v"].update_many({}, {"$set": {"from_before": True}})

    last = subprocess.run(
        [sys.executable, "-m", "gaze_tools.cli", *command], env=environment, check=True, capture_output=True, text=True
    )

    assert f"{200 - len(stored)} maps made in" in last.stdout
    assert {each["_id"] for each in database["v"].find({"from_before": True}, {"_id": 1})} == stored
    assert numbers(store) == list(range(1, 401, 2))
    whole = compute_maps(database, "whole", probe_video(path), make_model("itti_koch", faces=False), every=2)
    assert store.extract_saliencyMap("v").digest == whole.digest
