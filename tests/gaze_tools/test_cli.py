"""The command `gaze`, as a user types it."""

import importlib
import json
import socket
import tomllib
import zlib
from datetime import timedelta
from types import SimpleNamespace

import click
import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from gaze_tools.cli import COMMANDS, main
from gaze_tools.film import read_times
from gaze_tools.saliency import options, writer
from gaze_tools.serve import format_activation
from tests.docs.test_links import ROOT
from tests.gaze_tools.example_maps import MAPS


def numbers(store):
    return [number for number, _ in store.extract_saliencyMap("v").maps]


class TestCompute:
    @pytest.mark.parametrize("model", ["spectral_residual", "itti_koch", "centre_bias"])
    def test_it_says_how_many_maps_it_made_and_how_fast(self, gaze, video, model):
        said = gaze("saliency", "compute", video, "--video-id", "v", "--model", model, "--every", "5")

        assert "3 maps made in" in said
        assert "maps/s (decoding" in said
        assert "3 maps for 12 frames of v, digest" in said

    def test_the_size_is_width_by_height(self, gaze, video, store):
        gaze("saliency", "compute", video, "--video-id", "v", "--size", "20x10")

        assert next(store.extract_saliencyMap("v").maps)[1].shape == (10, 20)

    def test_replaced_maps_are_removed_when_readers_had_their_time(self, gaze, video, database, monkeypatch):
        waited_s = []
        now = writer._now
        monkeypatch.setattr(writer, "_now", lambda: now() + timedelta(seconds=sum(waited_s)))
        monkeypatch.setattr(options, "time", SimpleNamespace(sleep=waited_s.append))
        compute = ("saliency", "compute", video, "--video-id", "v", "--no-faces", "--every", "6")

        gaze(*compute)
        said = gaze(*compute, "--model", "centre_bias", "--grace", "600")

        assert "Removing the replaced maps in" in said
        assert [300 < each <= 600 for each in waited_s] == [True]
        assert database["v"].distinct("generation") == [2]

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--video-id", "a/b"], "not a video id"),
            (["--video-id", "v", "--size", "20"], "is not a size such as 480x270"),
            (["--video-id", "v", "--every", "0"], "Invalid value for '--every'"),
            (["--video-id", "v", "--model", "deepgaze"], "is not one of"),
            ([], "Missing option '--video-id'"),
        ],
    )
    def test_what_makes_no_sense_is_said(self, gaze, video, arguments, said):
        assert said in gaze("saliency", "compute", video, *arguments, fails=True)

    def test_a_file_that_is_no_video_is_said(self, gaze, tmp_path):
        (tmp_path / "text.mp4").write_text("not a video")

        assert "as a video" in gaze("saliency", "compute", tmp_path / "text.mp4", "--video-id", "v", fails=True)


class TestImport:
    def test_an_array(self, gaze, array, store, database):
        gaze("saliency", "import", array, "--video-id", "v", "--fps", "25", "--how", "by a friend")

        found = dict(store.extract_saliencyMap("v").maps)
        assert list(found) == [1, 2, 3, 4, 5, 6]
        assert np.array_equal(found[6], MAPS[5])
        assert database["videos"].find_one()["how"] == "by a friend"

    def test_every_n_th_frame_held_between(self, gaze, array, store):
        gaze("saliency", "import", array, "--video-id", "v", "--fps", "25", "--every", "3", "--held", "--first", "1")

        assert numbers(store) == [1, 4, 7, 10, 13, 16]
        assert [number for number, _ in store.extract_saliencyMap("v", frame_nums=[3, 18, 19]).maps] == [3, 18]

    def test_old_forms_of_the_same_collection_become_compact(self, gaze, database, store):
        database["v"].insert_many(
            {"frame_num": number, "saliency_map": (MAPS[number] / 255).tolist()} for number in range(6)
        )

        gaze("saliency", "import", "collection:v", "--video-id", "v", "--fps", "25", "--grace", "0")

        assert numbers(store) == [0, 1, 2, 3, 4, 5]
        assert {document.get("encoding") for document in database["v"].find()} == {"zlib"}
        assert np.array_equal(dict(store.extract_saliencyMap("v").maps)[5], MAPS[5])

    def test_maps_that_cannot_be_used_are_named_and_change_nothing(self, gaze, tmp_path, store, array):
        gaze("saliency", "import", array, "--video-id", "v", "--fps", "25")
        bad = np.tile([[1.0, 0.5], [0.5, 0.0]], (3, 1, 1))
        bad[1, 0, 0] = np.nan
        np.save(tmp_path / "bad.npy", bad)

        said = gaze("saliency", "import", tmp_path / "bad.npy", "--video-id", "v", "--fps", "25", fails=True)

        assert "frame 2: 1 of 4 values are not finite (NaN)" in said
        assert "1 maps are unusable" in said
        assert len(numbers(store)) == 6

    def test_unless_they_are_to_be_left_out(self, gaze, tmp_path, store):
        bad = np.tile([[1.0, 0.5], [0.5, 0.0]], (3, 1, 1))
        bad[1, 0, 0] = np.inf
        np.save(tmp_path / "bad.npy", bad)

        gaze("saliency", "import", tmp_path / "bad.npy", "--video-id", "v", "--fps", "25", "--skip-unusable")

        assert numbers(store) == [1, 3]

    def test_the_rate_must_be_known(self, gaze, array, video, store):
        assert "add --fps or --video" in gaze("saliency", "import", array, "--video-id", "v", fails=True)

        gaze("saliency", "import", array, "--video-id", "v", "--video", video)

        assert store.extract_saliencyMap("v").fps == 25.0


