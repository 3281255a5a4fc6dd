"""Makes the gaze model from the training table.

    python -m models.train [--estimator gradient_boosting|random_forest] [--table …] [--out …] [--seed 0]

Features come from `gaze_core`, so they cannot differ from the service's. Hyperparameters are chosen by grouped
cross-validation, and everything is fitted, on the training identities alone. The same table, seed and versions give the
same file, byte for byte, on the same kind of CPU; on another kind linear algebra may round the last bits otherwise.
"""

import argparse
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from gaze_core.errors import ModelError
from gaze_core.features import FEATURE_NAMES, measure_face
from gaze_core.gaze import visual_angle_deg
from gaze_core.landmarks import Landmarks
from gaze_core.types import DEFAULT_VERTICAL_FOV_DEG, GazeDirection
from models.card import (
    Card,
    ModelFile,
    describe_features,
    describe_outputs,
    find_versions,
    read_card,
    replace_file,
    write_card,
)
from models.dataset import Table, load_table

FOLDER = Path(__file__).resolve().parent
TABLE_PATH = FOLDER / "training_table.npz"
MODEL_PATH = FOLDER / "gaze_model.joblib"
BUNDLE_CARD_PATH = FOLDER / "face_landmarker.json"

SHUT_BELOW = 0.2
"""Openness below which a rendered eye shows nothing of its gaze."""

MIRRORED_FEATURES = np.array([-1.0, 1.0, 1.0, 1.0, -1.0, -1.0, 1.0])
MIRRORED_GAZE = np.array([-1.0, 1.0])

CANDIDATES: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "gradient_boosting": [
        {
            "init": init,
            "loss": "squared_error",
            "n_estimators": trees,
            "learning_rate": rate,
            "max_depth": depth,
            "min_samples_leaf": 30,
            "subsample": 0.5,
        }
        for init, depth, trees, rate in (
            ("zero", 4, 300, 0.05),
            ("linear", 2, 200, 0.05),
            ("linear", 3, 200, 0.05),
            ("linear", 4, 200, 0.05),
            ("linear", 4, 300, 0.05),
            ("linear", 5, 200, 0.05),
        )
    ],
    "random_forest": [
        {"n_estimators": 100, "min_samples_leaf": leaf, "max_features": share}
        for leaf, share in ((5, 0.6), (10, 0.6), (20, 0.6), (10, 1.0))
    ],
}


@dataclass(frozen=True, slots=True, eq=False)
class Measurements:
    """What `gaze_core` makes of the rows of a table.

    Attributes:
        features: In the order of `FEATURE_NAMES`, NaN where both eyes count as shut, shape (n, 7).
        origin_mm: Estimated midpoint between the eyes, camera frame, shape (n, 3).
        iris_diameter_px: Shape (n,).
        is_usable: Which rows have features and open eyes: those a model can learn from, shape (n,).
        left_out: How many rows are not usable, by reason.
    """

    features: NDArray[np.float64]
    origin_mm: NDArray[np.float64]
    iris_diameter_px: NDArray[np.float64]
    is_usable: NDArray[np.bool_]
    left_out: dict[str, int]


def measure_table(table: Table, *, assume_default_camera: bool = False) -> Measurements:
    """Return the features of every row.

    Args:
        table: The rows.
        assume_default_camera: Whether to take every camera for one of the default field of view, as the service does
            with a camera that nobody described.
    """
    features = np.full((len(table), len(FEATURE_NAMES)), np.nan)
    origin_mm = np.full((len(table), 3), np.nan)
    iris_diameter_px = np.full(len(table), np.nan)
    is_usable = np.zeros(len(table), dtype=np.bool_)
    left_out: Counter[str] = Counter()
    for row in range(len(table)):
        fov_deg = DEFAULT_VERTICAL_FOV_DEG if assume_default_camera else table.camera_of(row).vertical_fov_deg
        try:
            geometry = measure_face(fill_landmarks(table.face(row)), vertical_fov_deg=fov_deg)
        except ValueError:
            left_out["landmarks_span_no_face"] += 1
            continue
        origin_mm[row] = geometry.origin_mm
        iris_diameter_px[row] = geometry.iris_diameter_px
        if geometry.features is not None:
            features[row] = geometry.features
        if table.openness[row] < SHUT_BELOW:
            left_out["eyes_shut_and_seen_so" if geometry.features is None else "eyes_shut_but_taken_for_open"] += 1
        elif geometry.features is None:
            left_out["eyes_open_but_taken_for_shut"] += 1
        else:
            is_usable[row] = True
    return Measurements(features, origin_mm, iris_diameter_px, is_usable, dict(sorted(left_out.items())))


