"""Fixtures of the tests of `gaze_tools`."""

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from func.adapters.saliency_store import MongoSaliencyMaps
from tests.gaze_tools.example_maps import MAPS


@pytest.fixture
def store(mongo_uri, database):
    return MongoSaliencyMaps(mongo_uri, database=database.name, timeout_s=10)


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "video.mkv"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), 25.0, (64, 36))
    for number in range(12):
        frame = np.full((36, 64, 3), 90, dtype=np.uint8)
        frame[10:20, 2 + 4 * number : 12 + 4 * number] = 240
        writer.write(frame)
    writer.release()
    return path


@pytest.fixture
def gaze(mongo_uri, database, monkeypatch):
    """Run the command in a wide terminal and return its output; `fails` when it must."""

    from gaze_tools.cli import main
    from gaze_tools.command_line import console

    # Its width is that of the moment when it was imported, and a variable of the developer's shell can change it.
    monkeypatch.setattr(console, "_width", 400)

    def run(*arguments, fails=False):
        result = CliRunner().invoke(
            main, [str(each) for each in arguments], env={"MONGO_URI": mongo_uri, "MONGO_DATABASE": database.name}
        )
        assert (result.exit_code != 0) is fails, result.output
        assert "Traceback" not in result.output
        return " ".join(result.output.split())

    return run


@pytest.fixture
def array(tmp_path):
    np.save(tmp_path / "maps.npy", MAPS)
    return tmp_path / "maps.npy"
