"""Makes the gaze model from the training table.

    python -m research.training.train [--estimator NAME] [--table …] [--out …]

Features come from `gaze_core`, so they cannot differ from the service's. Hyperparameters are chosen by grouped
cross-validation, and everything is fitted, on the training identities alone. The same table, seed and versions give the
same file, byte for byte, on the same kind of CPU; on another kind linear algebra may round the last bits otherwise.
"""

import argparse
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor, RandomForestRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from gaze_core import eye_region_weights
from gaze_core.errors import ModelError
from models import FACE_LANDMARKER_PATH, GAZE_MODEL_PATH
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
from research.dataset.table import TRAINING_TABLE_PATH, Table, load_table
from research.training.examples import (
    Examples,
    Measurements,
    angular_errors_deg,
    measure_table,
    mirror,
    select_examples,
)
from research.training.outline import fit_outline

BUNDLE_CARD_PATH = FACE_LANDMARKER_PATH.with_suffix(".json")

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
        )
    ],
    "random_forest": [
        {"n_estimators": 100, "min_samples_leaf": leaf, "max_features": share}
        for leaf, share in ((5, 0.6), (10, 0.6), (20, 0.6))
    ],
    "extra_trees": [
        {"n_estimators": 100, "min_samples_leaf": leaf, "max_features": share}
        for leaf, share in ((5, 0.6), (10, 1.0), (20, 1.0))
    ],
    "kernel_ridge": [
        {"kernel": "rbf", "gamma": gamma, "alpha": alpha} for gamma, alpha in ((0.01, 0.3), (0.03, 0.3), (0.03, 3.0))
    ],
}


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
    features, gaze_deg = mirror(examples.features, examples.gaze_deg)
    # One thread: sums in another order would change the last bits, and with them the file's digest.
    with threadpool_limits(1):
        return Regressors(*(make_regressor(estimator, hyperparameters, seed).fit(features, y) for y in gaze_deg.T))


def make_regressor(estimator: str, hyperparameters: Mapping[str, Any], seed: int) -> Any:  # noqa: ANN401 - scikit-learn's
    """Return a regressor that is still to be fitted.

    Raises:
        ValueError: No such estimator.
    """
    if estimator == "gradient_boosting":
        init = LinearRegression() if hyperparameters["init"] == "linear" else "zero"
        return GradientBoostingRegressor(**{**hyperparameters, "init": init}, random_state=seed)
    if estimator == "random_forest":
        return RandomForestRegressor(**hyperparameters, random_state=seed)
    if estimator == "extra_trees":
        return ExtraTreesRegressor(**hyperparameters, random_state=seed)
    if estimator == "kernel_ridge":
        return make_pipeline(StandardScaler(), KernelRidge(**hyperparameters))
    raise ValueError(f"no estimator {estimator!r}")


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """One split of people: those to learn from and those to try it on, with an outline that only the first shaped.

    Attributes:
        train: Examples to fit to.
        test: Examples of other people.
        rows: Which ones the latter are, shape (n,).
    """

    train: Examples
    test: Examples
    rows: NDArray[np.int64]


def split_people(examples: Examples, folds: int) -> list[Fold]:
    """Return a split for each fold; everybody is in one test group, and nobody in both groups of a fold."""
    parts = []
    for train_rows, test_rows in GroupKFold(folds).split(examples.features, groups=examples.identity):
        learnt = examples.of(train_rows)
        outline = fit_outline(learnt.geometries, learnt.gaze_deg, strength=eye_region_weights.STRENGTH)
        parts.append(Fold(learnt.with_outline(outline), examples.of(test_rows).with_outline(outline), test_rows))
    return parts


