"""`gaze saliency`: make, import, look at, check and remove the saliency maps of videos."""

import contextlib
import itertools
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from pymongo import MongoClient
from pymongo.database import Database

from func.adapters.saliency_store import VIDEOS, MongoSaliencyMaps, check_video_id
from gaze_core.errors import SaliencyMapError, SaliencyMapNotFoundError
from gaze_core.ports import UnusableMap
from gaze_core.types import SaliencyMap
from gaze_tools.command_line import (
    TIMEOUT_S,
    console,
    database_option,
    make_progress,
    mongo_uri_option,
    translated_errors,
)
from gaze_tools.saliency.check import check_maps, describe_frames
from gaze_tools.saliency.compute import compute_maps, probe_video, read_video_frames
from gaze_tools.saliency.models import MODELS, make_model
from gaze_tools.saliency.plot import draw_maps
from gaze_tools.saliency.sources import normalise_map, open_source, write_target
from gaze_tools.saliency.writer import GRACE_S, ReplacedError, VideoDescription, hide, open_generation, prune, quantise


class Size(click.ParamType[tuple[int, int]]):
    """`WxH` in pixels, read as (height, width)."""

    name = "WxH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:  # noqa: ANN401
        """Return height and width."""
        if isinstance(value, tuple):
            return value[0], value[1]
        width, _, height = str(value).lower().replace("×", "x").partition("x")
        if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
            self.fail(f"{value!r} is no size; say 480x270", param, ctx)
        return int(height), int(width)


grace_option = click.option(
    "--grace",
    "grace_s",
    type=click.FloatRange(min=0),
    default=GRACE_S,
    show_default=True,
    help="Seconds for which maps that were replaced stay for readers amid them. The command waits for so long and then "
    "removes them; Ctrl-C leaves that to the next command.",
)

video_id_option = click.option("--video-id", required=True, help="Under which the maps are stored.")


@contextlib.contextmanager
def open_database(mongo_uri: str, database: str) -> Iterator[Database[dict[str, Any]]]:
    """Yield the database with the maps, and say plainly what goes wrong with it."""
    client: MongoClient[dict[str, Any]]
    wait_ms = round(min(TIMEOUT_S, 10.0) * 1000)
    with translated_errors(), MongoClient(mongo_uri, serverSelectionTimeoutMS=wait_ms, appname="gaze") as client:
        try:
            yield client[database]
        except ReplacedError as error:
            raise click.ClickException(str(error)) from error


@click.group()
def saliency() -> None:
    """Make, import, look at, check and remove the saliency maps of videos."""


