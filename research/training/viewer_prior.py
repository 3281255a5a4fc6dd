r"""Estimate how much viewers differ from session to session, and write it into `gaze_core.viewer_prior`.

    python -m research.dataset --identities 60 --frames-per-identity 12 --frames-per-session 6 --seed 77 \
        --out .cache/two_sessions.npz
    python -m research.training.viewer_prior --table .cache/two_sessions.npz

The table needs people in several sessions whom the gaze model has not seen. Expectation maximisation separates what is
constant for a person from what changes between sessions (Laird and Ware, Random-effects models for longitudinal data,
Biometrics 38, 1982). The command then measures false alarms and detections on the people of the test group, who are
both in the training table and in the calibration table.
"""

from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from func.adapters.model_file import load_gaze_model
from gaze_core.correction import missing_in_head_deg
from gaze_core.gaze import gaze_direction
from gaze_core.targets import HEAD_ANGLES
from gaze_core.viewer_change import TRAITS, ViewerPrior, compare_viewers, find_traits
from models import GAZE_MODEL_PATH
from models.atomic_file import replace_file
from research.command_line import Command
from research.dataset.table import CALIBRATION_TABLE_PATH, TRAINING_TABLE_PATH, LandmarkTable, load_table
from research.training.cues import find_table_cues
from research.training.examples import measure_table

Floats = NDArray[np.float64]

PRIOR_PATH = Path(__file__).resolve().parents[2] / "gaze_core" / "viewer_prior.py"

STEPS = 500

MIN_FRAMES = 4
"""Sessions with fewer usable frames are skipped."""

SESSION = tuple[int, int]


def find_session_traits(table: LandmarkTable) -> dict[SESSION, Floats]:
    """Return the traits of each session by person and session; those of the gaze with the shipped model."""
    model = load_gaze_model(GAZE_MODEL_PATH)
    measured = measure_table(table)
    rows = np.flatnonzero(measured.is_usable)
    features = measured.features[rows]
    true_deg = gaze_direction(table.target_mm[rows] - measured.origin_mm[rows])
    _, missing_deg = missing_in_head_deg(model.predict(features), true_deg, features[:, HEAD_ANGLES])
    cues = find_table_cues(measured, rows)
    found = {}
    for session in np.unique(table.session[rows]).tolist():
        own = table.session[rows] == session
        if own.sum() >= MIN_FRAMES:
            person = int(table.identity[rows][own][0])
            own_cues = None if cues is None else cues.select(own)
            found[person, session] = find_traits(measured.openness[rows][own], own_cues, missing_deg[own])
    return found


def fit_viewer_prior(traits: dict[SESSION, Floats]) -> ViewerPrior:
    """Return the maximum-likelihood covariances; NaN for traits that any session lacks.

    Raises:
        ValueError: Nobody has two sessions.
    """
    by_person: dict[int, list[Floats]] = {}
    for (person, _), values in traits.items():
        by_person.setdefault(person, []).append(values)
    if not any(len(sessions) > 1 for sessions in by_person.values()):
        raise ValueError("the table has nobody in two sessions; render it with --frames-per-session")
    known = np.isfinite(np.array(list(traits.values()))).all(axis=0)
    stacks = [np.array(sessions)[:, known] for sessions in by_person.values()]
    mean = np.concatenate(stacks).mean(axis=0)
    total = np.cov(np.concatenate(stacks).T).reshape(known.sum(), known.sum())
    people, sessions = total / 2, total / 2
    count = sum(map(len, stacks))
    for _ in range(STEPS):
        between, within = np.zeros_like(people), np.zeros_like(people)
        for values in stacks:
            posterior = np.linalg.inv(np.linalg.inv(people) + len(values) * np.linalg.inv(sessions))
            middle = posterior @ np.linalg.inv(sessions) @ (values - mean).sum(axis=0)
            between += np.outer(middle, middle) + posterior
            rest = values - mean - middle
            within += rest.T @ rest + len(values) * posterior
        people, sessions = between / len(stacks), within / count
    whole = [np.full((len(TRAITS), len(TRAITS)), np.nan) for _ in range(2)]
    for covariance, part in zip(whole, (people, sessions), strict=True):
        covariance[np.ix_(known, known)] = part
    return ViewerPrior(whole[0], whole[1])


