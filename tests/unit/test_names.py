"""Every public name exists exactly once, documented, in its place in the architecture."""

import ast
import importlib
import inspect
import pkgutil
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("func", "gaze_core", "gaze_tools", "models", "research")

HOMES = [
    ("gaze_core.detector", "GazeDetector.process_single_frame", ["frame"]),
    ("gaze_core.gaze", "calculate_distance", ["iris_landmarks", "image_height"]),
    ("gaze_core.gaze", "estimate_gaze", ["eye_center", "iris_center", "estimated_distance"]),
    ("gaze_core.gaze", "correct_gaze_vector", ["gaze_vector", "head_rotation"]),
    ("gaze_core.gaze", "calculate_combined_gaze", ["left_gaze", "right_gaze", "head_rotation", "distance"]),
    ("gaze_core.head_pose", "estimate_head_pose", ["face_landmarks"]),
    ("gaze_core.saliency", "calc", ["gaze_points", "saliency_map"]),
    ("gaze_core.ports", "SaliencyMaps.extract_saliencyMap", ["video_id"]),
    ("gaze_core.ports", "SessionStore.get_session", ["session_id"]),
    ("gaze_core.ports", "SessionStore.update_session", ["session_id", "frame_number", "gaze_data"]),
    ("gaze_core.ports", "SessionStore.create_session", ["session_id"]),
    ("func.detectors", "Detectors.get_or_create_gaze_detector", ["session_id"]),
    ("gaze_core.ports", "ResultSink.send_result", ["final_result", "video_id", "ip_address"]),
]


@pytest.mark.parametrize(("module", "name", "parameters"), HOMES, ids=[name for _, name, _ in HOMES])
def test_the_name_resolves_with_its_parameters_and_documentation(module, name, parameters):
    found = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)

    positional = [
        parameter.name
        for parameter in inspect.signature(found).parameters.values()
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY and parameter.name != "self"
    ]
    assert positional == parameters
    assert inspect.getdoc(found)


@pytest.mark.parametrize("name", ["calc", "estimate_head_pose", "calculate_distance", "estimate_gaze"])
def test_a_function_of_that_name_is_defined_once(name):
    import gaze_core

    modules = [importlib.import_module(f"gaze_core.{info.name}") for info in pkgutil.iter_modules(gaze_core.__path__)]
    homes = [
        module.__name__
        for module in modules
        if inspect.isfunction(getattr(module, name, None)) and getattr(module, name).__module__ == module.__name__
    ]

    assert len(homes) == 1


def test_every_public_function_of_the_core_is_documented():
    import gaze_core

    undocumented = []
    for info in pkgutil.iter_modules(gaze_core.__path__):
        module = importlib.import_module(f"gaze_core.{info.name}")
        for name, value in inspect.getmembers(module):
            is_ours = getattr(value, "__module__", None) == module.__name__
            if is_ours and not name.startswith("_") and callable(value) and not inspect.getdoc(value):
                undocumented.append(f"{info.name}.{name}")

    assert undocumented == []


def test_no_two_classes_share_a_name():
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    classes = Counter(
        node.name
        for path in paths
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )

    assert len(classes) > 100
    assert [name for name, count in classes.items() if count > 1] == []
