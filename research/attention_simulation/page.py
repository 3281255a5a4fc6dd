"""Tables of docs/attention-score.md."""

from collections.abc import Sequence

import numpy as np

from research.attention_simulation.runs import DURATIONS_S, STATISTICS, VIEWINGS, SimulationOutcome
from research.attention_simulation.viewers import RATE_HZ, VIEWERS, Floats
from research.markdown import make_table

CHANCE = {"lift": 0.0, "nss": 0.0, "auc": 0.5, "shuffled_auc": 0.5}


def describe(outcomes: dict[bool, SimulationOutcome], *, durations_s: Sequence[int] = DURATIONS_S) -> dict[str, str]:
    """Return the tables by the names of their blocks, in Markdown.

    Args:
        outcomes: Outcomes for videos with and without centre bias.
        durations_s: Durations of the sessions.
    """
    return {
        "simulation-size": _describe_size(outcomes),
        "simulation-scores": _describe_scores(outcomes),
        "simulation-coverage": make_table(
            ("statistic", "viewer", *(f"{duration_s} s" for duration_s in durations_s)),
            [
                (name_statistic(statistic), name, *_join([each.coverage(statistic)[row] for each in outcomes.values()]))
                for statistic in STATISTICS
                for row, name in enumerate(VIEWERS)
            ],
        ),
        "simulation-reliability": make_table(
            ("session", "called reliable, %", "coverage of these, %"), _reliability_rows(outcomes, durations_s)
        ),
        "simulation-repeats": make_table(
            ("viewer", *(f"{duration_s} s" for duration_s in durations_s)),
            [
                (name, *_join([each.repeats_held[row] for each in outcomes.values()]))
                for row, name in enumerate(VIEWERS)
            ],
        ),
        "simulation-chance": make_table(
            (
                "video",
                "statistic",
                "mean minus chance ± standard error",
                "runs above chance, %",
                "interval above / around / below chance, %",
            ),
            [
                _chance_row(outcome, statistic, level, centre_bias)
                for centre_bias, outcome in outcomes.items()
                for statistic, level in CHANCE.items()
            ],
        ),
        "simulation-lag": _describe_lags(outcomes),
    }


def _describe_size(outcomes: dict[bool, SimulationOutcome]) -> str:
    runs = len(outcomes[True].table)
    uncertainty = 200 * np.sqrt(0.95 * 0.05 / runs)
    return make_table(
        (
            "videos of each kind",
            "frames per second",
            "videos with repeated viewings",
            "viewings of each",
            "± coverage, %",
        ),
        [(f"{runs:,}", str(RATE_HZ), str(max(1, runs // VIEWINGS)), str(VIEWINGS), f"{uncertainty:.1f}")],
    )


def _describe_scores(outcomes: dict[bool, SimulationOutcome]) -> str:
    rows = []
    for centre_bias, outcome in outcomes.items():
        for viewer, name in enumerate(VIEWERS):
            score, *others = (_spread(outcome, statistic, viewer) for statistic in STATISTICS)
            chance = float(np.mean(outcome.values("score")[:, viewer, -1] - outcome.values("lift")[:, viewer, -1]))
            rows.append((name_kind(centre_bias), name, score, f"{chance:.1f}", *others))
    return make_table(("video", "viewer", "score, %", "chance, %", "lift", "NSS", "AUC", "shuffled AUC"), rows)


def _reliability_rows(outcomes: dict[bool, SimulationOutcome], durations_s: Sequence[int]) -> list[Sequence[str]]:
    """Return how often sessions of each duration are called reliable, and the coverage of these."""
    rows: list[Sequence[str]] = []
    for position, duration_s in enumerate(durations_s):
        flagged, held = [], []
        for outcome in outcomes.values():
            for statistic in STATISTICS:
                truth = outcome.truth(statistic)[None, :]
                values = {name: outcome.values(statistic, name)[:, :, position] for name in ("reliable", "low", "high")}
                is_flagged = values["reliable"] == 1
                flagged.append(is_flagged.ravel())
                held.append(((values["low"] <= truth) & (truth <= values["high"]))[is_flagged])
        share, known = 100 * np.concatenate(flagged).mean(), np.concatenate(held)
        rows.append((f"{duration_s} s", f"{share:.0f}", f"{100 * known.mean():.1f}" if known.size else "–"))
    return rows


def _chance_row(outcome: SimulationOutcome, statistic: str, chance: float, centre_bias: bool) -> Sequence[str]:
    viewer = list(VIEWERS).index("random")
    values, low, high = (outcome.values(statistic, name)[:, viewer, -1] for name in ("value", "low", "high"))
    error = values.std() / np.sqrt(len(values))
    shares = [
        100 * np.mean(low > chance),
        100 * np.mean((low <= chance) & (chance <= high)),
        100 * np.mean(high < chance),
    ]
    return (
        name_kind(centre_bias),
        name_statistic(statistic),
        f"{values.mean() - chance:+.4f} ± {error:.4f}",
        f"{100 * np.mean(values > chance):.0f}",
        " / ".join(f"{share:.1f}" for share in shares),
    )


def _describe_lags(outcomes: dict[bool, SimulationOutcome]) -> str:
    rows = []
    for viewer, name in enumerate(VIEWERS):
        tested = np.concatenate([outcome.lags_s[:, viewer] for outcome in outcomes.values()])
        tested = tested[~np.isinf(tested)]
        found = tested[~np.isnan(tested)]
        rows.append((name, str(tested.size), str(found.size), f"{np.median(found):.1f} s" if found.size else "–"))
    return make_table(("viewer", "sessions", "with a lag", "median lag"), rows)


def _spread(outcome: SimulationOutcome, statistic: str, viewer: int) -> str:
    values = outcome.values(statistic)[:, viewer, -1]
    digits = 1 if statistic in ("score", "lift") else 2 if statistic == "nss" else 3
    return f"{np.nanmean(values):.{digits}f} ± {np.nanstd(values):.{digits}f}"


def _join(kinds: Sequence[Floats]) -> list[str]:
    """Return the percentages of all kinds of video by duration."""
    return [" / ".join(f"{100 * share:.1f}" for share in shares) for shares in zip(*kinds, strict=True)]


def name_kind(centre_bias: bool) -> str:
    """Return the name of a kind of video."""
    return "centre-biased" if centre_bias else "unbiased"


def name_statistic(statistic: str) -> str:
    """Return the display name of a statistic."""
    return {"nss": "NSS", "auc": "AUC", "shuffled_auc": "shuffled AUC"}.get(statistic, statistic)
