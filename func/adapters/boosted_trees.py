"""Gradient boosting regressors in a joblib file, read and evaluated without importing scikit-learn.

Importing scikit-learn, and scipy with it, takes as much time and memory as half of the function, and the trees are
small arrays. joblib reads the file here, too, but creates only the classes listed here, as the documentation of
`pickle` describes under "Restricting Globals". Of scikit-learn's objects, only the attributes are read. joblib 1.6 and
later apply this to arrays of objects too.

This recognises files of other kinds, and is no protection against hostile ones: numpy accepts data types and buffers
that read other memory. `model_file` checks the file's digest first.

Predictions are those of scikit-learn, bit for bit: features and thresholds are compared, and the trees' values added,
in the precision and order of `sklearn.ensemble._gradient_boosting.predict_stages`.
"""

import io
import pickle
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib.numpy_pickle import NumpyUnpickler
from numpy.typing import NDArray

from gaze_core.model_start import FeatureDirection

_BATCH_ROWS = 4096
"""Rows evaluated at once, which limits the memory."""

_NODE_FIELDS = {"left_child", "right_child", "feature", "threshold"}

_CREATED = {
    ("gaze_core.model_start", "FeatureDirection"),
    ("joblib.numpy_pickle", "NumpyArrayWrapper"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
}
"""Modules and names of what the unpickler creates."""

_READ_MODULES = ("sklearn.", "numpy.random.")
"""Modules of the objects whose attributes are read."""


@dataclass(frozen=True, slots=True)
class BoostedTree:
    """One regression tree, as scikit-learn's `Tree` stores it.

    Attributes:
        nodes: Nodes, the root first: a structured array with the fields `left_child`, `right_child` (-1 in a leaf),
            `feature` and `threshold`.
        values: Value of each node, shape (nodes,).
        max_depth: Largest number of steps from the root to a leaf.
    """

    nodes: NDArray[Any]
    values: NDArray[np.float64]
    max_depth: int


class BoostedTrees:
    """Boosted regression trees that correct a `FeatureDirection`; thread-safe.

    Args:
        start: What the trees correct.
        learning_rate: Factor of the values of each tree.
        trees: The trees, in order.
        feature_count: Number of features that they were fitted on.
    """

    def __init__(
        self, start: FeatureDirection, learning_rate: float, trees: Sequence[BoostedTree], feature_count: int
    ) -> None:
        self.n_features_in_ = feature_count
        self._start = start
        self._depth = max(tree.max_depth for tree in trees)
        counts = [len(tree.nodes) for tree in trees]
        self._roots = np.cumsum([0, *counts[:-1]])
        first = np.repeat(self._roots, counts)
        nodes = np.concatenate([tree.nodes for tree in trees])
        # A leaf is its own child, so that all rows take the same number of steps.
        is_leaf, itself = nodes["left_child"] < 0, np.arange(len(nodes))
        self._left = np.where(is_leaf, itself, first + nodes["left_child"])
        self._right = np.where(is_leaf, itself, first + nodes["right_child"])
        self._feature = np.where(is_leaf, 0, nodes["feature"])
        self._threshold = nodes["threshold"].astype(np.float64)
        self._corrections = learning_rate * np.concatenate([tree.values for tree in trees])

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the predictions, shape (n,).

        Args:
            features: Finite features, shape (n, `n_features_in_`).
        """
        rows = features.astype(np.float32)
        # In single precision, as scikit-learn passes them to `init`.
        predictions = self._start.predict(rows).astype(np.float64)  # type: ignore[arg-type]
        for first in range(0, len(rows), _BATCH_ROWS):
            batch = slice(first, first + _BATCH_ROWS)
            predictions[batch] = self._add_trees(predictions[batch], rows[batch])
        return predictions

    def _add_trees(self, predictions: NDArray[np.float64], rows: NDArray[np.float32]) -> NDArray[np.float64]:
        numbers = np.arange(len(rows))
        at = self._roots[:, np.newaxis]
        for _ in range(self._depth):
            goes_left = rows[numbers, self._feature[at]] <= self._threshold[at]
            at = np.where(goes_left, self._left[at], self._right[at])
        corrections = np.broadcast_to(self._corrections[at], (len(at), len(rows)))
        # Unlike `sum`, this adds one tree after the other.
        added: NDArray[np.float64] = np.cumsum(np.vstack([predictions, corrections]), axis=0)[-1]
        return added


def read_boosted_trees(content: bytes) -> dict[str, BoostedTrees] | None:
    """Return the regressors in a file of joblib by name; None if there is anything else in it.

    They are instances of `GradientBoostingRegressor` with squared error as loss and a `FeatureDirection` as `init`.

    Args:
        content: Content of the file, from a trusted source.
    """
    try:
        pickled = content if content[:1] == pickle.PROTO else zlib.decompress(content)
        models = _TreeUnpickler("", io.BytesIO(pickled), ensure_native_byte_order=True).load()
        return {name: _to_trees(model) for name, model in models.items()}
    except Exception:
        return None


class _Record:
    """Attributes of an object of scikit-learn."""

    def __init__(self, *_arguments: object) -> None:
        self.state: Any = None

    def __setstate__(self, state: object) -> None:
        self.state = state


class _TreeUnpickler(NumpyUnpickler):  # type: ignore[misc]  # joblib has no types
    """Reads a file of joblib, with a `_Record` for each object of scikit-learn."""

    def find_class(self, module: str, name: str) -> Callable[..., object]:
        """Return the class of an object, or a function that creates one.

        Raises:
            pickle.UnpicklingError: It is neither known nor scikit-learn's.
        """
        if (module, name) in _CREATED:
            created: Callable[..., object] = super().find_class(module, name)
            return created
        if not module.startswith(_READ_MODULES):
            raise pickle.UnpicklingError(f"unknown class {module}.{name}")
        # The class remains known by its name alone.
        return type(name, (_Record,), {"__module__": module})


def _to_trees(model: Any) -> BoostedTrees:  # noqa: ANN401 - any object of a pickle
    """Return a regressor's trees.

    Raises:
        Exception: The object is no such regressor. Attributes may be missing or of any type.
    """
    state = _read_state(model, "GradientBoostingRegressor")
    if state["loss"] != "squared_error" or not isinstance(state["init_"], FeatureDirection):
        raise ValueError("not the squared error of trees on top of a FeatureDirection")
    trees = []
    for (estimator,) in state["estimators_"]:
        tree = _read_state(_read_state(estimator, "DecisionTreeRegressor")["tree_"], "Tree")
        nodes, values = tree["nodes"], tree["values"]
        if not nodes.dtype.names or not _NODE_FIELDS.issubset(nodes.dtype.names) or values.shape != (len(nodes), 1, 1):
            raise ValueError("not a tree with one value in each node")
        trees.append(BoostedTree(nodes, values[:, 0, 0], int(tree["max_depth"])))
    return BoostedTrees(state["init_"], float(state["learning_rate"]), trees, int(state["n_features_in_"]))


def _read_state(record: Any, class_name: str) -> dict[str, Any]:  # noqa: ANN401
    if type(record).__name__ != class_name:
        raise ValueError(f"{type(record).__name__} instead of {class_name}")
    state: dict[str, Any] = record.state
    return state
