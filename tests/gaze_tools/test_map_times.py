"""Presentation times of maps that were made elsewhere: which source of times counts."""

import numpy as np
import pytest

from gaze_tools.film_times import make_times
from gaze_tools.saliency.map_times import choose_times, spread_times

CONSTANT = make_times(np.arange(50) / 25)
VARIABLE = make_times(np.array([0.0, 0.2, 0.4, 0.6, 0.64, 0.68, 0.72]))


def choose(numbers, **known):
    return choose_times(numbers, **{"listed_s": None, "film": None, "fps": None, "own": None, "facts": {}} | known)


@pytest.mark.parametrize(
    ("times_s", "starts_s"),
    [
        ({1: 0.5, 3: 1.5}, [0.5, 1.0, 1.5, 2.0, 2.5]),
        ({3: 1.0, 5: 1.2}, [0.0, 0.5, 1.0, 1.1, 1.2]),
        ({1: 0.0}, [0.0, 0.04, 0.08, 0.12, 0.16]),
    ],
    ids=["between and after", "before", "one map, at 25 frames a second"],
)
def test_frames_without_a_time_are_spread_evenly(times_s, starts_s):
    assert spread_times(times_s, frame_count=5).tolist() == pytest.approx(starts_s)


class TestTimesOfAFilm:
    @pytest.mark.parametrize(("film", "fps"), [(CONSTANT, 25.0), (VARIABLE, 6 / 0.72)], ids=["constant", "variable"])
    def test_a_stated_rate_never_replaces_them(self, film, fps):
        times = choose(range(1, film.starts_s.size + 1), film=film, fps=10.0)

        assert (times.fps, times.duration_s) == (pytest.approx(fps), film.duration_s)
        assert "--fps 10 is not used, because the film has its own times" in times.notes[0]

    def test_the_rate_of_the_film_itself_is_no_contradiction(self):
        assert choose(range(1, 51), film=CONSTANT, fps=25.1).notes == ()

    @pytest.mark.parametrize(
        ("numbers", "frames_per_map", "is_said"),
        [
            (range(1, 50), 1, True),
            (range(1, 51), 1, False),
            (range(1, 51, 5), 1, False),
            (range(1, 42, 5), 5, True),
            ([1], 49, True),
            ([1], 50, False),
        ],
    )
    def test_frames_at_the_end_without_a_map_are_named(self, numbers, frames_per_map, is_said):
        notes = choose(numbers, film=CONSTANT, frames_per_map=frames_per_map).notes

        said = f"The film has 50 frames, but the maps end with frame {max(numbers)}: the last frames have no map."
        assert notes == ((said,) if is_said else ())