@saliency.command()
@click.argument("video", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@video_id_option
@click.option("--model", type=click.Choice(list(MODELS)), default="spectral_residual", show_default=True)
@click.option(
    "--every",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="A map for every n-th frame, held between.",
)
@click.option("--size", type=Size(), help="Of the maps.  [default: the video's shape, 480 wide at most]")
@click.option("--again", is_flag=True, help="Make them even if the very same are there.")
@grace_option
@mongo_uri_option
@database_option
def compute(
    *,
    video: Path,
    video_id: str,
    model: str,
    every: int,
    size: tuple[int, int] | None,
    again: bool,
    grace_s: float,
    mongo_uri: str,
    database: str,
) -> None:
    """Make the saliency maps of the file VIDEO.

    A run that was stopped, however hard, is gone on with by the same command. Readers see the new maps when all are
    there.
    """
    with open_database(mongo_uri, database) as maps:
        check_video_id(video_id)
        probed = probe_video(video)
        with make_progress("maps", "rate") as progress:
            bar = progress.add_task("", total=probed.stated_frames, rate="")
            started = time.monotonic()

            def show(number: int, made: int) -> None:
                rate = f"{made / max(time.monotonic() - started, 1e-6):.1f} maps/s" if made else ""
                progress.update(bar, completed=number, total=max(probed.stated_frames, number), rate=rate)

            done = compute_maps(
                maps,
                video_id,
                probed,
                make_model(model),
                every=every,
                size=size,
                again=again,
                grace_s=grace_s,
                on_frame=show,
            )
            progress.update(bar, total=done.frames, completed=done.frames)
        if done.digest is None:
            console.print(
                f"The {done.maps} maps of {video_id} were made by this very command; --again makes them anew."
            )
        else:
            report_speed(done.made, done.decode_s, done.model_s, done.store_s)
            if done.frames < probed.stated_frames:
                console.print(f"The file claims {probed.stated_frames} frames; {done.frames} could be decoded.")
            console.print(f"{done.maps} maps for {done.frames} frames of {video_id}, digest {done.digest}")
        await_grace(maps, video_id, grace_s)


@saliency.command("import")
@click.argument("source")
@video_id_option
@click.option("--video", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Whose fps and size count.")
@click.option("--fps", type=click.FloatRange(min=0, min_open=True), help="Of the video, without --video.")
@click.option("--first", "first_frame", type=int, default=1, show_default=True, help="Number of the first map's frame.")
@click.option("--every", type=click.IntRange(min=1), help="Distance of the frames of .npy and video sources.")
@click.option("--held", is_flag=True, help="Each map stands for the frames up to the next one as well.")
@click.option("--normalise", is_flag=True, help="Divide each map by its largest value.")
@click.option("--skip-unusable", is_flag=True, help="Leave out maps that cannot be used instead of giving up.")
@click.option("--how", default="", help="How the maps were made, for the record.")
@grace_option
@mongo_uri_option
@database_option
def import_maps(
    *,
    source: str,
    video_id: str,
    video: Path | None,
    fps: float | None,
    first_frame: int,
    every: int | None,
    held: bool,
    normalise: bool,
    skip_unusable: bool,
    how: str,
    grace_s: float,
    mongo_uri: str,
    database: str,
) -> None:
    """Store maps that were made elsewhere.

    SOURCE is an .npy file (frames, rows, columns), a folder of pictures or .npy files whose names end in the frame's
    number, a video of grey maps, a .bson (mongodump) or .json (mongoexport) of a collection in any of the three forms,
    or `collection:NAME` for a collection of the same database, which may be the video's own: this is how old forms
    become the compact one. Readers see the new maps when all are there.
    """
    with open_database(mongo_uri, database) as maps:
        check_video_id(video_id)
        numbered, facts = open_source(source, maps, mongo_uri, first_frame, every)
        if video is not None:
            probed = probe_video(video)
            facts |= {"fps": probed.fps, "width": probed.width, "height": probed.height}
            facts |= {"frame_count": probed.stated_frames}
        if fps is not None:
            facts["fps"] = fps
        if "fps" not in facts:
            raise click.UsageError("nothing says how many frames a second the video has: add --fps or --video")
        generation = open_generation(maps, video_id, {"source": source, "import": uuid.uuid4().hex})
        assert generation is not None  # noqa: S101  nobody else has this recipe
        unusable: dict[int, str] = {}
        with make_progress("maps", "rate") as progress:
            bar = progress.add_task("", total=None, rate="")
            for number, found in numbered:
                saliency_map = normalise_map(found) if normalise else found
                try:
                    if isinstance(saliency_map, Exception):
                        raise saliency_map
                    pixels = quantise(saliency_map)
                    generation.write(number, pixels)
                    facts.setdefault("height", pixels.shape[0])
                    facts.setdefault("width", pixels.shape[1])
                except SaliencyMapError as error:
                    unusable[number] = str(error)
                except ValueError as error:
                    raise click.ClickException(f"frame {number}: {error}; --normalise divides by it") from error
                progress.update(bar, advance=1)
        for number, reason in itertools.islice(unusable.items(), 20):
            console.print(f"[yellow]frame {number}: {reason}", highlight=False)
        if unusable and not skip_unusable:
            raise click.ClickException(f"{len(unusable)} maps cannot be used; --skip-unusable leaves them out")
        description = VideoDescription(
            fps=facts["fps"],
            width=facts.get("width", 0),
            height=facts.get("height", 0),
            how=how or facts.get("how") or f"imported from {Path(source).name}",
            frame_count=facts.get("frame_count"),
            held=held or facts.get("held") is True,
            every=every or (facts.get("every") if facts.get("held") is True else None),
        )
        digest = generation.finish(description)
        console.print(f"{len(generation.done)} maps of {video_id}, digest {digest}")
        await_grace(maps, video_id, grace_s)


@saliency.command("export")
@click.argument("video_id")
@click.argument("target", type=click.Path(path_type=Path))
@mongo_uri_option
@database_option
def export_maps(video_id: str, target: Path, mongo_uri: str, database: str) -> None:
    """Write the maps of VIDEO_ID to TARGET.

    TARGET is .npy, .mkv (no loss), .mp4 (with loss) or a folder of PNGs. What is known of the video and the frames'
    numbers go to a .json file beside it.
    """
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

        numbers = write_target(target, usable(), count=count, fps=facts.get("fps") or 25.0)
        known = {key: facts[key] for key in ("fps", "width", "height", "frame_count", "how", "digest") if key in facts}
        beside = target.with_name(target.name + ".json")
        beside.write_text(json.dumps({"video_id": video_id, **known, "frames": numbers}, indent=1) + "\n")
        for number, reason in skipped.items():
            console.print(f"[yellow]frame {number} left out: {reason}", highlight=False)
        console.print(f"{len(numbers)} maps in {target}, their frames' numbers in {beside.name}")
        if skipped:
            raise click.ClickException(f"{len(skipped)} maps cannot be used")


@saliency.command()
@click.argument("video_id")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="PNG file to write.")
@click.option(
    "--video", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="To show its frames beside."
)
@click.option("--frames", default="", help="Numbers of the frames to show, such as 1,50,100.")
@click.option("--count", type=click.IntRange(1, 50), default=6, show_default=True, help="How many, without --frames.")
@mongo_uri_option
@database_option
def show(
    *, video_id: str, out: Path, video: Path | None, frames: str, count: int, mongo_uri: str, database: str
) -> None:
    """Draw some of the maps of VIDEO_ID into a picture."""
    with open_database(mongo_uri, database) as maps:
        facts = maps[VIDEOS].find_one({"_id": video_id}) or {}
        store = MongoSaliencyMaps(mongo_uri, database=database, timeout_s=TIMEOUT_S)
        if frames:
            wanted = [int(number) for number in frames.split(",")]
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
        if not drawn:
            raise SaliencyMapNotFoundError(video_id)
        out.parent.mkdir(parents=True, exist_ok=True)
        draw_maps(drawn, read_video_frames(video, drawn) if video else {}, path=out)
        console.print(f"[green]{out}")


@saliency.command()
@click.argument("video_id")
@mongo_uri_option
@database_option
def verify(video_id: str, mongo_uri: str, database: str) -> None:
    """Read every map of VIDEO_ID and say what is missing, unusable or changed; the exit status is 1 then."""
    with open_database(mongo_uri, database) as maps:
        prune(maps, video_id)
        facts = maps[VIDEOS].find_one({"_id": video_id}) or {}
        store = MongoSaliencyMaps(mongo_uri, database=database, timeout_s=TIMEOUT_S)
        with make_progress("maps", "rate") as progress:
            bar = progress.add_task("", total=facts.get("map_count"), rate="")
            found = check_maps(maps, store, video_id, on_map=lambda: progress.update(bar, advance=1))
        size = f" of {found.size[0]}×{found.size[1]} pixels" if found.size else ""
        held = f", each held for {facts['every']} frames" if facts.get("held") else ""
        console.print(
            f"{found.maps} usable maps{size}{held}; {facts.get('how', 'nobody wrote down how they were made')}"
        )
        digests = {None: "nobody wrote down a digest", True: "the digest is right", False: "[red]the digest is wrong"}
        console.print(digests[found.is_digest_right])
        if found.missing:
            console.print(f"[red]{len(found.missing)} missing: {describe_frames(found.missing)}", highlight=False)
        for number, reason in itertools.islice(found.unusable.items(), 50):
            console.print(f"[red]frame {number}: {reason}", highlight=False)
        if found.flat:
            console.print(f"[yellow]{len(found.flat)} flat, on which nothing can be hit: {describe_frames(found.flat)}")
        if not found.is_sound:
            raise click.ClickException(
                f"{len(found.missing)} missing, {len(found.unusable)} unusable"
                + (", other maps than the digest says" if found.is_digest_right is False else "")
            )


@saliency.command()
@click.argument("video_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
@grace_option
@mongo_uri_option
@database_option
def delete(video_id: str, yes: bool, grace_s: float, mongo_uri: str, database: str) -> None:
    """Remove all maps of VIDEO_ID: readers find none from now on, those amid them may finish."""
    with open_database(mongo_uri, database) as maps:
        check_video_id(video_id)
        if not yes:
            click.confirm(f"Remove all saliency maps of {video_id}?", abort=True)
        if not hide(maps, video_id):
            raise SaliencyMapNotFoundError(video_id)
        await_grace(maps, video_id, grace_s)
        console.print(f"The maps of {video_id} are gone.")


def await_grace(maps: Database[dict[str, Any]], video_id: str, grace_s: float) -> None:
    """Remove replaced maps as soon as readers amid them had their time; Ctrl-C leaves that to the next command."""
    left_s = prune(maps, video_id, grace_s=grace_s)
    try:
        while left_s is not None:
            console.print(f"Removing the maps before in {left_s:.0f} s; Ctrl-C leaves that to the next command.")
            time.sleep(left_s)
            left_s = prune(maps, video_id, grace_s=grace_s)
    except KeyboardInterrupt:
        console.print("Left to the next command.")


def report_speed(made: int, decode_s: float, model_s: float, store_s: float) -> None:
    """Print how fast maps were made, and how that compares with decoding the video."""
    total_s = decode_s + model_s + store_s
    if made and total_s:
        shares = f"decoding {decode_s / total_s:.0%}, model {model_s / total_s:.0%}, storing {store_s / total_s:.0%}"
        console.print(f"{made} maps made in {total_s:.1f} s: {made / total_s:.1f} a second ({shares})")
