"""Post the frames of a viewing to the function, with their times in the film."""

import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field

from gaze_core.types import Screen
from gaze_tools.client import FrameReply, ViewingSession
from gaze_tools.command_line import make_progress
from gaze_tools.run.clip import ClipFrame
from gaze_tools.stack.live_gaze import LiveGaze


@dataclass(slots=True)
class PostedFrames:
    """What happened while the frames were posted.

    Attributes:
        replies: Reply to each frame, by frame number.
        before: Number of frames that were left out because the film had not begun.
        after: Number of frames that were left out because the film had ended.
    """

    replies: dict[int, FrameReply] = field(default_factory=dict)
    before: int = 0
    after: int = 0


def place_in_film(
    frames: Iterable[ClipFrame], viewing: PostedFrames, *, offset_s: float, film_s: float
) -> Generator[tuple[ClipFrame, float], None, None]:
    """Yield the frames that were taken while the film played, each with its position in the film in ms.

    Args:
        frames: Frames with their times since the first one.
        viewing: Counts the frames that are left out.
        offset_s: Position of the film at the first frame.
        film_s: Duration of the film.
    """
    for frame in frames:
        # Times of two files are rounded in different ways.
        position_ms = round(1000 * (frame.time_s + offset_s), 3)
        if position_ms < 0:
            viewing.before += 1
        elif position_ms >= round(1000 * film_s, 3):
            viewing.after += 1
        else:
            yield frame, position_ms


def post_viewing(
    session: ViewingSession,
    frames: Iterable[tuple[ClipFrame, float | None]],
    viewing: PostedFrames,
    screen: Screen | None,
    *,
    expected: int | None,
) -> None:
    """Post frames with their times; show the frame rate and the gaze meanwhile.

    Args:
        session: Session of the viewing.
        frames: Frames, each with its position in the film in ms; None without a film.
        viewing: Receives the replies.
        screen: The viewer's screen; None if it is not known.
        expected: Number of frames; None if unknown.

    Raises:
        GazeClientError: The function refused a frame, or was unavailable.
    """
    live_gaze = LiveGaze(screen)
    started_s = time.monotonic()
    with make_progress("frames", "rate", "gaze") as progress:
        bar = progress.add_task("frames", total=expected, gaze="", rate="")
        for number, (frame, position_ms) in enumerate(frames, start=1):
            reply = session.send(
                frame.image, frame_number=number, timestamp_ms=round(1000 * frame.time_s, 3), video_time_ms=position_ms
            )
            viewing.replies[number] = reply
            gaze = live_gaze.update(time.monotonic(), reply)
            progress.update(
                bar,
                advance=1,
                gaze=describe_gaze(gaze, reply.validity),
                rate=f"{number / max(time.monotonic() - started_s, 1e-6):.1f} frames/s",
            )
        progress.update(bar, total=len(viewing.replies))


def describe_gaze(gaze: tuple[float, float] | None, validity: str) -> str:
    """Return a point of gaze as text, or why there is none."""
    return validity if gaze is None else f"gaze ({gaze[0]:+.2f}, {gaze[1]:+.2f})"
