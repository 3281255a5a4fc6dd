"""The commands of `gaze saliency` that change maps: compute, import, delete."""

import itertools
import time
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from func.adapters.saliency_store import check_video_id
from gaze_core.errors import SaliencyMapError, SaliencyMapNotFoundError
from gaze_tools.command_line import console, database_option, make_progress, mongo_uri_option
from gaze_tools.film import read_times
from gaze_tools.film_times import describe_rate
from gaze_tools.saliency.check import describe_frames
from gaze_tools.saliency.compute import compute_maps, probe_video
from gaze_tools.saliency.film_faces import explained_landmarker, find_face_facts, look_for_faces, report_faces
from gaze_tools.saliency.intake import FLAT, Intake
from gaze_tools.saliency.map_times import choose_times, read_times_file
from gaze_tools.saliency.models import MODELS, make_model
from gaze_tools.saliency.models.faces import FaceAwareModel
from gaze_tools.saliency.options import (
    Size,
    await_grace,
    explained_interrupt,
    grace_option,
    open_database,
    video_id_option,
)
from gaze_tools.saliency.sources import VIDEO_SUFFIXES, open_source
from gaze_tools.saliency.value_range import Normalisation
from gaze_tools.saliency.writer import VideoDescription, hide, open_generation


@click.command()
@click.argument("video", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@video_id_option
@click.option(
    "--model", type=click.Choice(list(MODELS)), default="spectral_residual", show_default=True, help="Saliency model."
)
@click.option(
    "--every",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Make a map for every n-th frame, held in between.",
)
@click.option("--size", type=Size(), help="Size of the maps.  [default: aspect ratio of the video, at most 480 wide]")
@click.option("--no-faces", is_flag=True, help="Do not make faces salient.")
@click.option("--again", is_flag=True, help="Make the maps even if identical ones are stored.")
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
    no_faces: bool,
    again: bool,
    grace_s: float,
    mongo_uri: str,
    database: str,
) -> None:
    """Compute the saliency maps of the file VIDEO.

    Faces are salient in the maps of every model but centre_bias. The same command resumes a run that was interrupted.
    Readers see the new maps once all of them are stored.
    """
    kept = "The finished maps are kept: the same command resumes."
    with explained_interrupt(kept), open_database(mongo_uri, database) as maps:
        check_video_id(video_id)
        probed = probe_video(video)
        saliency_model = make_model(model, faces=not no_faces)
        has_channel = isinstance(saliency_model, FaceAwareModel)
        search = None if has_channel else look_for_faces()
        with explained_landmarker(), make_progress("maps", "rate") as progress:
            bar = progress.add_task("", total=probed.stated_frames, rate="")
            started = time.monotonic()

            def show(number: int, made: int) -> None:
                rate = f"{made / max(time.monotonic() - started, 1e-6):.1f} maps/s" if made else ""
                progress.update(bar, completed=number, total=max(probed.stated_frames, number), rate=rate)

            done = compute_maps(
                maps,
                video_id,
                probed,
                saliency_model,
                every=every,
                size=size,
                again=again,
                grace_s=grace_s,
                face_search=search,
                on_frame=show,
            )
            progress.update(bar, total=done.frames, completed=done.frames)
        if done.digest is None:
            console.print(
                f"The {done.maps} maps of {video_id} were made by the same command; --again makes them again."
            )
        else:
            report_speed(done.made, done.decode_s, done.model_s, done.store_s)
            if done.times is not None:
                report_times(done.times.fps, done.times.table_s, done.times.warnings)
            if done.flat:
                console.print(f"[yellow]{len(done.flat)} maps are {FLAT}: frames {describe_frames(done.flat)}")
            report_faces({"channel": has_channel, "share": done.faces})
            console.print(f"{done.maps} maps for {done.frames} frames of {video_id}, digest {done.digest}")
        await_grace(maps, video_id, grace_s)


