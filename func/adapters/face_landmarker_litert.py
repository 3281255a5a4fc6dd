"""Face landmarks by MediaPipe's networks in LiteRT, without MediaPipe.

The same networks from the same bundle, with MediaPipe's pre- and post-processing (`func.adapters.face_region`) in numpy
and OpenCV. Each engine computes in the calling thread alone.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from func.adapters.face_region import (
    DETECTOR_SIZE_PX,
    FaceRegion,
    RegionCutter,
    find_face_regions,
    list_anchors,
    place_landmarks,
    whole_frame,
)
from func.adapters.landmarker_bundle import (
    DETECTOR_NETWORK,
    LANDMARK_NETWORK,
    SHAPE_NETWORK,
    read_bundle,
    read_networks,
    select_eye_shapes,
)
from func.adapters.landmarker_pool import LandmarkerPool
from gaze_core.errors import LandmarkerError
from gaze_core.landmarks import LANDMARK_COUNT, Landmarks
from gaze_core.types import Frame

LANDMARK_INPUT_PX = 256
"""Side of the landmark network's input."""

SHAPE_COUNT = 52
"""Blendshapes of a face."""

# fmt: off
SHAPE_LANDMARKS = (
    # The landmarks that the blendshape network reads: `kLandmarksSubsetIdxs` of MediaPipe's face_blendshapes_graph.cc.
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80,
    81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153,
    154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251,
    263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318,
    321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385, 386,
    387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472, 473, 474, 475, 476, 477,
)
# fmt: on
_SHAPE_INDICES = np.array(SHAPE_LANDMARKS)


class LitertFaceLandmarker(LandmarkerPool):
    """Pool of LiteRT landmarkers; thread-safe, and usable after a fork.

    Args:
        model_path: Path of the bundle; its description has the same name with the suffix `.json`.
        sha256: Required SHA-256 of the bundle, in addition to that of the description; None trusts the description.
        landmarkers: Maximum number of concurrent detections.
        wait_s: Maximum time that a frame waits for a free landmarker.
        max_faces: Maximum number of detected faces.

    Raises:
        LandmarkerError: The bundle is missing or does not match its description.
        ValueError: `landmarkers` or `max_faces` is below one, or `wait_s` is negative.
    """

    def __init__(
        self, model_path: Path, *, landmarkers: int, wait_s: float, max_faces: int = 4, sha256: str | None = None
    ) -> None:
        if max_faces < 1:
            raise ValueError("max_faces must be at least one")
        networks = read_networks(read_bundle(Path(model_path), sha256=sha256))
        super().__init__(lambda: LitertEngine(networks, max_faces=max_faces), landmarkers=landmarkers, wait_s=wait_s)


class LitertEngine:
    """One landmarker; used by one thread at once.

    Args:
        networks: Content of the bundle's networks by name.
        max_faces: Maximum number of detected faces.

    Raises:
        LandmarkerError: LiteRT is not installed, or cannot run the networks.
    """

    def __init__(self, networks: dict[str, bytes], *, max_faces: int) -> None:
        self._max_faces = max_faces
        self._anchors = list_anchors()
        self._whole = RegionCutter(DETECTOR_SIZE_PX, repeat_edge=False)
        self._face = RegionCutter(LANDMARK_INPUT_PX, repeat_edge=True)
        self._detector = _Network(networks[DETECTOR_NETWORK], outputs=((1, len(self._anchors), 16), (1, 896, 1)))
        self._landmarks = _Network(networks[LANDMARK_NETWORK], outputs=((1, 1, 1, 3 * LANDMARK_COUNT), (1, 1, 1, 1)))
        self._shapes: _Network | None = None
        if SHAPE_NETWORK in networks:
            self._shapes = _Network(networks[SHAPE_NETWORK], outputs=((SHAPE_COUNT,),))

    def detect(self, frame: Frame) -> list[Landmarks]:
        """Return the landmarks of every face; see `FaceLandmarker`."""
        height_px, width_px = frame.shape[:2]
        square = self._whole.cut(frame, whole_frame(frame))
        boxes, logits = self._detector.run(square, scale=2 / 255, offset=-1.0)
        regions = find_face_regions(
            boxes[0],
            logits[0, :, 0],
            self._anchors,
            width_px=width_px,
            height_px=height_px,
            max_faces=self._max_faces,
        )
        faces = [self._find_landmarks(frame, region) for region in regions]
        return [face for face in faces if face is not None]

    def close(self) -> None:
        """Do nothing: LiteRT frees its memory with the object."""

    def _find_landmarks(self, frame: Frame, region: FaceRegion) -> Landmarks | None:
        height_px, width_px = frame.shape[:2]
        values, presence = self._landmarks.run(self._face.cut(frame, region), scale=1 / 255)
        if presence[0, 0, 0, 0] <= 0:  # logarithmic odds that the region holds a face
            return None
        local = values.reshape(LANDMARK_COUNT, 3) / np.float32(LANDMARK_INPUT_PX)
        points = place_landmarks(local, region, width_px=width_px, height_px=height_px)
        return Landmarks(points, width_px, height_px, self._estimate_shapes(points, width_px, height_px))

    def _estimate_shapes(
        self, points: NDArray[np.float64], width_px: int, height_px: int
    ) -> NDArray[np.float64] | None:
        if self._shapes is None:
            return None
        (scores,) = self._shapes.run(points[_SHAPE_INDICES, :2] * (width_px, height_px))
        return select_eye_shapes(scores)


class _Network:
    """TFLite network with one input, run in the calling thread."""

    def __init__(self, content: bytes, *, outputs: Sequence[tuple[int, ...]]) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415
        except ImportError as error:
            raise LandmarkerError("LiteRT is not installed: pip install ai-edge-litert") from error
        try:
            self._interpreter: Any = Interpreter(model_content=content, num_threads=1)
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise LandmarkerError("LiteRT cannot run a network of the bundle") from error
        given = self._interpreter.get_input_details()
        if len(given) != 1:
            raise LandmarkerError("a network of the bundle has other inputs than MediaPipe's")
        self._input = self._interpreter.tensor(given[0]["index"])
        found = self._interpreter.get_output_details()[: len(outputs)]
        if [tuple(each["shape"]) for each in found] != list(outputs):
            raise LandmarkerError("a network of the bundle has other outputs than MediaPipe's")
        self._outputs = [each["index"] for each in found]

    def run(self, values: NDArray[Any], *, scale: float = 1.0, offset: float = 0.0) -> list[NDArray[np.float32]]:
        """Return the outputs for `values` × `scale` + `offset`."""
        given = self._input()[0]
        np.multiply(values, np.float32(scale), out=given, casting="same_kind")
        if offset:
            given += np.float32(offset)
        del given  # views of LiteRT's memory must be gone before it computes
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._outputs]