def fill_landmarks(face: Landmarks) -> Landmarks:
    """Return a face whose landmarks that the table did not keep lie somewhere harmless.

    Of those, the core uses only their share in the mean z of the first 468. MediaPipe's networks make that mean zero
    (it stayed below 0.0001 on 574 pictures), so the missing ones get what makes it zero.
    """
    points = face.points.copy()
    is_missing = np.isnan(points[:, 2])
    missing_in_mean = int(is_missing[:468].sum())
    if missing_in_mean:
        points[is_missing, 2] = -np.nansum(points[:468, 2]) / missing_in_mean
    points[np.isnan(points)] = 0.5
    return Landmarks(points, face.image_width_px, face.image_height_px)


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """What a model is fitted on.

    Attributes:
        features: Shape (n, 7).
        gaze_deg: gaze_x and gaze_y, shape (n, 2).
        identity: Number of the person, shape (n,).
    """

    features: NDArray[np.float64]
    gaze_deg: NDArray[np.float64]
    identity: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.identity)

    def of(self, rows: NDArray[Any]) -> "Examples":
        """Return some of the rows."""
        return Examples(self.features[rows], self.gaze_deg[rows], self.identity[rows])

    def with_mirrored(self) -> "Examples":
        """Return the rows and their mirror images: what holds for one eye holds for the other."""
        return Examples(
            np.concatenate([self.features, self.features * MIRRORED_FEATURES]),
            np.concatenate([self.gaze_deg, self.gaze_deg * MIRRORED_GAZE]),
            np.concatenate([self.identity, self.identity]),
        )


def select_examples(table: Table, measured: Measurements, *, held_out: bool) -> Examples:
    """Return the usable rows of the test identities, or of all others."""
    rows = measured.is_usable & (table.is_held_out == held_out)
    return Examples(measured.features[rows], table.gaze_deg[rows], table.identity[rows])


@dataclass(frozen=True, slots=True)
class Regressors:
    """A fitted pair: what the model's file holds."""

    model_x: Any
    model_y: Any

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return gaze_x and gaze_y in degrees, shape (n, 2)."""
        return np.column_stack([self.model_x.predict(features), self.model_y.predict(features)])


def fit(estimator: str, hyperparameters: Mapping[str, Any], examples: Examples, seed: int) -> Regressors:
    """Return both regressors fitted on the examples and their mirror images.

    With `init` `"linear"` the trees learn what a linear fit leaves over, so that beyond the examples the model goes on
    as the line does instead of standing still.
    """
    doubled = examples.with_mirrored()
    fitted = []
    # One thread: sums in another order would change the last bits, and with them the file's digest.
    with threadpool_limits(1):
        for target in doubled.gaze_deg.T:
            regressor: Any
            if estimator == "gradient_boosting":
                init = LinearRegression() if hyperparameters["init"] == "linear" else "zero"
                regressor = GradientBoostingRegressor(**{**hyperparameters, "init": init}, random_state=seed)
            else:
                regressor = RandomForestRegressor(**hyperparameters, random_state=seed)
            fitted.append(regressor.fit(doubled.features, target))
    return Regressors(*fitted)


def cross_validate(
    estimator: str, hyperparameters: Mapping[str, Any], examples: Examples, *, folds: int, seed: int
) -> NDArray[np.float64]:
    """Return each example's angular error, in degrees, by a model that never saw its person, shape (n,)."""
    parts = list(GroupKFold(folds).split(examples.features, groups=examples.identity))
    with threadpool_limits(1):  # the folds are the parallelism, and scikit-learn's trees release the lock
        found = joblib.Parallel(n_jobs=-1, prefer="threads")(
            joblib.delayed(_fit_and_predict)(
                estimator, hyperparameters, examples.of(train), seed=seed, features=examples.features[test]
            )
            for train, test in parts
        )
    predicted = np.empty_like(examples.gaze_deg)
    for (_, test), part in zip(parts, found, strict=True):
        predicted[test] = part
    return angular_errors_deg(predicted, examples.gaze_deg)


def _fit_and_predict(
    estimator: str,
    hyperparameters: Mapping[str, Any],
    examples: Examples,
    *,
    seed: int,
    features: NDArray[np.float64],
) -> NDArray[np.float64]:
    return fit(estimator, hyperparameters, examples, seed).predict(features)


