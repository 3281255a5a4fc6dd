"""Write the gaze model's trees as ONNX, for functions without scikit-learn.

    python -m research.training.export

Trees become three matrix products, so that OpenCV and every other ONNX runtime can run them. A node asks whether a
feature is at most its threshold. A leaf is reached if all nodes above it answer as its path does.

Source: Nakandala et al., A tensor compiler for unified machine learning prediction serving, OSDI 2020, section 4.1.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import joblib
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from gaze_core.features import FEATURE_NAMES
from gaze_core.model_start import FeatureDirection
from models import GAZE_MODEL_PATH
from models.atomic_file import replace_file
from models.card import OnnxFile, read_card, write_card
from research.command_line import Command

OPSET = 17
_NO_LEAF = -1.0
"""Number of left turns that no path has; for the leaves that smaller trees lack."""


@dataclass(frozen=True, slots=True)
class TreeMatrices:
    """Trees of equal size as matrices; smaller trees are padded.

    Attributes:
        selection: Feature of each node, one column with a single 1 each, shape (7, trees × nodes).
        thresholds: Threshold of each node, rounded down to single precision, shape (1, trees × nodes).
        paths: For each node and leaf 1 if the leaf lies to its left, -1 to its right, 0 elsewhere, shape (trees, nodes,
            leaves).
        left_turns: Number of left turns on the path to each leaf, shape (trees, 1, leaves).
        values: Degrees that each leaf adds to gaze_x and gaze_y, shape (trees × leaves, 2).
    """

    selection: NDArray[np.float32]
    thresholds: NDArray[np.float32]
    paths: NDArray[np.float32]
    left_turns: NDArray[np.float32]
    values: NDArray[np.float32]


def describe_trees(models: tuple[Any, Any]) -> TreeMatrices:
    """Return the trees of two gradient boosting regressors as matrices.

    Args:
        models: Regressors of gaze_x and gaze_y.
    """
    trees = [
        (stage[0].tree_, axis, model.learning_rate) for axis, model in enumerate(models) for stage in model.estimators_
    ]
    nodes = max(1, *(int((tree.children_left >= 0).sum()) for tree, _, _ in trees))
    leaves, count = nodes + 1, len(trees)
    selection = np.zeros((len(FEATURE_NAMES), count, nodes), np.float32)
    thresholds = np.zeros((count, nodes), np.float32)
    paths = np.zeros((count, nodes, leaves), np.float32)
    left_turns = np.full((count, leaves), _NO_LEAF, np.float32)
    values = np.zeros((count, leaves, 2), np.float32)
    for index, (tree, axis, rate) in enumerate(trees):
        places = {int(node): place for place, node in enumerate(np.flatnonzero(tree.children_left >= 0))}
        for node, place in places.items():
            selection[tree.feature[node], index, place] = 1
            thresholds[index, place] = round_down(float(tree.threshold[node]))
        for leaf, (node, path) in enumerate(_list_leaves(tree)):
            for above, is_left in path:
                paths[index, places[above], leaf] = 1 if is_left else -1
            left_turns[index, leaf] = sum(is_left for _, is_left in path)
            values[index, leaf, axis] = rate * float(tree.value[node].ravel()[0])
    return TreeMatrices(
        selection.reshape(len(FEATURE_NAMES), -1),
        thresholds.reshape(1, -1),
        paths,
        left_turns[:, None],
        values.reshape(-1, 2),
    )


def round_down(threshold: float) -> np.float32:
    """Return the largest single-precision number that is not above a threshold: the same features are at most it."""
    rounded = np.float32(threshold)
    return np.nextafter(rounded, np.float32(-np.inf)) if float(rounded) > threshold else rounded


def _list_leaves(tree: Any) -> list[tuple[int, list[tuple[int, bool]]]]:  # noqa: ANN401 - scikit-learn's
    """Return each leaf with the nodes above it, and whether it lies to their left."""
    found: list[tuple[int, list[tuple[int, bool]]]] = []
    waiting: list[tuple[int, list[tuple[int, bool]]]] = [(0, [])]
    while waiting:
        node, path = waiting.pop()
        if tree.children_left[node] < 0:
            found.append((node, path))
            continue
        for child, is_left in ((tree.children_right[node], False), (tree.children_left[node], True)):
            waiting.append((int(child), [*path, (node, is_left)]))
    return found


def make_onnx(matrices: TreeMatrices) -> bytes:
    """Return an ONNX file that computes the sum of the trees, from `features` to `corrections_deg`."""
    trees, nodes, leaves = matrices.paths.shape
    constants = {
        "selection": matrices.selection,
        "thresholds": matrices.thresholds,
        "paths": matrices.paths,
        "left_turns": matrices.left_turns,
        "values": matrices.values,
        "by_tree": np.array([-1, trees, nodes], np.int64),
        "by_row": np.array([-1, trees * leaves], np.int64),
    }
    steps: tuple[tuple[str, tuple[str, ...], str, dict[str, Any]], ...] = (
        ("MatMul", ("features", "selection"), "selected", {}),
        ("LessOrEqual", ("selected", "thresholds"), "is_left", {}),
        ("Cast", ("is_left",), "answers", {"to": TensorProto.FLOAT}),
        ("Reshape", ("answers", "by_tree"), "answers_by_tree", {}),
        ("Transpose", ("answers_by_tree",), "answers_of_tree", {"perm": [1, 0, 2]}),
        ("MatMul", ("answers_of_tree", "paths"), "agreements", {}),
        ("Equal", ("agreements", "left_turns"), "is_reached", {}),
        ("Cast", ("is_reached",), "reached", {"to": TensorProto.FLOAT}),
        ("Transpose", ("reached",), "reached_by_row", {"perm": [1, 0, 2]}),
        ("Reshape", ("reached_by_row", "by_row"), "leaves", {}),
        ("MatMul", ("leaves", "values"), "corrections_deg", {}),
    )
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, [output], **options) for kind, inputs, output, options in steps],
        "gaze_model",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", len(FEATURE_NAMES)])],
        [helper.make_tensor_value_info("corrections_deg", TensorProto.FLOAT, ["rows", 2])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="gaze-function")
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def export(path: Path) -> Path:
    """Write the ONNX file of a model beside it, and describe it in the card.

    Args:
        path: Path of the joblib file. It is unpickled: export only your own models.

    Returns:
        Path of the ONNX file.

    Raises:
        ValueError: The model is not gradient boosting that starts from `FeatureDirection`.
        ModelError: The card is missing or malformed.
    """
    card = read_card(path.with_suffix(".json"))
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != card.model.sha256:
        raise ValueError(f"{path.name} does not match its card")
    models = joblib.load(path)
    regressors = (models["model_x"], models["model_y"])
    horizontal, vertical = (getattr(model, "init_", None) for model in regressors)
    if (
        not (isinstance(horizontal, FeatureDirection) and isinstance(vertical, FeatureDirection))
        or (horizontal.axis, vertical.axis) != (0, 1)
        or not all(hasattr(model, "estimators_") for model in regressors)
    ):
        raise ValueError(f"{path.name} is not gradient boosting that starts from the direction in the features")
    exported = make_onnx(describe_trees(regressors))
    target = path.with_suffix(".onnx")
    replace_file(target, exported)
    described = OnnxFile(
        file=target.name,
        sha256=hashlib.sha256(exported).hexdigest(),
        size_bytes=len(exported),
        pitch_distrust=vertical.pitch_distrust,
    )
    write_card(card.model_copy(update={"onnx": described}), path.with_suffix(".json"))
    return target


@click.command(cls=Command)
@click.option(
    "--model",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=GAZE_MODEL_PATH,
    help="Model file; the ONNX file goes beside it.",
)
def main(model: Path) -> None:
    """Write the gaze model's trees as ONNX."""
    target = export(model)
    click.echo(f"{target.name}: {target.stat().st_size / 1e3:.1f} kB")


if __name__ == "__main__":
    main()
