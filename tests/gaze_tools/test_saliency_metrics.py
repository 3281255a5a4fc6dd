"""`gaze saliency metrics`: reference values of the MIT saliency benchmark, the shuffled AUC by hand, and odd input."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from pytest import approx

from gaze_tools.cli import main
from tests.unit.saliency_metrics_cases import CASES

# Row 0 is 1 2 3, row 1 is 4 5 6.
SIX = np.arange(1, 7, dtype=np.uint8).reshape(2, 3)


@pytest.fixture
def metrics(tmp_path):
    """Run the command on maps by frame and fixations (frame, x, y); return what it prints."""

    def run(maps, fixations, *options, header="frame,x,y", fails=False):
        folder = tmp_path / "maps"
        folder.mkdir(exist_ok=True)
        for number, saliency_map in maps.items():
            np.save(folder / f"{number:06d}.npy", saliency_map)
        table = tmp_path / "fixations.csv"
        table.write_text("\n".join([header, *(",".join(map(str, each)) for each in fixations)]) + "\n")
        result = CliRunner().invoke(main, ["saliency", "metrics", str(folder), str(table), *map(str, options)])
        assert (result.exit_code != 0) is fails, result.output
        return result.output

    return run


def centre(row, column, shape):
    return (column + 0.5) / shape[1], (row + 0.5) / shape[0]


@pytest.mark.parametrize("case", CASES[:3], ids=lambda case: case.name)
def test_the_values_are_those_of_the_benchmark(metrics, tmp_path, case):
    fixations = [(1, *centre(row, column, case.saliency_map.shape)) for row, column in case.fixations]
    np.save(tmp_path / "densities.npy", case.density[None])

    printed = json.loads(metrics({1: case.saliency_map}, fixations, "--density", tmp_path / "densities.npy", "--json"))

    assert {name: printed["mean"][name] for name in case.expected} == approx(case.expected, abs=1e-6)
    assert printed["fixations"] == len(case.fixations)


def test_the_shuffled_auc_compares_with_fixations_of_other_frames(metrics):
    # Frame 1 fixates 5; the others' fixations see 1, 5 and 6 on its map: one lower, one equal, so 1.5 of 3.
    fixations = [(1, *centre(1, 1, SIX.shape))]
    fixations += [(2, *centre(row, column, SIX.shape)) for row, column in [(0, 0), (1, 1), (1, 2)]]

    printed = json.loads(metrics({1: SIX}, fixations, "--json"))

    assert printed["mean"]["shuffled_auc"] == approx(0.5)
    assert (printed["frames"], printed["fixations"]) == (1, 1)


def test_a_metric_is_the_mean_over_the_frames_in_which_it_is_defined(metrics):
    flat = np.full((2, 3), 7, dtype=np.uint8)
    fixations = [(number, *centre(1, 2, SIX.shape)) for number in (1, 2)]

    printed = json.loads(metrics({1: SIX, 2: flat}, fixations, "--json"))

    # 6 is 2.5 above the mean of 3.5; the sample variance is 3.5.
    assert printed["mean"]["nss"] == approx(2.5 / 3.5**0.5)
    assert [each["nss"] for each in printed["by_frame"]] == [approx(2.5 / 3.5**0.5), None]


def test_held_maps_apply_to_the_frames_up_to_the_next_one(metrics):
    fixations = [(number, 0.5, 0.5) for number in (1, 4, 5, 9)]

    alone = json.loads(metrics({1: SIX, 5: SIX}, fixations, "--json"))
    held = json.loads(metrics({}, fixations, "--json", "--held"))

    assert [each["frame"] for each in alone["by_frame"]] == [1, 5]
    assert [each["frame"] for each in held["by_frame"]] == [1, 4, 5, 9]


def test_a_density_around_the_only_bright_pixel_fits_a_map_of_the_same_shape(metrics):
    rows, columns = np.mgrid[:60, :100]
    spot = np.exp(-((rows - 20) ** 2 + (columns - 70) ** 2) / (2 * 5.0**2))

    printed = json.loads(metrics({1: spot}, [(1, *centre(20, 70, spot.shape))], "--density-sigma", "0.05", "--json"))

    assert printed["mean"]["cc"] == approx(1, abs=1e-3)
    assert printed["mean"]["kl_divergence"] == approx(0, abs=0.01)


def test_the_table_names_every_metric(metrics):
    printed = metrics({1: SIX}, [(1, 0.9, 0.9), (2, 0.1, 0.1)])

    assert "frames: 1, fixations: 1" in printed
    assert all(name in printed for name in ("NSS", "CC", "SIM", "KL divergence", "AUC-Judd", "shuffled AUC"))


def test_fixations_off_the_video_and_at_its_far_edge(metrics):
    printed = json.loads(metrics({1: SIX}, [(1, 1.0, 1.0), (1, 1.01, 0.5), (1, -0.01, 0.5)], "--json"))

    assert printed["fixations"] == 1
    assert printed["mean"]["nss"] == approx(2.5 / 3.5**0.5)


@pytest.mark.parametrize(
    ("fixations", "header", "message"),
    [
        ([(1, 0.5)], "frame,x", "fixations.csv lacks the column y; it needs frame, x and y"),
        ([(1, 0.5, "left")], "frame,x,y", "fixations.csv, line 2: frame, x and y must be numbers"),
        ([(7, 0.5, 0.5)], "frame,x,y", "No frame has both a usable map and a fixation on it."),
    ],
)
def test_unusable_input_is_one_line(metrics, fixations, header, message):
    assert metrics({1: SIX}, fixations, header=header, fails=True) == f"Error: {message}\n"


def test_a_collection_needs_the_address_of_mongodb(tmp_path):
    (tmp_path / "f.csv").write_text("frame,x,y\n1,0.5,0.5\n")

    result = CliRunner().invoke(main, ["saliency", "metrics", "collection:v", str(tmp_path / "f.csv")], env={})

    assert result.output == "Error: collection:v needs the address of MongoDB: set MONGO_URI\n"