@click.command("import")
@click.argument("source")
@video_id_option
@click.option(
    "--video",
    "--like",
    "video",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The film that the maps belong to; its frame times, its size and the share of its frames with a face are "
    "stored. It is decoded for that.",
)
@click.option(
    "--times",
    "times_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Presentation time of each map: a CSV file with the column time_s or time_ms, or the .json file of an export.",
)
@click.option(
    "--fps",
    type=click.FloatRange(min=0, min_open=True),
    help="Constant frame rate of the video; not used with --video, which has its own times.",
)
@click.option(
    "--first",
    "first_frame",
    type=int,
    help="Frame number of the first map; shifts the numbers of a source that has its own.  [default: its own, else 1]",
)
@click.option(
    "--every", type=click.IntRange(min=1), help="Frames from one map to the next, for .npy and video sources."
)
@click.option("--held", is_flag=True, help="Each map also applies to the frames up to the next one.")
@click.option(
    "--normalise",
    type=click.Choice([each.value for each in Normalisation]),
    default=Normalisation.AUTO.value,
    show_default=True,
    is_flag=False,
    flag_value=Normalisation.EACH.value,
    help="Rescale the maps whose values do not fit (auto), all maps (each, or without a value), or none (off).",
)
@click.option("--allow-colour", is_flag=True, help="Take the brightness of coloured images instead of refusing them.")
@click.option("--skip-unusable", is_flag=True, help="Skip unusable maps instead of failing.")
@click.option("--with-faces", is_flag=True, help="The maps make faces salient; a result will not warn about that.")
@click.option("--how", default="", help="Description of how the maps were made, stored with them.")
@grace_option
@mongo_uri_option
@database_option
def import_maps(
    *,
    source: str,
    video_id: str,
    video: Path | None,
    times_file: Path | None,
    fps: float | None,
    first_frame: int | None,
    every: int | None,
    held: bool,
    normalise: str,
    allow_colour: bool,
    skip_unusable: bool,
    with_faces: bool,
    how: str,
    grace_s: float,
    mongo_uri: str,
    database: str,
) -> None:
    """Store maps that were made elsewhere.

    SOURCE is one of: an .npy file of shape (frames, rows, columns); a directory of images or .npy files whose names end
    with the frame number; a video of greyscale maps; a .bson file (mongodump) or .json file (mongoexport) of a
    collection in any of the three storage forms; or `collection:NAME`, a collection of the same database. If that
    is the video's own collection, maps in an old form are converted to the compact one. Readers see the new maps once
    all of them are stored.

    Densities, logarithms of densities, integers, masks and other floats are rescaled to 0..1, map by map; a line says
    so. This changes no score.
    """
    kept = "The maps that were stored before are unchanged."
    with explained_interrupt(kept), open_database(mongo_uri, database) as maps:
        check_video_id(video_id)
        opened = open_source(
            source,
            first_frame=first_frame,
            every=every,
            database=maps,
            mongo_uri=mongo_uri,
            allow_colour=allow_colour,
        )
        facts = opened.facts
        listed_s = None if times_file is None else read_times_file(times_file)
        film = None
        if video is not None:
            probed, film = probe_video(video), read_times(video)
            facts |= {"width": probed.width, "height": probed.height}
        if video is not None or with_faces:
            facts["faces"] = find_face_facts(video, with_faces=with_faces, known=facts.get("faces") or {})
        has_own_times = Path(source).suffix.lower() in VIDEO_SUFFIXES and every is None
        is_told = listed_s is not None or film is not None or fps is not None
        if not is_told and "fps" not in facts and not has_own_times:
            raise click.UsageError("The frame rate of the video is unknown: add --fps or --video (or --times).")
        generation = open_generation(maps, video_id, {"source": source, "import": uuid.uuid4().hex})
        assert generation is not None  # noqa: S101  the recipe is unique
        unusable: dict[int, str] = {}
        numbers: list[int] = []
        intake = Intake(Normalisation(normalise))
        with make_progress("maps", "rate") as progress:
            bar = progress.add_task("", total=None, rate="")
            for number, found in opened.maps:
                if number < 1 and first_frame is None and Path(source).is_dir():
                    raise click.ClickException(
                        f"The first map is frame {number}, but frames count from 1: add --first 1 to shift all numbers "
                        f"by {1 - number}, or --first {number} to keep them."
                    )
                numbers.append(number)
                try:
                    pixels = intake.accept(number, found)
                    generation.write(number, pixels)
                    facts.setdefault("height", pixels.shape[0])
                    facts.setdefault("width", pixels.shape[1])
                except SaliencyMapError as error:
                    unusable[number] = str(error)
                except ValueError as error:
                    raise click.ClickException(
                        f"frame {number}: {error}; without --normalise=off it is rescaled"
                    ) from error
                progress.update(bar, advance=1)
        report_unusable(unusable, are_skipped=skip_unusable)
        report_intake(intake)
        frames_per_map = every or (facts.get("every") if facts.get("held") is True else None)
        is_held = held or facts.get("held") is True
        times = choose_times(
            numbers,
            listed_s=listed_s,
            film=film,
            fps=fps,
            own=opened.own_times if has_own_times else None,
            facts=facts,
            frames_per_map=frames_per_map or 1 if is_held else 1,
        )
        report_times(times.fps, times.starts_s, (*opened.notes, *times.notes, *times.warnings))
        description = VideoDescription(
            fps=times.fps,
            width=facts.get("width", 0),
            height=facts.get("height", 0),
            how=how or facts.get("how") or f"imported from {Path(source).name}",
            frame_count=times.frame_count,
            held=is_held,
            faces=facts.get("faces"),
            every=frames_per_map,
            starts_s=times.starts_s,
            duration_s=times.duration_s,
            warnings=times.warnings,
        )
        if description.faces is not None:
            report_faces(description.faces)
        digest = generation.finish(description)
        console.print(f"{len(generation.done)} maps of {video_id}, digest {digest}")
        await_grace(maps, video_id, grace_s)


