"""Value ranges and colours of maps that were made elsewhere."""

import math

import cv2
import numpy as np
import pytest

from gaze_core.errors import SaliencyMapError
from gaze_tools.saliency.colour import ColouredMapError, is_coloured, to_grey
from gaze_tools.saliency.intake import FlatMapsError, Intake
from gaze_tools.saliency.sources import read_source
from gaze_tools.saliency.value_range import Form, Normalisation, normalise

DENSITY = np.array([[0.1, 0.2], [0.3, 0.4]])
SPREAD = np.tile(DENSITY / 100, (10, 10))
"""A density of 400 pixels: the values sum to 1, and the largest is 0.004."""


class TestRanges:
    @pytest.mark.parametrize(
        ("values", "form"),
        [
            (SPREAD, Form.FAINT),
            (SPREAD.astype(np.float32), Form.FAINT),
            (np.log(SPREAD), Form.LOG_DENSITY),
            (np.log10(SPREAD), Form.LOG_DENSITY),
            (np.log2(SPREAD), Form.LOG_DENSITY),
            (SPREAD * 25_000, Form.LARGE),
            (SPREAD / 0.004 * 1.000001, Form.LARGE),
            ((SPREAD * 10_000_000).astype(np.uint16), Form.INTEGERS),
            ((SPREAD * 10_000_000).astype(np.int64), Form.INTEGERS),
        ],
    )
    def test_scaled_forms_of_a_map_are_the_same_map(self, values, form):
        found, recognised = normalise(values, Normalisation.AUTO)

        assert recognised is form
        assert found == pytest.approx(np.tile([[0.25, 0.5], [0.75, 1.0]], (10, 10)), abs=1e-6)

    @pytest.mark.parametrize(
        "values",
        [
            np.array([[0, 9]], dtype=np.uint8),
            np.array([[0.0, 1.0]]),
            np.array([[0.0, 0.25]]),
            np.array([[0.0, 0.0]]),
        ],
    )
    def test_what_can_be_stored_is_not_changed(self, values):
        found, form = normalise(values, Normalisation.AUTO)

        assert (found is values, form) == (True, None)

    def test_below_a_quarter_floats_are_rescaled(self):
        assert normalise(np.array([[0.0, 0.24]]), Normalisation.AUTO)[0].tolist() == [[0.0, 1.0]]

    @pytest.mark.parametrize(
        ("lowest", "highest", "is_stretched"),
        [
            (0.9, 0.91, True),
            (0.5, 0.745, True),
            (0.5, 0.755, False),
            (1000.0, 1010.0, True),
            (1000.0, 1300.0, True),
            (1000.0, 1400.0, False),
            (0.0080, 0.0081, True),
            (0.9, 0.903, False),
            (0.9, 0.904, True),
        ],
    )
    def test_values_that_would_share_few_levels_are_stretched(self, lowest, highest, is_stretched):
        found, form = normalise(np.linspace(lowest, highest, 5)[None, :], Normalisation.AUTO)

        assert (form is Form.NARROW) == is_stretched
        assert not is_stretched or found.tolist() == [pytest.approx([0.0, 0.25, 0.5, 0.75, 1.0])]

    def test_integers_that_would_share_few_levels_are_stretched(self):
        found, form = normalise(np.array([[1000, 1005, 1010]], dtype=np.uint16), Normalisation.AUTO)

        assert (found.tolist(), form) == ([[0.0, 0.5, 1.0]], Form.NARROW)

    def test_masks_become_0_and_255(self):
        found, form = normalise(np.array([[True, False]]), Normalisation.AUTO)

        assert (found.tolist(), found.dtype, form) == ([[255, 0]], np.uint8, Form.MASK)

    @pytest.mark.parametrize("dtype", [np.float64, np.int32])
    def test_other_negative_values_are_stretched(self, dtype):
        found, form = normalise(np.array([[-2, 0], [1, 2]], dtype=dtype), Normalisation.AUTO)

        assert (found.tolist(), form) == ([[0.0, 0.5], [0.75, 1.0]], Form.SIGNED)

    def test_a_sum_far_from_1_is_not_a_density(self):
        assert normalise(np.log(SPREAD * 1.04), Normalisation.AUTO)[1] is Form.LOG_DENSITY
        assert normalise(np.log(SPREAD * 1.09), Normalisation.AUTO)[1] is Form.SIGNED

    def test_the_logarithm_of_0_is_0(self):
        found, form = normalise(np.array([[-math.inf, math.log(3)], [math.log(6), -math.inf]]), Normalisation.AUTO)

        assert (found.tolist(), form) == ([[0.0, pytest.approx(0.5)], [1.0, 0.0]], Form.LOG_DENSITY)

    def test_what_is_not_a_number_is_counted(self):
        with pytest.raises(SaliencyMapError, match=r"2 of 4 values are not finite \(NaN\)"):
            normalise(np.array([[math.nan, math.nan], [1.0, 0.0]]), Normalisation.AUTO)

    @pytest.mark.parametrize("values", [np.array([[0.0, math.inf]]), np.array([[-1.0, math.inf]])])
    def test_infinite_values_are_not_rescaled(self, values):
        with pytest.raises(SaliencyMapError, match="not finite"):
            Intake().accept(1, values)

    def test_off_changes_nothing(self):
        values = np.log(SPREAD)

        assert normalise(values, Normalisation.OFF) == (values, None)

    def test_each_map_is_divided_by_its_largest_value(self):
        found, _ = normalise(np.array([[0, 50], [100, 200]], dtype=np.uint8), Normalisation.EACH)

        assert found.tolist() == [[0.0, 0.25], [0.5, 1.0]]


