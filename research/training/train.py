"""Train the gaze model on the training table.

    python -m research.training.train [--estimator NAME] [--table …] [--out …]

Features come from `gaze_core`, so they cannot differ from the service's. Grouped cross-validation chooses the
hyperparameters; selection and fit use only the training people. Equal tables, seeds and versions give byte-identical
files on the same kind of CPU; on other CPUs linear algebra may round the last bits differently.
"""

import hashlib
import io
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
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

from gaze_core import eye_region_weights, fusion_weights
from gaze_core.errors import ModelError
from gaze_core.model_start import FeatureDirection
from models import FACE_LANDMARKER_PATH, GAZE_MODEL_PATH
from models.atomic_file import replace_file
from models.card import (
    Card,
    ModelFile,
    describe_features,
    describe_outputs,
    find_versions,
    read_card,
    write_card,
)
from research.command_line import Command
from research.dataset.table import TRAINING_TABLE_PATH, LandmarkTable, load_table
from research.training import shape_weights
from research.training.examples import (
    Examples,
    Measurements,
    angular_errors_deg,
    disturb_pitch,
    find_estimates,
    measure_table,
    mirror,
    select_examples,
)
from research.training.eye_region import fit_eye_region

BUNDLE_CARD_PATH = FACE_LANDMARKER_PATH.with_suffix(".json")

