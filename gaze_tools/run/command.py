"""The command `gaze run`."""

import contextlib
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from gaze_core.errors import GazeError
from gaze_tools.client import GazeClientError
from gaze_tools.command_line import console, describe_error
from gaze_tools.film import read_times
from gaze_tools.report.command import show_overlay
from gaze_tools.report.overlay import check_overlay_path
from gaze_tools.run.calibration import CalibrationFolder, read_calibration
from gaze_tools.run.camera import Capture, capture_frames, make_reader
from gaze_tools.run.check import check_clip
from gaze_tools.run.clip import ClipFrame, ViewerClip, read_clip
from gaze_tools.run.film import FilmRun, FilmScore, check_out_dir, count_down, make_out_dir, run_film
from gaze_tools.run.setup import Setup, read_setup, setup_options
from gaze_tools.saliency.compute import probe_video
from gaze_tools.saliency.models import MODELS
from gaze_tools.sample_clip import MAX_CAMERA, open_capture
from gaze_tools.stack.processes import ProcessError

DIFFERENCE_S = 0.2
"""Difference between the lengths of clip and film that is worth a remark."""


@click.command()
@click.argument("film", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--viewer",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Video of the viewer's face, recorded while the film played.",
)
@click.option(
    "--camera", type=click.IntRange(0, MAX_CAMERA), help="Number of a webcam, usually 0, that records while you watch."
)
@click.option(
    "--offset",
    "offset_s",
    type=float,
    default=0.0,
    show_default=True,
    help="Position of the film at the first frame of the viewer, in seconds; negative if the recording began before "
    "the film.",
)
@click.option(
    "--calibrate",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Calibration of this viewer: a folder as docs/recordings.md describes it.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory for all files.  [default: out/run-DATE-TIME]",
)
@click.option(
    "--overlay", type=click.Path(path_type=Path), help="Also write the film with the gaze on it to this .mp4 file."
)
@click.option("--overwrite", is_flag=True, help="Write to --out even if it is not empty, and replace --overlay.")
@click.option(
    "--model", type=click.Choice(list(MODELS)), default="spectral_residual", show_default=True, help="Saliency model."
)
@click.option(
    "--every",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Make a saliency map for every n-th frame of the film, held in between.",
)
@click.option(
    "--countdown",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="Seconds until you start the film, with --camera.",
)
@setup_options
def run(**options: Any) -> None:  # noqa: ANN401  click checks their types
    """Score one viewer of the video FILM: saliency maps, session, score and report.

    Makes the saliency maps, starts the function with its upstream services on this machine, sends the viewer's frames,
    and writes report, result, session and trace to a new directory. Nothing leaves this machine.

    --viewer takes a recording of the viewer's face that began together with the film; --offset shifts it. With
    --camera, the webcam records while you watch the film in your own player, because this command has no window: start
    the film at the end of the countdown. Without a window there are no calibration targets either, so --calibrate takes
    a folder that was recorded before.
    """
    setup = read_setup(options)
    try:
        _run(setup=setup, **options)
    except (ProcessError, GazeClientError, GazeError, OSError, ValueError) as error:
        raise click.ClickException(describe_error(error)) from error


def _run(
    *,
    film: Path,
    viewer: Path | None,
    camera: int | None,
    offset_s: float,
    calibrate: Path | None,
    out: Path | None,
    overlay: Path | None,
    overwrite: bool,
    model: str,
    every: int,
    countdown: int,
    setup: Setup,
) -> None:
    """Check all inputs, then run."""
    if (viewer is None) == (camera is None):
        raise click.UsageError("Give either --viewer CLIP or --camera N.")
    if not math.isfinite(offset_s):
        raise click.UsageError(f"--offset must be a number of seconds, not {offset_s}.")
    check_out_dir(out, overwrite=overwrite)
    if overlay is not None:
        sources = [film] if viewer is None else [film, viewer]
        check_overlay_path(overlay, sources=sources, made=out, overwrite=overwrite)
    times = read_times(film)
    film_s = times.duration_s
    calibration = None if calibrate is None else read_calibration(calibrate)
    if calibration is not None:
        setup = setup.over(calibration.setup)
        describe_calibration_setup(calibration)
    capture = Capture()
    with contextlib.ExitStack() as stack:
        expected: int | None = None
        if viewer is not None:
            clip = check_clip(viewer)
            describe_lengths(clip, film_s, offset_s)
            expected = clip.frames
        else:
            assert camera is not None  # noqa: S101  checked above
            read = make_reader(stack.enter_context(open_capture(camera)))
            if read() is None:
                raise OSError(f"webcam {camera} delivers no image")

        def open_frames() -> Iterable[ClipFrame]:
            if viewer is not None:
                return read_clip(viewer)
            count_down(countdown, film_s)
            return capture_frames(read, max(0.0, film_s - offset_s), capture)

        score = run_film(
            FilmRun(
                film=probe_video(film),
                film_s=film_s,
                model=model,
                every=every,
                open_frames=open_frames,
                expected=expected,
                offset_s=offset_s,
                setup=setup,
                calibration=calibration,
                out=make_out_dir(out, overwrite=overwrite),
                overlay=overlay,
            )
        )
    if capture.dropped:
        console.print(f"{capture.dropped} webcam images were dropped: this machine is too slow for all of them.")
    print_score(score)
    if overlay is not None:
        show_overlay(score.report, film, times, overlay)


