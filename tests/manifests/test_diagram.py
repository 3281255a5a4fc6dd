"""docs/deployment.svg shows the manifests as they are."""

import xml.etree.ElementTree as ET

from gaze_tools.deployment_diagram import PICTURE, draw


def test_the_picture_is_drawn_from_the_manifests_of_today():
    """After a change: `python -m gaze_tools.deployment_diagram`, and look at it."""
    assert PICTURE.read_text() == draw()


def test_it_says_what_scales_and_by_which_bounds():
    texts = [element.text for element in ET.fromstring(draw()).iter() if element.text]

    assert texts.count("cpu 50 %, 3 to 50 pods") == 2
    assert "user 65532, root read-only" in texts