CANDIDATES: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "gradient_boosting": [
        {
            "init": init,
            "loss": "squared_error",
            "n_estimators": trees,
            "learning_rate": rate,
            "max_depth": depth,
            "min_samples_leaf": 120,
            "subsample": 0.5,
        }
        # More trees err less on rendered people and more on portraits of real ones; see docs/accuracy.md.
        for init, depth, trees, rate in (("features", 2, 10, 0.05),)
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
    """The fitted pair of regressors in a model file."""

    model_x: Any
    model_y: Any

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return gaze_x and gaze_y in degrees, shape (n, 2)."""
        return np.column_stack([self.model_x.predict(features), self.model_y.predict(features)])


def fit(estimator: str, hyperparameters: Mapping[str, Any], examples: Examples, seed: int) -> Regressors:
    """Return both regressors fitted on the examples and their mirror images.

    With `init="features"` the trees fit what the direction in the features leaves over, so the model follows that
    direction beyond the examples, and every person is seen with several errors of the head pitch, as real faces have.
    """
    disturbed = hyperparameters.get("init") == "features"
    features, gaze_deg = mirror(
        *(disturb_pitch(examples, seed) if disturbed else (examples.features, examples.gaze_deg))
    )
    # One thread: another order of summation would change the last bits and the file's digest.
    with threadpool_limits(1):
        return Regressors(
            *(
                make_regressor(estimator, hyperparameters, seed, axis).fit(features, angles_deg)
                for axis, angles_deg in enumerate(gaze_deg.T)
            )
        )


def make_regressor(estimator: str, hyperparameters: Mapping[str, Any], seed: int, axis: int) -> Any:  # noqa: ANN401 - scikit-learn's
    """Return an unfitted regressor of gaze_x (axis 0) or gaze_y (axis 1).

    Raises:
        ValueError: The estimator is unknown.
    """
    if estimator == "gradient_boosting":
        starts = {"features": FeatureDirection(axis), "linear": LinearRegression(), "zero": "zero"}
        return GradientBoostingRegressor(
            **{**hyperparameters, "init": starts[hyperparameters["init"]]}, random_state=seed
        )
    if estimator == "random_forest":
        return RandomForestRegressor(**hyperparameters, random_state=seed)
    if estimator == "extra_trees":
        return ExtraTreesRegressor(**hyperparameters, random_state=seed)
    if estimator == "kernel_ridge":
        return make_pipeline(StandardScaler(), KernelRidge(**hyperparameters))
    raise ValueError(f"unknown estimator {estimator!r}")


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """One split of people into training and test, with eye region weights fitted to the training part.

    Attributes:
        train: Training examples.
        test: Examples of other people.
        rows: Rows of the test examples, shape (n,).
    """

    train: Examples
    test: Examples
    rows: NDArray[np.int64]


def split_people(examples: Examples, folds: int) -> list[Fold]:
    """Return a split by person for each fold; each person is in the test part of exactly one fold."""
    parts = []
    for train_rows, test_rows in GroupKFold(folds).split(examples.features, groups=examples.identity):
        learnt = examples.of(train_rows)
        eye_region = fit_eye_region(learnt.geometries, learnt.gaze_deg, strength=eye_region_weights.STRENGTH)
        parts.append(
            Fold(learnt.with_eye_region(eye_region), examples.of(test_rows).with_eye_region(eye_region), test_rows)
        )
    return parts


def predict_folds(
    estimator: str, hyperparameters: Mapping[str, Any], parts: Sequence[Fold], *, seed: int
) -> NDArray[np.float64]:
    """Return cross-validated gaze_x and gaze_y of each example, shape (n, 2)."""
    with threadpool_limits(1):  # the folds run in parallel; scikit-learn's trees release the GIL
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
    table: LandmarkTable,
    *,
    estimator: str = "gradient_boosting",
    seed: int = 0,
    folds: int = 5,
    candidates: Sequence[Mapping[str, Any]] | None = None,
    report: Callable[[str], None] = click.echo,
) -> tuple[bytes, Card]:
    """Return the content of the model file, and its card without metrics and without the table's digest.

    Args:
        table: Training table; its test group is not used. All estimates that it has enter the features.
        estimator: Name in `CANDIDATES`.
        seed: Seed of the fit.
        folds: Folds of the cross-validation that chooses the hyperparameters.
        candidates: Hyperparameters to choose from; by default those in `CANDIDATES`.
        report: Called with one line per step.

    Raises:
        ValueError: The table has fewer usable training people than folds.
    """
    estimates = find_estimates(table)
    measured = measure_table(table, estimates=estimates)
    examples = select_examples(table, measured, held_out=False)
    people = len(np.unique(examples.identity))
    if people < folds:
        raise ValueError(f"{people} usable people are too few for {folds} folds")
    report(f"{len(examples)} usable rows of {people} people; left out: {measured.left_out}")
    report(f"gaze vector from {', '.join(estimates)}")
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
        data=describe_data(table, measured, examples) | digest_weights(estimates),
        selection={
            "method": f"grouped cross-validation over training identities, {folds} folds; mean angular error",
            "candidates": tried,
        },
        metrics={},
        versions=find_versions(),
        estimates=list(estimates),
        eye_network_sha256=table.description["eye_network_sha256"] if "network" in estimates else None,
    )
    return content.getvalue(), card


def digest_weights(estimates: Collection[str]) -> dict[str, str]:
    """Return the digests of the weights on which the model's features depend, by their names in the card.

    Args:
        estimates: Estimates in the features; if there is more than one, they are fused.
    """
    modules = {"eye_region_sha256": eye_region_weights}
    if len(estimates) > 1:
        modules |= {"fusion_sha256": fusion_weights, "rendered_shapes_sha256": shape_weights}
    return {
        name: hashlib.sha256(Path(str(module.__file__)).read_bytes()).hexdigest() for name, module in modules.items()
    }


def describe_data(table: LandmarkTable, measured: Measurements, examples: Examples) -> dict[str, Any]:
    """Return the training data's description for the card: counts and ranges."""
    rows = measured.is_usable & ~table.is_held_out

    def span(values: NDArray[Any]) -> list[float]:
        return [round(float(values[rows].min()), 1), round(float(values[rows].max()), 1)]

    sizes = sorted({(int(width), int(height)) for width, height in table.image_size_px[rows]})
    return {
        "people": "rendered people only",
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
    """Write the model file and its card; keep the metrics of an existing card of the same model and data."""
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


@click.command(cls=Command)
@click.option(
    "--estimator",
    type=click.Choice(list(CANDIDATES)),
    default="gradient_boosting",
    show_default=True,
    help="Kind of regressor.",
)
@click.option("--table", type=click.Path(path_type=Path), default=TRAINING_TABLE_PATH, help="Training table.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=GAZE_MODEL_PATH,
    help="Model file to write; the card goes beside it.",
)
@click.option("--seed", default=0, show_default=True, help="Random seed of the fit.")
def main(estimator: str, table: Path, out: Path, seed: int) -> None:
    """Train the gaze model on the training table, and write the model and its card."""
    content, card = train(load_table(table), estimator=estimator, seed=seed)
    card.data["table"]["sha256"] = hashlib.sha256(table.read_bytes()).hexdigest()
    card.data["face_landmarker_sha256"] = json.loads(BUNDLE_CARD_PATH.read_bytes())["sha256"]
    save(content, card, out)
    click.echo(f"{out.name}: {card.model.size_bytes / 1e6:.2f} MB, SHA-256 {card.model.sha256}")


if __name__ == "__main__":
    main()
