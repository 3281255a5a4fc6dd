import json

import numpy as np
import pytest

from research.dataset import eye_images
from research.dataset.eye_images import EyePlan, load_eye_images, make_eye_images, make_shard, shard_path
from tests.fakes.inline_pool import InlinePool

PLAN = EyePlan(people=3, images_per_person=5, seed=9, held_out=1, images_per_session=2)


@pytest.fixture
def rendered(monkeypatch):
    """Numbers of the people rendered; the images are as bright as the person's number."""
    people = []

    def render(plan, identity_id, renderer, placement):
        people.append(identity_id)
        count = plan.images_per_person
        return {
            "images": np.full((count, 2, 48, 72), identity_id, np.uint8),
            "identity": np.full(count, identity_id, np.int32),
        }

    monkeypatch.setattr(eye_images, "render_person", render)
    monkeypatch.setattr(eye_images, "_workbench", lambda: None)
    monkeypatch.setattr(eye_images, "process_pool", InlinePool)
    return people


def test_a_set_has_the_images_of_all_people_in_order(rendered, tmp_path):
    make_eye_images(PLAN, tmp_path, jobs=1)
    rows, first_held_out = load_eye_images(tmp_path)

    assert rows["images"].shape == (15, 2, 48, 72)
    assert rows["identity"].tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert first_held_out == 2


def test_only_missing_people_are_rendered(rendered, tmp_path):
    make_shard(PLAN, 1, tmp_path)
    make_eye_images(PLAN, tmp_path, jobs=1)

    assert rendered == [1, 0, 2]


def test_an_unfinished_set_is_not_loaded(rendered, tmp_path):
    make_eye_images(PLAN, tmp_path, jobs=1)
    shard_path(tmp_path, 2).unlink()

    with pytest.raises(FileNotFoundError):
        load_eye_images(tmp_path)


def test_the_folder_says_what_was_planned(rendered, tmp_path):
    make_eye_images(PLAN, tmp_path, jobs=1)
    plan = json.loads((tmp_path / "plan.json").read_text())

    assert (plan["people"], plan["images_per_person"], plan["seed"], plan["first_held_out"]) == (3, 5, 9, 2)


def test_five_images_need_three_sessions_of_two():
    assert PLAN.sessions_per_person == 3


@pytest.mark.parametrize("change", [{"seed": 10}, {"people": 4}, {"images_per_session": 3}])
def test_another_plan_has_another_digest(change):
    fields = {"people": 3, "images_per_person": 5, "seed": 9, "held_out": 1, "images_per_session": 2}

    assert EyePlan(**fields).digest() == PLAN.digest()
    assert EyePlan(**(fields | change)).digest() != PLAN.digest()


@pytest.mark.parametrize(("people", "images", "held_out"), [(0, 5, 0), (3, 0, 1), (3, 5, 3), (3, 5, -1)])
def test_an_impossible_plan_is_refused(people, images, held_out):
    with pytest.raises(ValueError, match="must be"):
        EyePlan(people, images, 1, held_out)