class TestExportAndShow:
    def test_an_export_is_what_was_imported(self, gaze, array, tmp_path):
        gaze("saliency", "import", array, "--video-id", "v", "--fps", "25")

        gaze("saliency", "export", "v", tmp_path / "out" / "maps.npy")

        assert np.array_equal(np.load(tmp_path / "out" / "maps.npy"), MAPS)
        beside = json.loads((tmp_path / "out" / "maps.npy.json").read_text())
        assert (beside["video_id"], beside["fps"], beside["frames"]) == ("v", 25.0, [1, 2, 3, 4, 5, 6])

    def test_an_image_of_some_maps(self, gaze, video, tmp_path):
        gaze("saliency", "compute", video, "--video-id", "v", "--every", "5")

        gaze("saliency", "show", "v", "--out", tmp_path / "maps.png", "--video", video, "--frames", "1,8")

        image = cv2.imread(str(tmp_path / "maps.png"))
        assert image.shape[1] > image.shape[0] > 300


class TestVerify:
    @pytest.fixture
    def imported(self, gaze, array):
        gaze("saliency", "import", array, "--video-id", "v", "--fps", "25")

    @pytest.mark.usefixtures("imported")
    def test_whole_maps_pass(self, gaze):
        said = gaze("saliency", "verify", "v")

        assert "6 usable maps of 18×32 pixels" in said
        assert "digest matches" in said

    @pytest.mark.usefixtures("imported")
    def test_a_missing_and_a_corrupt_map_are_named(self, gaze, database):
        database["v"].delete_one({"frame_num": 2})
        database["v"].update_one({"frame_num": 5}, {"$set": {"saliency_map": b"not zlib"}})

        said = gaze("saliency", "verify", "v", fails=True)

        assert "1 missing: 2" in said
        assert "frame 5: the compressed map is corrupt" in said
        assert "digest does not match" in said

    @pytest.mark.usefixtures("imported")
    def test_a_changed_map_breaks_the_digest(self, gaze, database):
        changed = zlib.compress(bytes(18 * 32))
        database["v"].update_one({"frame_num": 5}, {"$set": {"saliency_map": changed}})

        said = gaze("saliency", "verify", "v", fails=True)

        assert "1 of 6 maps are flat (all pixels equal): every gaze on them is a miss" in said
        assert "lowers scores and chance level; frames 5" in said
        assert "digest does not match" in said

    def test_flat_maps_alone_do_not_pass(self, gaze, database):
        database["v"].insert_many([{"frame_num": number, "saliency_map": [[0.5, 0.5]]} for number in (1, 2)])

        said = gaze("saliency", "verify", "v", fails=True)

        assert "all 2 maps are flat (all pixels equal): no gaze can hit them, so every score is invalid" in said

    def test_old_maps_without_facts_can_be_verified(self, gaze, database):
        database["v"].insert_many([{"frame_num": number, "saliency_map": [[0.1, 0.2]]} for number in (1, 2)])
        database["v"].insert_one({"frame_num": 3, "saliency_map": [[0.1]]})

        said = gaze("saliency", "verify", "v", fails=True)

        assert "no digest stored" in said
        assert "frame 3: the map has 1×1 pixels, not 1×2" in said


