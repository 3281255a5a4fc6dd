"""Warning about saliency maps that ignore the faces of a video."""

import pytest

from gaze_core.ports import FaceFacts
from tests.fakes.completion import HIT, CompletionWorld, record


def find_warnings(faces):
    world = CompletionWorld()
    world.maps.faces = faces
    world.store(record(HIT), record(HIT))
    result = world.complete(3)
    return {each["code"]: each for each in result.get("warnings", [])}


@pytest.mark.parametrize(("share", "shown"), [(0.43, "43%"), (0.05, "5%")])
def test_maps_that_ignore_the_faces_of_a_video_are_doubted(share, shown):
    warning = find_warnings(FaceFacts(channel=False, share=share))["maps_without_faces"]

    assert warning["frames"] == 2
    assert warning["detail"].startswith(f"the saliency maps ignore faces, but {shown} of the video's frames show one:")


@pytest.mark.parametrize(
    "faces",
    [
        FaceFacts(channel=False, share=0.04),
        FaceFacts(channel=False),
        FaceFacts(channel=True, share=0.9),
        None,
    ],
)
def test_other_maps_are_not(faces):
    assert "maps_without_faces" not in find_warnings(faces)