@click.command()
@click.argument("video_id")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@grace_option
@mongo_uri_option
@database_option
def delete(video_id: str, yes: bool, grace_s: float, mongo_uri: str, database: str) -> None:
    """Remove all maps of VIDEO_ID.

    New readers find none from now on; running readers may finish.
    """
    with open_database(mongo_uri, database) as maps:
        check_video_id(video_id)
        if not yes:
            click.confirm(f"Remove all saliency maps of {video_id}?", abort=True)
        if not hide(maps, video_id):
            raise SaliencyMapNotFoundError(video_id)
        await_grace(maps, video_id, grace_s)
        console.print(f"Removed the maps of {video_id}.")


def report_times(fps: float | None, starts_s: NDArray[np.float64] | None, warnings: Iterable[str]) -> None:
    """Print the frame rate, and what is wrong with the times."""
    rate = describe_rate(fps, starts_s)
    console.print(rate[:1].upper() + rate[1:], highlight=False)
    for warning in warnings:
        console.print(f"[yellow]{warning}", highlight=False)


def report_unusable(unusable: Mapping[int, str], *, are_skipped: bool) -> None:
    """Print why maps are unusable, by frame number.

    Raises:
        click.ClickException: There are such maps, and they are not skipped.
    """
    for number, reason in itertools.islice(unusable.items(), 20):
        console.print(f"[yellow]frame {number}: {reason}", highlight=False)
    if unusable and not are_skipped:
        raise click.ClickException(f"{len(unusable)} maps are unusable; --skip-unusable skips them")


def report_intake(intake: Intake) -> None:
    """Print how values were changed, and which maps are flat.

    Raises:
        FlatMapsError: All maps are flat.
    """
    changed = intake.describe_changes()
    if changed is not None:
        console.print(changed, highlight=False)
    for line in intake.describe_flat():
        console.print(f"[yellow]{line}", highlight=False)


def report_speed(made: int, decode_s: float, model_s: float, store_s: float) -> None:
    """Print how fast the maps were made, and the share of each step."""
    total_s = decode_s + model_s + store_s
    if made and total_s:
        shares = f"decoding {decode_s / total_s:.0%}, model {model_s / total_s:.0%}, storing {store_s / total_s:.0%}"
        console.print(f"{made} maps made in {total_s:.1f} s: {made / total_s:.1f} maps/s ({shares})")