class TestDelete:
    def test_nothing_is_left(self, gaze, array, database):
        gaze("saliency", "import", array, "--video-id", "v", "--fps", "25")

        gaze("saliency", "delete", "v", "--yes", "--grace", "0")

        assert "v" not in database.list_collection_names()
        assert "no saliency map for video 'v'" in gaze("saliency", "verify", "v", fails=True)
        assert "no saliency map for video 'v'" in gaze("saliency", "delete", "v", "--yes", fails=True)

    def test_it_asks_first(self, gaze, array, store):
        gaze("saliency", "import", array, "--video-id", "v", "--fps", "25")

        assert "Aborted" in gaze("saliency", "delete", "v", fails=True)
        assert len(numbers(store)) == 6


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_list_of_commands_says_what_their_own_help_says(name):
    listed = COMMANDS[name][1]

    printed = CliRunner().invoke(main, [name, "--help"], terminal_width=200).output

    assert listed in " ".join(printed.split())


def list_commands(group, path=()):
    """Return the path of every command."""
    found = [path]
    if isinstance(group, click.Group):
        for name in group.list_commands(click.Context(group)):
            found += list_commands(group.get_command(click.Context(group), name), (*path, name))
    return found


def test_no_help_text_is_cut_off_or_wider_than_the_terminal():
    paths = list_commands(main)
    assert ("session", "export") in paths

    for path in paths:
        printed = CliRunner().invoke(main, [*path, "--help"], terminal_width=80).output

        assert "..." not in printed.replace("[ARGS]...", ""), path
        assert "…" not in printed, path
        assert max(map(len, printed.splitlines())) <= 80, path


def test_the_version_is_that_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert CliRunner().invoke(main, ["--version"]).output == f"gaze {project['version']}\n"


def test_ctrl_c_while_a_command_is_imported_prints_no_traceback(monkeypatch):
    def interrupt(_name):
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib, "import_module", interrupt)

    result = CliRunner().invoke(main, ["demo"])

    assert (result.exit_code, result.output) == (130, "Interrupted.\n")


def test_a_missing_webcam_is_one_line_before_anything_is_started(tmp_path):
    result = CliRunner().invoke(main, ["demo", "--camera", "99", "--out", str(tmp_path / "demo")])

    assert result.output == "Error: cannot open webcam 99\n"
    assert not (tmp_path / "demo").exists()


def test_serve_names_a_port_that_is_in_use():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(main, ["serve", "--port", str(port)])

    assert result.output.startswith(f"Error: Already in use: port {port} (function)")
    assert "make serve PORT=" in result.output


def test_serve_names_the_port_of_an_upstream_service_that_is_in_use():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(main, ["serve", "--port", str(port - 2)])

    assert f"{port} (aggregator)" in result.output


def test_the_line_that_activates_a_virtual_environment_is_quoted(tmp_path):
    script = tmp_path / "my clone" / "bin" / "activate"
    script.parent.mkdir(parents=True)
    script.touch()

    assert format_activation(tmp_path / "my clone") == f". '{script}'\n"
    assert format_activation(tmp_path) == ""


def test_without_fixed_ports_there_is_nothing_to_export():
    result = CliRunner().invoke(main, ["serve", "--port", "0", "--print-exports"])

    assert result.exit_code == 2
    assert "--print-exports needs fixed ports" in result.output


def test_without_an_address_the_variable_is_named():
    result = CliRunner().invoke(main, ["saliency", "verify", "v"], env={"MONGO_URI": None})

    assert result.output == "Error: Set MONGO_URI to the address of the MongoDB with the maps, or add --mongo-uri.\n"
    assert result.exit_code == 2