def predict_folds(
    estimator: str, hyperparameters: Mapping[str, Any], parts: Sequence[Fold], *, seed: int
) -> NDArray[np.float64]:
    """Return gaze_x and gaze_y of each example by a model that never saw its person, shape (n, 2)."""
    with threadpool_limits(1):  # the folds are the parallelism, and scikit-learn's trees release the lock
        found = joblib.Parallel(n_jobs=-1, prefer="threads")(
            joblib.delayed(_fit_and_predict)(estimator, hyperparameters, part, seed) for part in parts
        )
    predicted = np.empty((sum(len(part.rows) for part in parts), 2))
    for part, directions_deg in zip(parts, found, strict=True):
        predicted[part.rows] = directions_deg
    return predicted


def _fit_and_predict(estimator: str, hyperparameters: Mapping[str, Any], part: Fold, seed: int) -> NDArray[np.float64]:
    return fit(estimator, hyperparameters, part.train, seed).predict(part.test.features)


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
        estimator: One of `CANDIDATES`.
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
    parts = split_people(examples, folds)
    for hyperparameters in candidates or CANDIDATES[estimator]:
        errors_deg = angular_errors_deg(predict_folds(estimator, hyperparameters, parts, seed=seed), examples.gaze_deg)
        tried.append({"mean_angular_error_deg": round(float(errors_deg.mean()), 4), **hyperparameters})
        report(f"  {tried[-1]}")
    best = min(tried, key=lambda candidate: candidate["mean_angular_error_deg"])
    chosen = {name: value for name, value in best.items() if name != "mean_angular_error_deg"}
    regressors = fit(estimator, chosen, examples, seed)
    content = io.BytesIO()
    joblib.dump({"model_x": regressors.model_x, "model_y": regressors.model_y}, content, compress=("zlib", 9))
    card = Card(
        model=ModelFile(
            file=GAZE_MODEL_PATH.name,
            sha256=hashlib.sha256(content.getvalue()).hexdigest(),
            size_bytes=len(content.getvalue()),
            estimator=type(regressors.model_x).__name__,
            hyperparameters=chosen,
            seed=seed,
        ),
        features=describe_features(),
        outputs=describe_outputs(),
        data=describe_data(table, measured, examples) | {"outline_sha256": digest_outline()},
        selection={
            "method": f"grouped cross-validation over training identities, {folds} folds; mean angular error",
            "candidates": tried,
        },
        metrics={},
        versions=find_versions(),
    )
    return content.getvalue(), card


def digest_outline() -> str:
    """Return the digest of the outline's weights, to which the model belongs: with others its features differ."""
    return hashlib.sha256(Path(eye_region_weights.__file__).read_bytes()).hexdigest()


def describe_data(table: Table, measured: Measurements, examples: Examples) -> dict[str, Any]:
    """Return what the card says about the training rows: how many, of whom, in which ranges."""
    rows = measured.is_usable & ~table.is_held_out

    def span(values: NDArray[Any]) -> list[float]:
        return [round(float(values[rows].min()), 1), round(float(values[rows].max()), 1)]

    sizes = sorted({(int(width), int(height)) for width, height in table.image_size_px[rows]})
    return {
        "people": "rendered only; no picture of a real person",
        "table": {
            "file": TRAINING_TABLE_PATH.name,
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
    parser = argparse.ArgumentParser(
        prog="python -m research.training.train", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--estimator", choices=tuple(CANDIDATES), default="gradient_boosting")
    parser.add_argument("--table", type=Path, default=TRAINING_TABLE_PATH)
    parser.add_argument("--out", type=Path, default=GAZE_MODEL_PATH, help="the card goes beside it")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    content, card = train(load_table(options.table), estimator=options.estimator, seed=options.seed)
    card.data["table"]["sha256"] = hashlib.sha256(options.table.read_bytes()).hexdigest()
    card.data["face_landmarker_sha256"] = json.loads(BUNDLE_CARD_PATH.read_bytes())["sha256"]
    save(content, card, options.out)
    print(f"{options.out.name}: {card.model.size_bytes / 1e6:.2f} MB, SHA-256 {card.model.sha256}")


if __name__ == "__main__":
    main()
