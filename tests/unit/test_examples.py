"""Examples of property-based tests."""

import importlib.util
import sys

from hypothesis import given, settings
from hypothesis import strategies as st


def draw_examples():
    """Return what Hypothesis draws for this function's test; equal for every call, because it has no other seed."""
    drawn = []

    @settings(settings.get_profile("project"))
    @given(st.lists(st.floats(), max_size=5), st.integers())
    def remember(numbers, number):
        drawn.append(repr((numbers, number)))

    remember()
    return drawn


def test_examples_do_not_depend_on_the_modules_that_are_imported(tmp_path, monkeypatch):
    before = draw_examples()
    path = tmp_path / "constants_of_a_module.py"
    path.write_text(f"NUMBERS = {[number + 0.25 for number in range(1000, 1100)]}, {list(range(5000, 5100))}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, path.stem, module)
    spec.loader.exec_module(module)

    assert len(before) == 100
    assert draw_examples() == before