def test_a_report_on_a_session_of_the_real_services(gaze, database, video, tmp_path):
    from func.adapters.session_api import HttpSessionStore
    from gaze_tools.stack.session_api import create_app
    from tests.adapters.upstream_services import serve

    gaze("saliency", "compute", video, "--video-id", "v", "--every", "4")
    with serve(create_app(database)) as url:
        sessions = HttpSessionStore(url, timeout_s=10, retries=0)
        for number in range(1, 13):
            record = {"gaze": [0.5, 0.5], "validity": "ok", "origin_mm": [0, 100, 600], "distance_mm": 608}
            sessions.update_session("s", number, record, ip_address="203.0.113.7", video_id="v")
        overlay = ("--overlay", tmp_path / "report" / "gaze.mp4")
        gaze("report", "s", "--session-api", url, "--video", video, "--out", tmp_path / "report", *overlay)

    page = (tmp_path / "report" / "report.html").read_text()
    assert "12 of 12 expected frames were scored." in page
    assert "The session is not complete" in page
    assert (tmp_path / "report" / "key_frames.svg").exists()
    # The overlay is beside the page, which links to it.
    assert '<a href="gaze.mp4" download>' in page
    assert read_times(tmp_path / "report" / "gaze.mp4").starts_s.size == read_times(video).starts_s.size


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--overlay", "o.mp4"], 2, "--overlay needs the video that was watched: add --video FILE."),
        (["--video", "FILM", "--overlay", "o.avi"], 1, "the overlay o.avi must be an .mp4 file"),
        (["--video", "FILM", "--overlay", "FILM"], 1, "would replace a file that it is made from"),
        (
            ["--video", "FILM", "--overlay", "absent/o.mp4"],
            1,
            "the directory of the overlay absent/o.mp4 does not exist",
        ),
        (["--video", "s.json", "--overlay", "o.mp4"], 1, "cannot read s.json as a video"),
    ],
)
def test_an_overlay_that_cannot_be_written_is_one_line_before_anything_starts(
    tmp_path, monkeypatch, options, status, said
):
    from tests.fakes.films import write_film

    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.json").write_text("{}")
    film = str(write_film(tmp_path / "film.mp4", [0.0, 0.04]))
    options = [film if option == "FILM" else option for option in options]

    result = CliRunner().invoke(
        main, ["report", "s.json", "--mongo-uri", "mongodb://127.0.0.1:1", "--out", "out", *options]
    )

    assert (result.exit_code, said in result.output) == (status, True)
    assert not (tmp_path / "out").exists()


def test_a_report_on_a_session_that_is_not_there_is_one_line(mongo_uri, database, tmp_path):
    from gaze_tools.stack.session_api import create_app
    from tests.adapters.upstream_services import serve

    with serve(create_app(database)) as url:
        result = CliRunner().invoke(
            main, ["report", "nobody", "--session-api", url, "--mongo-uri", mongo_uri, "--out", str(tmp_path)]
        )

    assert result.exit_code == 1
    assert result.output.startswith("Error: no session 'nobody' in the session API: the id is unknown, or")
    assert len(result.output.splitlines()) == 1


@pytest.mark.parametrize(
    ("digest", "message"),
    [
        (None, "GAZE_MODEL_SHA256 must be set to the SHA-256 of"),
        ("ab", "must be a SHA-256, 64 hexadecimal digits"),
        ("0" * 64, "gaze_model.joblib does not have the SHA-256 that the settings require"),
    ],
    ids=["missing", "malformed", "wrong"],
)
def test_a_report_with_another_gaze_model_requires_its_digest(gaze, database, tmp_path, digest, message):
    from func.adapters.session_api import HttpSessionStore
    from gaze_tools.stack.session_api import create_app
    from models import GAZE_MODEL_PATH
    from tests.adapters.upstream_services import serve

    model = tmp_path / "gaze_model.joblib"
    for suffix in (".joblib", ".json"):
        model.with_suffix(suffix).write_bytes(GAZE_MODEL_PATH.with_suffix(suffix).read_bytes())
    options = ["--gaze-model", model] if digest is None else ["--gaze-model", model, "--gaze-model-sha256", digest]
    with serve(create_app(database)) as url:
        sessions = HttpSessionStore(url, timeout_s=10, retries=0)
        for session_id in ("s", "calibration"):
            record = {"gaze": [0.5, 0.5], "validity": "ok", "calibration_session": "calibration"}
            sessions.update_session(session_id, 1, record, ip_address="203.0.113.7", video_id="v")

        output = gaze("report", "s", "--session-api", url, "--out", tmp_path / "report", *options, fails=True)

    assert message in output
