"""The commands of `gaze saliency` that read maps: export, show, verify."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np

from func.adapters.saliency_store import VIDEOS, MongoSaliencyMaps
from gaze_core.ports import UnusableMap
from gaze_core.types import SaliencyMap
from gaze_tools.command_line import TIMEOUT_S, console, database_option, make_progress, mongo_uri_option
from gaze_tools.film import read_times
from gaze_tools.film_times import describe_rate
from gaze_tools.saliency.check import check_maps, compare_with_film, describe_flat, describe_frames
from gaze_tools.saliency.compute import read_video_frames
from gaze_tools.saliency.film_faces import report_faces
from gaze_tools.saliency.map_times import frame_times_of
from gaze_tools.saliency.options import open_database
from gaze_tools.saliency.plot import draw_maps
from gaze_tools.saliency.sources import check_target, write_target
from gaze_tools.saliency.writer import prune


@click.command("export")
@click.argument("video_id")
@click.argument("target", type=click.Path(path_type=Path))
@mongo_uri_option
@database_option
def export_maps(video_id: str, target: Path, mongo_uri: str, database: str) -> None:
    """Write the maps of VIDEO_ID to TARGET.

    TARGET is an .npy file, a lossless .mkv video, a lossy .mp4 video, or a directory of PNG files: a name without a
    suffix, or an existing directory. A .json file next to it receives the facts about the video, the frame numbers and
    the presentation times of the maps. `gaze saliency import --times` reads it, and a video keeps the times itself.
    """
    try:
        check_target(target)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    with open_database(mongo_uri, database) as maps:
        facts = maps[VIDEOS].find_one({"_id": video_id}) or {}
        store = MongoSaliencyMaps(mongo_uri, database=database, timeout_s=TIMEOUT_S)
        count = facts.get("map_count") or sum(1 for _ in store.extract_saliencyMap(video_id).stored)
        skipped: dict[int, str] = {}

        def usable() -> Iterator[tuple[int, SaliencyMap]]:
            for stored in store.extract_saliencyMap(video_id).stored:
                if isinstance(stored, UnusableMap):
                    skipped.update(dict.fromkeys(stored.frame_nums, stored.reason))
                else:
                    yield stored.frame_nums[0], stored.saliency_map

        times = store.extract_saliencyMap(video_id).times
        numbers = write_target(target, usable(), count=count, fps=facts.get("fps") or 25.0, times=times)
        kept = ("fps", "width", "height", "frame_count", "duration_s", "how", "digest")
        known = {key: facts[key] for key in kept if key in facts}
        times_s = frame_times_of(numbers, times)
        if times_s is not None:
            known["times_s"] = times_s
        beside = target.with_name(target.name + ".json")
        beside.write_text(json.dumps({"video_id": video_id, **known, "frames": numbers}, indent=1) + "\n")
        for number, reason in skipped.items():
            console.print(f"[yellow]frame {number} skipped: {reason}", highlight=False)
        console.print(f"Wrote {len(numbers)} maps to {target} and their frame numbers and times to {beside.name}.")
        if skipped:
            raise click.ClickException(f"{len(skipped)} maps are unusable")


@click.command()
@click.argument("video_id")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="PNG file to write.")
@click.option(
    "--video",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Video file; its frames are shown next to the maps.",
)
@click.option("--frames", default="", help="Numbers of the frames to show, such as 1,50,100.")
@click.option(
    "--count", type=click.IntRange(1, 50), default=6, show_default=True, help="Number of maps, if there is no --frames."
)
@mongo_uri_option
@database_option
def show(
    *, video_id: str, out: Path, video: Path | None, frames: str, count: int, mongo_uri: str, database: str
) -> None:
    """Draw some maps of VIDEO_ID into an image."""
    with open_database(mongo_uri, database) as maps:
        facts = maps[VIDEOS].find_one({"_id": video_id}) or {}
        store = MongoSaliencyMaps(mongo_uri, database=database, timeout_s=TIMEOUT_S)
        if frames:
            wanted = _parse_numbers(frames)
        elif "frame_count" in facts:
            last = facts["first_frame"] + (facts["frame_count"] - facts["first_frame"])
            wanted = sorted({round(each) for each in np.linspace(facts["first_frame"], last, count)})
        else:
            numbers = [stored.frame_nums[0] for stored in store.extract_saliencyMap(video_id).stored]
            wanted = [numbers[round(each)] for each in np.linspace(0, len(numbers) - 1, count)]
        drawn: dict[int, SaliencyMap] = {}
        for stored in store.extract_saliencyMap(video_id, frame_nums=wanted).stored:
            for number in stored.frame_nums:
                if isinstance(stored, UnusableMap):
                    console.print(f"[yellow]frame {number}: {stored.reason}", highlight=False)
                else:
                    drawn[number] = stored.saliency_map
        absent = f"{video_id} has no usable map for frames {describe_frames(set(wanted) - drawn.keys())}"
        if not drawn:
            raise click.ClickException(absent)
        out.parent.mkdir(parents=True, exist_ok=True)
        console.print(describe_rate(facts.get("fps"), store.extract_saliencyMap(video_id).times.starts_s))
        draw_maps(drawn, read_video_frames(video, drawn) if video else {}, path=out)
        console.print(f"[green]{out}")
        if frames and drawn.keys() != set(wanted):
            raise click.ClickException(absent)


def _parse_numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError as error:
        reason = f"{text!r} is not a list of frame numbers such as 1,50,100"
        raise click.BadParameter(reason, param_hint="--frames") from error


@click.command()
@click.argument("video_id")
@click.option(
    "--film",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The film; its frame times and count are compared with those stored.",
)
@mongo_uri_option
@database_option
def verify(video_id: str, film: Path | None, mongo_uri: str, database: str) -> None:
    """Check every map of VIDEO_ID and the times of its frames.

    Lists missing and unusable maps and compares the digests; the exit status is 1 if anything is wrong.
    """
    with open_database(mongo_uri, database) as maps:
        prune(maps, video_id)
        facts = maps[VIDEOS].find_one({"_id": video_id}) or {}
        store = MongoSaliencyMaps(mongo_uri, database=database, timeout_s=TIMEOUT_S)
        store.extract_saliencyMap(video_id)  # raises an error without maps, before the progress bar
        with make_progress("maps", "rate") as progress:
            bar = progress.add_task("", total=facts.get("map_count"), rate="")
            found = check_maps(maps, store, video_id, on_map=lambda: progress.update(bar, advance=1))
        times = store.extract_saliencyMap(video_id).times
        problems = [*found.time_problems, *(() if film is None else compare_with_film(times, read_times(film)))]
        size = f" of {found.size[0]}×{found.size[1]} pixels" if found.size else ""
        held = f", each held for {facts['every']} frames" if facts.get("held") else ""
        console.print(f"{found.maps} usable maps{size}{held}; {facts.get('how', 'no record of how they were made')}")
        if "faces" in facts:
            report_faces(facts["faces"])
        digests = {None: "no digest stored", True: "digest matches", False: "[red]digest does not match"}
        console.print(digests[found.is_digest_right])
        compared = "" if film is None or problems else f"; they are those of {film.name}"
        console.print(f"{describe_rate(times.fps, times.starts_s)}{compared}", highlight=False)
        for warning in facts.get("warnings", []):
            console.print(f"[yellow]{warning}", highlight=False)
        for problem in problems:
            console.print(f"[red]{problem}", highlight=False)
        if found.missing:
            console.print(f"[red]{len(found.missing)} missing: {describe_frames(found.missing)}", highlight=False)
        for number, reason in itertools.islice(found.unusable.items(), 50):
            console.print(f"[red]frame {number}: {reason}", highlight=False)
        if found.flat:
            console.print(f"[yellow]{describe_flat(found)}", highlight=False)
        if problems or not found.is_sound:
            raise click.ClickException(
                f"{len(found.missing)} missing, {len(found.unusable)} unusable"
                + (", times or numbers are wrong" if problems else "")
                + (", digest does not match" if found.is_digest_right is False else "")
                + (", all maps flat" if found.are_all_flat else "")
            )
