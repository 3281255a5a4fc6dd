"""What the benchmark of the renderer counts, with work that takes known times."""

import types

import pytest

from research.dataset import bench
from research.dataset.bench import Cost, RenderCost, measure_costs


class Renderer:
    """A renderer that knows everybody."""

    def __init__(self, work):
        self._work = work

    def person(self, identity, extent):
        self._work(5.0)


@pytest.fixture
def work(monkeypatch):
    """Return a function that takes some seconds, by both clocks, and half a second of CPU time each."""
    now_s = 0.0

    def take(duration_s):
        nonlocal now_s
        now_s += duration_s

    monkeypatch.setattr(
        bench, "time", types.SimpleNamespace(perf_counter=lambda: now_s, process_time=lambda: now_s / 2)
    )
    monkeypatch.setattr(bench, "photograph", lambda *_: take(3.0))
    monkeypatch.setattr(bench, "render_person", lambda *_: take(8.0))
    return take


def test_costs_are_those_of_a_person_and_of_one_of_the_images(work):
    # Two people with four images of each kind: eye images of a person take 8 s together.
    faces, eyes = measure_costs(Renderer(work), 2, 4, seed=2)

    assert faces == RenderCost(person=Cost(5.0, 2.5), image=Cost(3.0, 1.5))
    assert eyes == RenderCost(person=Cost(5.0, 2.5), image=Cost(2.0, 1.0))


def test_preparing_a_person_is_shared_by_their_images():
    cost = RenderCost(person=Cost(6.0, 3.0), image=Cost(1.0, 0.5))

    assert cost.of_image(12) == Cost(1.5, 0.75)