def measure_alarms(first: dict[SESSION, Floats], second: dict[SESSION, Floats], prior: ViewerPrior) -> dict[str, float]:
    """Return the shares of same and of other viewers that are suspected, and the number of same viewers.

    Args:
        first: Traits of people in one session each.
        second: Traits of some of them in another session each.
        prior: Distribution of the traits.
    """
    earlier = {person: values for (person, _), values in first.items()}
    later = {person: values for (person, _), values in second.items() if person in earlier}
    alarms: dict[bool, list[bool]] = {True: [], False: []}
    for person, values in later.items():
        for candidate in later:
            compared = compare_viewers(earlier[candidate], values, prior)
            if compared is not None:
                alarms[person == candidate].append(compared.is_other_viewer)
    return {
        "people": float(len(later)),
        "false_alarms": float(np.mean(alarms[True])),
        "detections": float(np.mean(alarms[False])),
    }


def render_viewer_prior(prior: ViewerPrior) -> str:
    """Return the source of `gaze_core.viewer_prior`."""
    return render_prior(
        prior,
        "Prior of `viewer_change`. Generated by `research.training.viewer_prior`; do not edit by hand.",
        "Covariances of `viewer_change.TRAITS` between people, and between sessions of one person.",
        "SESSIONS",
    )


def render_prior(prior: ViewerPrior, docstring: str, comment: str, within: str) -> str:
    """Return the source of a module with a prior; four digits, so that CPUs agree.

    Args:
        prior: The prior.
        docstring: First line of the module.
        comment: What the two covariances are.
        within: Name of the covariance of one viewer, `prior.sessions`.
    """

    def rows_of(covariance: Floats) -> list[str]:
        rows = [", ".join("NAN" if np.isnan(value) else f"{value:.4g}" for value in row) for row in covariance]
        return [f"    ({row})," for row in rows]

    lines = [
        f'"""{docstring}"""',
        "",
        'NAN = float("nan")',
        "",
        f"# {comment}",
        "PEOPLE = (",
        *rows_of(prior.people),
        ")",
        f"{within} = (",
        *rows_of(prior.sessions),
        ")",
        "",
    ]
    return "\n".join(lines)


@click.command(cls=Command)
@click.option("--table", type=click.Path(path_type=Path), required=True, help="Table of people in several sessions.")
def main(table: Path) -> None:
    r"""Estimate how much viewers differ from session to session, and write it into `gaze_core.viewer_prior`."""
    prior = fit_viewer_prior(find_session_traits(load_table(table)))
    for name, person, session in zip(TRAITS, np.diag(prior.people), np.diag(prior.sessions), strict=True):
        if np.isfinite(person):
            click.echo(
                f"{name}: deviation {np.sqrt(person):.2f} between people, {np.sqrt(session):.2f} between sessions"
            )
    earlier, later = (find_session_traits(load_table(path)) for path in (TRAINING_TABLE_PATH, CALIBRATION_TABLE_PATH))
    for kind, first in (("with targets", 0), ("without targets", 2)):
        compared = [
            {session: np.where(np.arange(len(TRAITS)) >= first, values, np.nan) for session, values in part.items()}
            for part in (earlier, later)
        ]
        found = measure_alarms(compared[0], compared[1], prior)
        click.echo(
            f"{kind}: {found['false_alarms']:.1%} of {found['people']:.0f} same viewers suspected, "
            f"{found['detections']:.1%} of other viewers"
        )
    replace_file(PRIOR_PATH, render_viewer_prior(prior).encode())
    click.echo(f"wrote {PRIOR_PATH.name}", err=True)


if __name__ == "__main__":
    main()
