"""`gaze bench`: how fast this machine runs the steps of the function."""

import click

from gaze_tools.command_line import LazyGroup


@click.group(
    cls=LazyGroup,
    lazy_commands={
        "all": ("gaze_tools.bench.all:run_all", "Measure everything and write a report."),
        "batch": (
            "gaze_tools.bench.batch_network:batch",
            "Compare one and several frames in a request, over networks with a delay; then the session update alone.",
        ),
        "compare": (
            "gaze_tools.bench.compare:compare",
            "Say which numbers changed between the reports BEFORE and AFTER, and which differ only by noise.",
        ),
        "document": (
            "gaze_tools.bench.document:document",
            "Write reports to their sections of docs/benchmarks.md.",
        ),
        "flame": (
            "gaze_tools.bench.flame:flame",
            "Draw where the function's time goes, as a flame graph.",
        ),
        "frame": ("gaze_tools.bench.frame:frame", "Time the stages of one frame."),
        "growth": (
            "gaze_tools.bench.session_growth:growth",
            "Measure how costs grow: with frames in a session, sessions alive, and pixels of a saliency map.",
        ),
        "load": (
            "gaze_tools.bench.load:load",
            "Load the function with 1 to 32 clients: throughput, CPU time and latency with both engines.",
        ),
        "maps": ("gaze_tools.bench.maps:maps", "Time each saliency model on the frames of VIDEO."),
        "overload": (
            "gaze_tools.bench.overload:overload",
            "Send more frames than the function can take: goodput, refusals and health.",
        ),
        "report": (
            "gaze_tools.bench.report_growth:report_growth",
            "Show how CPU time, memory and files of a report grow with the session.",
        ),
        "request": (
            "gaze_tools.bench.frame_request:request",
            "Measure the CPU time of one frame through the server, relative to its bare networks.",
        ),
        "score": ("gaze_tools.bench.score:score", "Time the scoring of sessions of up to an hour, and its memory."),
        "score-growth": (
            "gaze_tools.bench.score_growth:score_growth",
            "Show how the CPU time of scoring grows with sessions and maps.",
        ),
        "server": (
            "gaze_tools.bench.web_servers:server",
            "Compare web servers of the function: frames per second and CPU time per frame.",
        ),
        "session-update": (
            "gaze_tools.bench.session_update:session_update",
            "Measure what storing a frame costs the function, the session API and its database.",
        ),
        "start": (
            "gaze_tools.bench.start:start",
            "Start the function: CPU time to the first answered frame, and memory.",
        ),
    },
)
def bench() -> None:
    """Measure how fast this machine runs the steps of the function.

    Absolute times describe the machine as much as the code; the ratios carry over to other machines.
    """
