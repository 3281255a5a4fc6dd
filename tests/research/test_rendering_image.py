"""Images of the renderer; needs a software OpenGL (libegl1, libgl1-mesa-dri) and the head's data."""

import dataclasses
import os

import numpy as np
import pytest

from gaze_core.types import Camera, Screen
from research.rendering.assets import CACHE, ENVIRONMENT_VARIABLE
from research.rendering.identity import sample_identity
from research.rendering.photograph import photograph
from research.rendering.scene import Backdrop, Lighting, Optics, Scene

pytestmark = pytest.mark.skipif(
    ENVIRONMENT_VARIABLE not in os.environ and not (CACHE / "mpfb2").is_dir(),
    reason="the head's data are not here; `make dataset` downloads them",
)

GREEN = (0.0, 0.6, 0.0)


@pytest.fixture(scope="module")
def renderer():
    from research.rendering.renderer import Renderer

    with Renderer() as made:
        yield made


@pytest.fixture(scope="module")
def identity():
    """A person with green eyes, so that the irises stand out; neither lids nor lashes cover them."""
    person = sample_identity(0, seed=1)
    return dataclasses.replace(
        person,
        iris_colour=GREEN,
        glasses=None,
        clothing=(0.2, 0.2, 0.2),
        lids=dataclasses.replace(
            person.lids,
            fissure_width_mm=32.0,
            upper_mm=(8.0, 8.0),
            lower_mm=(8.0, 8.0),
            peak_mm=(0.0, 0.0),
            bow=(3.0, 3.0),
        ),
        hair=dataclasses.replace(person.hair, lash_density=0.0),
    )


def scene(**changes):
    plain = Scene(
        identity_id=0,
        image_width_px=320,
        image_height_px=240,
        screen=Screen(),
        camera=Camera(vertical_fov_deg=30.0),
        target_mm=(0.0, 0.0, 0.0),
        origin_mm=(0.0, 0.0, 500.0),
        pitch_deg=0.0,
        yaw_deg=0.0,
        roll_deg=0.0,
        openness=1.0,
        expression=(),
        trunk_yaw_deg=0.0,
        wears_glasses=False,
        lighting=Lighting(
            key_direction=(0.0, -0.3, -1.0),
            key=(0.4, 0.4, 0.4),
            sky=(0.5, 0.5, 0.5),
            ground=(0.4, 0.4, 0.4),
            screen=(0.0, 0.0, 0.0),
            rim_direction=(0.0, -1.0, 1.0),
            rim=(0.0, 0.0, 0.0),
        ),
        backdrop=Backdrop(seed=1, brightness=0.4, window=0.0, blur_px=2.0),
        optics=Optics(
            electrons=8000.0,
            read_noise=4.0,
            exposure=0.25,
            face_metering=0.5,
            white_balance=(1.0, 1.0),
            contrast=0.2,
            saturation=1.0,
            defocus_px=0.5,
            motion_px=0.0,
            motion_angle_deg=0.0,
            sharpening=0.2,
            denoising=0.2,
            vignetting=0.1,
            distortion=0.0,
            jpeg_quality=90,
            seed=3,
        ),
    )
    return dataclasses.replace(plain, **changes)


def irises(renderer, identity, shown):
    """Return the pixels of the irises, which are much greener than red, as (column, row), shape (n, 2)."""
    light, _ = renderer.draw(shown, identity)
    return np.argwhere(light[..., 1] > 2.0 * light[..., 0] + 0.01)[:, ::-1]


def test_the_same_scene_gives_the_same_bytes(renderer, identity):
    first, second = (photograph(renderer, scene(), identity) for _ in range(2))

    assert first.shape == (240, 320, 3)
    assert first.tobytes() == second.tobytes()


def test_open_eyes_show_two_irises_where_the_eyes_are(renderer, identity):
    found = irises(renderer, identity, scene())
    left, right = found[found[:, 0] > 160], found[found[:, 0] < 160]
    half_ipd_px = identity.ipd_mm / 2 * scene().focal_px / 500

    assert left[:, 0].mean() - 160 == pytest.approx(half_ipd_px, abs=1.5)
    assert 160 - right[:, 0].mean() == pytest.approx(half_ipd_px, abs=1.5)


def test_shut_eyes_show_no_iris(renderer, identity):
    assert len(irises(renderer, identity, scene())) > 60
    assert len(irises(renderer, identity, scene(openness=0.0))) == 0


def test_irises_move_0_19_mm_per_degree_in_the_image(renderer, identity):
    """The visible iris ends at the limbus, 10.9 mm from the centre of rotation; refraction adds a little."""
    places = []
    for x in (-90.0, 90.0):
        found = irises(renderer, identity, scene(image_width_px=640, image_height_px=480, target_mm=(x, 0.0, 0.0)))
        places.append(np.mean([found[found[:, 0] < 320, 0].mean(), found[found[:, 0] > 320, 0].mean()]))
    moved_mm = (places[1] - places[0]) * (500 - 11) / scene(image_height_px=480).focal_px

    assert moved_mm / 20.4 == pytest.approx(0.185, abs=0.012)  # the eyes turn by 20.4 degrees


def test_a_mirrored_gaze_mirrors_the_irises(renderer, identity):
    centre, right, left = (
        irises(renderer, identity, scene(target_mm=(x, 0.0, 0.0)))[:, 0].mean() for x in (0.0, -80.0, 80.0)
    )

    assert right < centre < left  # the viewer's right is the image's left
    assert left - centre == pytest.approx(centre - right, abs=0.8)


def test_looking_down_lowers_irises_and_lids(renderer, identity):
    straight = irises(renderer, identity, scene())
    down = irises(renderer, identity, scene(target_mm=(0.0, 150.0, 0.0)))

    assert down[:, 1].mean() > straight[:, 1].mean() + 1.0
    assert down[:, 1].min() > straight[:, 1].min()


def test_a_head_turned_to_its_right_shows_its_eyes_further_left(renderer, identity):
    turned = irises(renderer, identity, scene(yaw_deg=20.0))
    straight = irises(renderer, identity, scene())

    assert np.ptp(turned[:, 0]) < np.ptp(straight[:, 0])


def test_everything_drawn_is_finite(renderer, identity):
    light, cover = renderer.draw(scene(yaw_deg=25.0, roll_deg=8.0, openness=0.3), identity)

    assert np.isfinite(light).all()
    assert 0.2 < cover.mean() < 1.0