class TestIntake:
    def test_the_changes_are_one_line_with_the_frames(self):
        intake = Intake()
        for number, values in enumerate((SPREAD, SPREAD, DENSITY, SPREAD * 25_000), start=1):
            intake.accept(number, values)

        assert intake.describe_changes() == (
            "Normalised 3 maps: floats far below 1, such as densities, were divided by the largest value of their map "
            "(frames 1-2); floats above 1 were divided by the largest value of their map (frames 4). --normalise=off "
            "stores values as they are."
        )

    def test_nothing_changed_is_nothing_to_say(self):
        intake = Intake()
        intake.accept(1, DENSITY)

        assert (intake.describe_changes(), intake.describe_flat()) == (None, [])

    def test_flat_maps_and_those_that_become_flat_are_told_apart(self):
        intake = Intake(Normalisation.OFF)
        for number, values in ((1, DENSITY), (2, DENSITY * 0), (3, DENSITY / 1000)):
            intake.accept(number, values)

        flat, lost = intake.describe_flat()
        assert flat == "1 maps are flat: all pixels are equal, so no gaze can hit them: frames 2"
        assert "1 maps become flat" in lost
        assert "less than 1/255: frames 3" in lost

    def test_flat_maps_alone_are_refused(self):
        intake = Intake()
        intake.accept(1, DENSITY * 0)

        with pytest.raises(FlatMapsError, match="all 1 maps are flat"):
            intake.describe_flat()


GREY = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (36, 1))


class TestColour:
    @pytest.mark.parametrize(
        "palette",
        [
            *(cv2.COLORMAP_JET, cv2.COLORMAP_VIRIDIS, cv2.COLORMAP_TURBO, cv2.COLORMAP_HOT, cv2.COLORMAP_INFERNO),
            *(cv2.COLORMAP_MAGMA, cv2.COLORMAP_PLASMA, cv2.COLORMAP_PARULA, cv2.COLORMAP_CIVIDIS),
        ],
    )
    def test_palettes_are_colour(self, palette):
        assert is_coloured(cv2.applyColorMap(GREY, palette))

    @pytest.mark.parametrize(("side", "expected"), [(4, False), (7, True)])
    def test_a_small_peak_in_colour_is_colour(self, side, expected):
        spot = np.zeros((180, 320), dtype=np.uint8)
        spot[80 : 80 + side, 100 : 100 + side] = 160

        assert is_coloured(cv2.applyColorMap(spot, cv2.COLORMAP_HOT)) is expected

    def test_grey_as_rgb_is_the_same_grey(self):
        assert np.array_equal(to_grey(cv2.merge([GREY] * 3), name="a"), GREY)

    @pytest.mark.parametrize("quality", [10, 50, 95])
    def test_a_jpeg_s_tint_is_not_colour(self, quality):
        noise = np.random.default_rng(0).integers(-32, 33, (36, 64, 3))
        tinted = np.clip(cv2.merge([GREY] * 3).astype(int) + noise, 0, 255).astype(np.uint8)
        _, jpeg = cv2.imencode(".jpg", tinted, [cv2.IMWRITE_JPEG_QUALITY, quality])

        grey = to_grey(cv2.imdecode(jpeg, cv2.IMREAD_UNCHANGED), name="a")

        assert np.abs(grey.astype(int) - GREY).mean() < 16

    @pytest.mark.parametrize("shift", [20, 30])
    def test_a_slight_cast_is_not_colour(self, shift):
        cast = cv2.merge([GREY // 2, GREY // 2, GREY // 2 + np.uint8(shift)])

        assert is_coloured(cast) is (shift == 30)

    def test_a_constant_alpha_is_ignored_and_a_varying_one_refused(self):
        opaque = cv2.merge([GREY, GREY, GREY, np.full_like(GREY, 255)])
        faded = cv2.merge([GREY, GREY, GREY, GREY])

        assert np.array_equal(to_grey(opaque, name="a"), GREY)
        with pytest.raises(ColouredMapError, match=r"a\.png is partly transparent"):
            to_grey(faded, name="a.png")
        assert np.array_equal(to_grey(faded, name="a", allow_colour=True), GREY)

    def test_sixteen_bits_of_grey_as_rgb_keep_their_depth(self):
        deep = GREY.astype(np.uint16) * 257

        assert np.array_equal(to_grey(cv2.merge([deep] * 3), name="a"), deep)

    def test_a_video_in_colour_is_refused(self, tmp_path):
        writer = cv2.VideoWriter(str(tmp_path / "jet.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (64, 36))
        writer.write(cv2.applyColorMap(GREY, cv2.COLORMAP_JET))
        writer.release()

        with pytest.raises(ColouredMapError, match=r"frame 1 of jet\.mp4 is in colour"):
            list(read_source(tmp_path / "jet.mp4"))


def test_hidden_files_and_folders_of_archives_are_not_maps(tmp_path):
    cv2.imwrite(str(tmp_path / "1.png"), GREY)
    (tmp_path / "._1.png").write_bytes(b"\x00\x05\x16\x07")
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "1.npy").mkdir()

    assert [number for number, _ in read_source(tmp_path)] == [1]