def angular_errors_deg(predicted_deg: NDArray[np.float64], true_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the angle at the eye between each two directions, in degrees, shape (n,).

    Args:
        predicted_deg: gaze_x and gaze_y, shape (n, 2).
        true_deg: Likewise.
    """
    pairs = zip(predicted_deg.tolist(), true_deg.tolist(), strict=True)
    return np.array([visual_angle_deg(GazeDirection(*a), GazeDirection(*b)) for a, b in pairs])


def train(
    table: Table,
    *,
    estimator: str = "gradient_boosting",
    seed: int = 0,
    folds: int = 5,
    candidates: Sequence[Mapping[str, Any]] | None = None,
    report: Callable[[str], None] = print,
) -> tuple[bytes, Card]:
    """Return the model's file and its card, the latter without metrics and without the table's digest.

    Args:
        table: The training table; its test identities are not touched.
        estimator: `gradient_boosting` or `random_forest`.
        seed: Of the fit.
        folds: Of the cross-validation that chooses among the candidates.
        candidates: Hyperparameters to choose among; `CANDIDATES` unless given.
        report: Takes one line about each step.

    Raises:
        ValueError: The table has fewer usable training identities than folds.
    """
    measured = measure_table(table)
    examples = select_examples(table, measured, held_out=False)
    people = len(np.unique(examples.identity))
    if people < folds:
        raise ValueError(f"{people} usable identities are too few for {folds} folds")
    report(f"{len(examples)} usable rows of {people} people; left out: {measured.left_out}")
    tried = []
    for hyperparameters in candidates or CANDIDATES[estimator]:
        errors_deg = cross_validate(estimator, hyperparameters, examples, folds=folds, seed=seed)
        tried.append({"mean_angular_error_deg": round(float(errors_deg.mean()), 4), **hyperparameters})
        report(f"  {tried[-1]}")
    best = min(tried, key=lambda candidate: candidate["mean_angular_error_deg"])
    chosen = {name: value for name, value in best.items() if name != "mean_angular_error_deg"}
    regressors = fit(estimator, chosen, examples, seed)
    content = io.BytesIO()
    joblib.dump({"model_x": regressors.model_x, "model_y": regressors.model_y}, content, compress=("zlib", 9))
    card = Card(
        model=ModelFile(
            file=MODEL_PATH.name,
            sha256=hashlib.sha256(content.getvalue()).hexdigest(),
            size_bytes=len(content.getvalue()),
            estimator=type(regressors.model_x).__name__,
            hyperparameters=chosen,
            seed=seed,
        ),
        features=describe_features(),
        outputs=describe_outputs(),
        data=describe_data(table, measured, examples),
        selection={
            "method": f"grouped cross-validation over training identities, {folds} folds; mean angular error",
            "candidates": tried,
        },
        metrics={},
        versions=find_versions(),
    )
    return content.getvalue(), card


def describe_data(table: Table, measured: Measurements, examples: Examples) -> dict[str, Any]:
    """Return what the card says about the training rows: how many, of whom, in which ranges."""
    rows = measured.is_usable & ~table.is_held_out

    def span(values: NDArray[Any]) -> list[float]:
        return [round(float(values[rows].min()), 1), round(float(values[rows].max()), 1)]

    sizes = sorted({(int(width), int(height)) for width, height in table.image_size_px[rows]})
    return {
        "people": "rendered only; no picture of a real person",
        "table": {
            "file": TABLE_PATH.name,
            "plan": table.description.get("plan", {}),
            "images_rendered": int(table.description.get("images", len(table))),
            "faces_found": len(table),
        },
        "training": {
            "images": len(examples),
            "mirrored_too": True,
            "identities": len(np.unique(examples.identity)),
            "share_with_glasses": round(float(table.wears_glasses[rows].mean()), 3),
        },
        "rows_left_out": measured.left_out,
        "ranges": {
            "distance_mm": span(table.distance_mm),
            "head_pitch_deg": span(table.pose_deg[:, 0]),
            "head_yaw_deg": span(table.pose_deg[:, 1]),
            "head_roll_deg": span(table.pose_deg[:, 2]),
            "gaze_x_deg": span(table.gaze_deg[:, 0]),
            "gaze_y_deg": span(table.gaze_deg[:, 1]),
            "camera_vertical_fov_deg": span(table.camera[:, 0]),
            "iris_diameter_px": span(measured.iris_diameter_px),
            "image_size_px": [list(size) for size in sizes],
        },
    }


def save(content: bytes, card: Card, path: Path) -> None:
    """Write the model's file and its card; the metrics of a card with the same digest are kept."""
    card_path = path.with_suffix(".json")
    card = card.model_copy(update={"model": card.model.model_copy(update={"file": path.name})})
    try:
        former = read_card(card_path)
    except ModelError:
        former = card
    if former.model.sha256 == card.model.sha256 and former.data == card.data:
        card = card.model_copy(update={"metrics": former.metrics})
    replace_file(path, content)
    write_card(card, card_path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, and write the model and its card."""
    parser = argparse.ArgumentParser(prog="python -m models.train", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--estimator", choices=tuple(CANDIDATES), default="gradient_boosting")
    parser.add_argument("--table", type=Path, default=TABLE_PATH)
    parser.add_argument("--out", type=Path, default=MODEL_PATH, help="the card goes beside it")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    content, card = train(load_table(options.table), estimator=options.estimator, seed=options.seed)
    card.data["table"]["sha256"] = hashlib.sha256(options.table.read_bytes()).hexdigest()
    card.data["face_landmarker_sha256"] = json.loads(BUNDLE_CARD_PATH.read_bytes())["sha256"]
    save(content, card, options.out)
    print(f"{options.out.name}: {card.model.size_bytes / 1e6:.2f} MB, SHA-256 {card.model.sha256}")


if __name__ == "__main__":
    main()
