"""The command `gaze saliency list`."""

import dataclasses
import datetime as dt
import json

import click
from rich.table import Table

from gaze_tools.command_line import console, database_option, mongo_uri_option
from gaze_tools.saliency.listing import ListedVideo, list_maps
from gaze_tools.saliency.options import open_database

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with all values in full.")
@mongo_uri_option
@database_option
def list_videos(as_json: bool, mongo_uri: str, database: str) -> None:
    """List the videos that have saliency maps."""
    with open_database(mongo_uri, database) as maps:
        videos = list_maps(maps, now=dt.datetime.now(dt.UTC))
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(video) for video in videos], indent=1))
    elif videos:
        console.print(_as_table(videos))
    else:
        console.print(f"No video in the database {database} has saliency maps.")


def _as_table(videos: list[ListedVideo]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("video id", "maps", "size", "fps", "length", "age", "faces", "made by"):
        table.add_column(column, overflow="fold", justify="right" if column in {"maps", "fps", "length"} else "left")
    for video in videos:
        table.add_row(
            video.video_id,
            str(video.maps),
            f"{video.width}×{video.height}" if video.width and video.height else "–",
            f"{video.fps:.4g}" if video.fps else "–",
            describe_time(video.duration_s),
            describe_time(video.age_s),
            describe_faces(video),
            video.how or "–",
        )
    return table


def describe_time(seconds: float | None) -> str:
    """Return a duration in its largest whole unit, such as `3 h`; `–` if it is unknown."""
    if seconds is None:
        return "–"
    size, unit = next((each for each in _UNITS if seconds >= each[0]), _UNITS[-1])
    return f"{seconds / size:.3g} {unit}"


def describe_faces(video: ListedVideo) -> str:
    """Return whether faces are salient in the maps, and how many frames show one."""
    if video.faces is None:
        return "–"
    share = "" if video.faces_share is None else f", in {video.faces_share:.0%}"
    return ("salient" if video.faces else "ignored") + share
