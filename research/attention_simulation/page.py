"""The generated section of docs/attention-score.md."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from research.attention_simulation.runs import DURATIONS_S, STATISTICS, VIEWINGS, Outcome
from research.attention_simulation.viewers import RATE_HZ, VIEWERS, Floats

CHANCE = {"lift": 0.0, "nss": 0.0, "auc": 0.5, "shuffled_auc": 0.5}

_BEGIN = "<!-- simulation: begin -->"
_END = "<!-- simulation: end -->"


def render(outcomes: dict[bool, Outcome], command: str, *, durations_s: Sequence[int] = DURATIONS_S) -> str:
    """Return the generated section of the page, in Markdown."""
    runs = len(outcomes[True].table)
    longest = durations_s[-1]
    lines = [
        _BEGIN,
        f"*Made by `{command}`: {runs:,} videos of each kind, each watched by one viewer of each kind,",
        f"{RATE_HZ} frames a second. A coverage of 95 % is known to ± {200 * np.sqrt(0.95 * 0.05 / runs):.1f} points.*",
        "",
        f"**What the numbers say after {longest} s** (mean over runs ± standard deviation between runs):",
        "",
        "| video | viewer | score % | chance % | lift | NSS | AUC | shuffled AUC |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for centre_bias, outcome in outcomes.items():
        for viewer, name in enumerate(VIEWERS):
            score, lift, nss, auc, shuffled = (_spread(outcome, statistic, viewer) for statistic in STATISTICS)
            chance = float(np.mean(outcome.values("score")[:, viewer, -1] - outcome.values("lift")[:, viewer, -1]))
            lines.append(
                f"| {name_kind(centre_bias)} | {name} | {score} | {chance:.1f} | {lift} | {nss} | {auc} | {shuffled} |"
            )
    columns = " | ".join(f"{duration_s} s" for duration_s in durations_s)
    rule = "---|" * (len(durations_s) + 2)
    lines += [
        "",
        "**How often the 95 % interval holds the long-run value**, % of runs, videos with / without centre bias:",
        "",
        f"| statistic | viewer | {columns} |",
        f"|{rule}",
    ]
    for statistic in STATISTICS:
        both = [outcome.coverage(statistic) for outcome in outcomes.values()]
        lines += [f"| {name_statistic(statistic)} | {name} | {_cells(both, row)} |" for row, name in enumerate(VIEWERS)]
    lines += [
        "",
        "**How far `interval_reliable` can be trusted**, all statistics, viewers and videos together:",
        "",
        "| session | called reliable % | of these, the interval holds % |",
        "|---|---|---|",
        *_reliability_rows(outcomes, durations_s),
        "",
        "**How often the score's interval holds the mean over repeated viewings of the same video**, likewise",
        f"({VIEWINGS} viewings each of {max(1, runs // VIEWINGS)} videos):",
        "",
        f"| | viewer | {columns} |",
        f"|{rule}",
    ]
    both = [outcome.repeats_held for outcome in outcomes.values()]
    lines += [f"| score | {name} | {_cells(both, row)} |" for row, name in enumerate(VIEWERS)]
    lines += [
        "",
        f"**The random viewer after {longest} s**: chance-corrected values straddle zero.",
        "",
        (
            "| video | statistic | mean less chance ± its error | runs above chance % "
            "| interval above / on / below chance % |"
        ),
        "|---|---|---|---|---|",
    ]
    for centre_bias, outcome in outcomes.items():
        lines += [_chance_row(outcome, statistic, level, centre_bias) for statistic, level in CHANCE.items()]
    lines += ["", _lag_sentence(outcomes), _END]
    return "\n".join(lines)


def _reliability_rows(outcomes: dict[bool, Outcome], durations_s: Sequence[int]) -> list[str]:
    """Return how often sessions of each length are called reliable and how often these hold."""
    lines = []
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
        lines.append(f"| {duration_s} s | {share:.0f} | {f'{100 * known.mean():.1f}' if known.size else '–'} |")
    return lines


def _chance_row(outcome: Outcome, statistic: str, chance: float, centre_bias: bool) -> str:
    viewer = list(VIEWERS).index("random")
    values, low, high = (outcome.values(statistic, name)[:, viewer, -1] for name in ("value", "low", "high"))
    error = values.std() / np.sqrt(len(values))
    shares = [
        100 * np.mean(low > chance),
        100 * np.mean((low <= chance) & (chance <= high)),
        100 * np.mean(high < chance),
    ]
    return (
        f"| {name_kind(centre_bias)} | {name_statistic(statistic)} | {values.mean() - chance:+.4f} ± {error:.4f} "
        f"| {100 * np.mean(values > chance):.0f} | {' / '.join(f'{share:.1f}' for share in shares)} |"
    )


def _lag_sentence(outcomes: dict[bool, Outcome]) -> str:
    parts = []
    for viewer, name in enumerate(VIEWERS):
        looked = np.concatenate([outcome.lags_s[:, viewer] for outcome in outcomes.values()])
        looked = looked[~np.isinf(looked)]
        found = looked[~np.isnan(looked)]
        where = f", median {np.median(found):.1f} s" if found.size else ""
        parts.append(f"{name}: {found.size} of {looked.size}{where}")
    return f"**A lag stood out** in so many sessions of {DURATIONS_S[-1]} s: {'; '.join(parts)}."


def _spread(outcome: Outcome, statistic: str, viewer: int) -> str:
    values = outcome.values(statistic)[:, viewer, -1]
    digits = 1 if statistic in ("score", "lift") else 2 if statistic == "nss" else 3
    return f"{np.nanmean(values):.{digits}f} ± {np.nanstd(values):.{digits}f}"


def _cells(both: Sequence[Floats], row: int) -> str:
    return " | ".join(
        " / ".join(f"{100 * share:.1f}" for share in shares)
        for shares in zip(*(table[row] for table in both), strict=True)
    )


def name_kind(centre_bias: bool) -> str:
    """Return the name of a kind of video."""
    return "centre-biased" if centre_bias else "unbiased"


def name_statistic(statistic: str) -> str:
    """Return how a statistic is written."""
    return {"nss": "NSS", "auc": "AUC", "shuffled_auc": "shuffled AUC"}.get(statistic, statistic)


def write_page(page: Path, section: str) -> None:
    """Replace the generated section of a page.

    Raises:
        ValueError: The page has no such section.
    """
    text = page.read_text(encoding="utf-8")
    if _BEGIN not in text or _END not in text:
        raise ValueError(f"{page} has no generated section")
    before, after = text.split(_BEGIN)[0], text.split(_END)[1]
    page.write_text(before + section + after, encoding="utf-8")