def describe_lengths(clip: ViewerClip, film_s: float, offset_s: float) -> None:
    """Say which part of the film a clip covers.

    Raises:
        OSError: None of it.
    """
    first_s, last_s = max(0.0, offset_s), min(film_s, offset_s + clip.duration_s)
    if last_s <= first_s:
        raise OSError(
            f"with --offset {offset_s:g}, no part of the clip ({clip.duration_s:.1f} s) was recorded during the film "
            f"({film_s:.1f} s)"
        )
    console.print(f"The film lasts {film_s:.1f} s, the clip {clip.duration_s:.1f} s with {clip.frames} frames.")
    if first_s > DIFFERENCE_S or film_s - last_s > DIFFERENCE_S:
        console.print(f"The score covers the film from {first_s:.1f} s to {last_s:.1f} s: the clip shows nothing else.")
    before_s, after_s = max(0.0, -offset_s), max(0.0, offset_s + clip.duration_s - film_s)
    if before_s > DIFFERENCE_S or after_s > DIFFERENCE_S:
        console.print(
            f"Left out of the clip: {before_s:.1f} s before the film begins, {after_s:.1f} s after it has ended."
        )


def describe_calibration_setup(calibration: CalibrationFolder) -> None:
    """Say what is used of the calibration's `recording.json`."""
    if calibration.setup.as_fields():
        console.print("Screen and camera are those of recording.json, unless options say otherwise.")
    if calibration.has_unused_distance:
        console.print(
            "recording.json has distance_mm but no vertical_fov_deg. The distance is not used here; "
            "`python -m research.evaluation --recording` computes the field of view from it."
        )


def print_score(score: FilmScore) -> None:
    """Print the score, how far it can be trusted, and the files."""
    result = score.result
    table = Table(show_header=False, title="Summary", title_justify="left")
    for name, value in describe_result(result):
        table.add_row(name, value)
    console.print(table)
    for path in score.files:
        # Not through the console, which would break long paths.
        click.echo(str(path))


def describe_result(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the rows of the summary."""
    if result["score_valid"]:
        interval = result.get("interval_95")
        text = f"{result['final_score']:.2f} of 100, chance {result['chance_level']:.2f}"
        if interval:
            text += f", 95 % interval {interval[0]:.1f} to {interval[1]:.1f}"
            text += "" if result.get("interval_reliable") else " (too short for a reliable one)"
        yield "score", text
    else:
        yield "score", f"not valid: {result['score_invalid_reason']}"
    frames = result["frames"]
    yield "frames", f"{frames['expected']} sent, {frames['scored']} scored"
    lost = {reason: count for reason, count in result["lost"].items() if count}
    yield "lost", ", ".join(f"{count} {reason}" for reason, count in lost.items()) or "none"
    calibration = result.get("calibration")
    if calibration:
        used = "used" if calibration.get("used") else f"not used: {calibration.get('reason')}"
        accuracy = calibration.get("accuracy_deg")
        yield "calibration", used if accuracy is None else f"{used}; error {accuracy:.1f}° on its targets"
        mirrored = calibration.get("mirrored") or {}
        if mirrored.get("suspected"):
            yield "camera", _advise_on_mirroring(is_declared=mirrored["declared"])


def _advise_on_mirroring(*, is_declared: bool) -> str:
    if is_declared:
        return "its images do not seem to be mirrored: leave out --mirrored, and camera.mirrored of recording.json"
    return "its images seem to be mirrored, left and right swapped: add --mirrored"
