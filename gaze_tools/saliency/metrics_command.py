"""The command `gaze saliency metrics`."""

import contextlib
import json
import math
from pathlib import Path

import click
from rich.table import Table

from gaze_core.errors import SaliencyMapError
from gaze_core.types import SaliencyMap
from gaze_tools.command_line import console, translated_errors
from gaze_tools.saliency.metrics import DENSITY_SIGMA, METRICS, FrameMetrics, average, read_fixations, score_maps
from gaze_tools.saliency.options import open_database
from gaze_tools.saliency.sources import COLLECTION_PREFIX, open_source


@click.command()
@click.argument("maps")
@click.argument("fixations", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--first", "first_frame", type=int, help="Frame number of the first map.  [default: its own, else 1]")
@click.option("--every", type=click.IntRange(min=1), help="Frames from one map to the next, for .npy and video maps.")
@click.option("--held", is_flag=True, help="Each map also applies to the frames up to the next one.")
@click.option(
    "--density-sigma",
    type=click.FloatRange(min=0, min_open=True),
    default=DENSITY_SIGMA,
    show_default=True,
    help="Standard deviation of the fixation density, as a fraction of the map's width.",
)
@click.option(
    "--density", help="Measured fixation densities, in the same forms as MAPS, in place of blurred fixations."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON with the metrics of every frame.")
@click.option(
    "--mongo-uri", envvar="MONGO_URI", show_envvar=True, help="Address of the MongoDB, for `collection:NAME`."
)
@click.option(
    "--database", envvar="MONGO_DATABASE", default="saliency_db", show_default=True, help="Database with the maps."
)
def metrics(
    *,
    maps: str,
    fixations: Path,
    first_frame: int | None,
    every: int | None,
    held: bool,
    density_sigma: float,
    density: str | None,
    as_json: bool,
    mongo_uri: str | None,
    database: str,
) -> None:
    """Score how well MAPS predict FIXATIONS.

    MAPS takes the same forms as `gaze saliency import`. FIXATIONS is a CSV file with the columns frame, x and y,
    normalised to the video. Prints NSS, CC, SIM, KL divergence, AUC-Judd and shuffled AUC, each the mean over frames,
    with the definitions of the MIT/Tübingen saliency benchmark.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(translated_errors())
        needs_mongo = any(each.startswith(COLLECTION_PREFIX) for each in (maps, density or ""))
        opened = stack.enter_context(open_database(mongo_uri, database)) if mongo_uri and needs_mongo else None
        source = open_source(maps, first_frame=first_frame, every=every, database=opened, mongo_uri=mongo_uri)
        densities: dict[int, SaliencyMap] | None = None
        if density is not None:
            read = open_source(density, first_frame=first_frame, every=every, database=opened, mongo_uri=mongo_uri)
            densities = {number: found for number, found in read.maps if not isinstance(found, SaliencyMapError)}
        scored = list(
            score_maps(
                source.maps,
                read_fixations(fixations),
                held=held or source.facts.get("held") is True,
                density_sigma=density_sigma,
                densities=densities,
            )
        )
    if not scored:
        raise click.ClickException("No frame has both a usable map and a fixation on it.")
    if as_json:
        click.echo(json.dumps(_as_document(scored), allow_nan=False, indent=1))
    else:
        console.print(_as_table(scored))


def _as_document(scored: list[FrameMetrics]) -> dict[str, object]:
    return {
        "frames": len(scored),
        "fixations": sum(frame.fixations for frame in scored),
        "mean": _without_nan(average(scored)),
        "by_frame": [
            {"frame": frame.frame, "fixations": frame.fixations, **_without_nan(dict(frame.values))} for frame in scored
        ],
    }


def _without_nan(values: dict[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else round(value, 9) for name, value in values.items()}


def _as_table(scored: list[FrameMetrics]) -> Table:
    fixations = sum(frame.fixations for frame in scored)
    table = Table(title=f"frames: {len(scored)}, fixations: {fixations}", title_justify="left")
    table.add_column("metric")
    table.add_column("mean", justify="right")
    for name, value in average(scored).items():
        table.add_row(METRICS[name], "–" if math.isnan(value) else f"{value:.4f}")
    return table
