"""Gaze without a film: where a person looks in a clip or in front of a webcam, without a score."""

import secrets
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from gaze_tools.client import GazeClient, make_session_id
from gaze_tools.command_line import console
from gaze_tools.report.plots import draw_gaze_on_screen, draw_trace
from gaze_tools.run.camera import Capture, capture_frames, make_reader
from gaze_tools.run.check import check_clip
from gaze_tools.run.clip import ClipFrame, read_clip
from gaze_tools.run.viewing import PostedFrames, post_viewing
from gaze_tools.sample_clip import open_capture
from gaze_tools.stack.launcher import start_function, start_upstream_services
from gaze_tools.stack.session_tokens import LOCAL_ADDRESS, sign_session

CAMERA_S = 10.0
"""Time for which a webcam is watched."""

VIDEO_ID = "no-film"


def run_gaze_only(out: Path, source: Path | int) -> PostedFrames:
    """Post the frames of a person to a fresh local stack, and draw the gaze.

    Args:
        out: Directory for images and logs, created if missing.
        source: Video file, or number of a webcam.

    Raises:
        OSError: The video or the camera cannot be read, or the video shows no face.
        ProcessError: A process of the stack did not start.
        GazeClientError: The function refused a frame, or was unavailable.
    """
    capture = Capture()
    with ExitStack() as stack:
        if isinstance(source, int):
            read = make_reader(stack.enter_context(open_capture(source)))
            if read() is None:
                raise OSError(f"webcam {source} delivers no image")
            expected = None
        else:
            expected = check_clip(source).frames
        console.print(
            "There is no score, because the film that the person watches is not known; WATCHED=film.mp4 with make, or "
            "`gaze run film.mp4`, scores. This shows the gaze alone. Nothing leaves this machine.",
            highlight=False,
        )
        console.print(
            f"Starting MongoDB stand-in, session API, aggregator and function (logs in {out}/logs) …", markup=False
        )
        token_key = secrets.token_hex(32)
        upstream = stack.enter_context(start_upstream_services(out / "logs"))
        function_url = stack.enter_context(
            start_function(upstream, out / "logs", settings={"SESSION_TOKEN_KEYS": token_key})
        )
        client = stack.enter_context(GazeClient(function_url))
        token = sign_session(token_key, make_session_id(LOCAL_ADDRESS, VIDEO_ID), VIDEO_ID)
        session = client.start_viewing(VIDEO_ID, ip_address=LOCAL_ADDRESS, session_token=token)
        frames: Iterable[ClipFrame] = (
            capture_frames(read, CAMERA_S, capture) if isinstance(source, int) else read_clip(source)
        )
        viewing = PostedFrames()
        post_viewing(session, ((frame, None) for frame in frames), viewing, None, expected=expected)
    validities = Counter(reply.validity for reply in viewing.replies.values())
    console.print(f"{validities['ok']} of {len(viewing.replies)} frames have a usable gaze.", highlight=False)
    for reason, count in validities.most_common():
        if reason != "ok":
            console.print(f"{count} do not: {reason}", highlight=False)
    gazes = {number: reply.body["gaze"] for number, reply in viewing.replies.items()}
    out.mkdir(parents=True, exist_ok=True)
    for image in (
        draw_gaze_on_screen(gazes, path=out / "gaze_on_screen.png"),
        draw_trace(gazes, {}, path=out / "trace.png"),
    ):
        console.print(str(image), style="green", markup=False, highlight=False, soft_wrap=True)
    return viewing
