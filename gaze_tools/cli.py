"""The command `gaze`."""

import click

from gaze_tools.command_line import MainGroup, find_version

COMMANDS = {
    "bench": ("gaze_tools.bench.commands:bench", "Measure how fast this machine runs the steps of the function."),
    "capacity": (
        "gaze_tools.capacity.commands:capacity",
        "Compute the pods, cores and storage that an audience needs.",
    ),
    "conformance": (
        "gaze_tools.conformance.command:conformance",
        "Check whether a session API and an aggregator work with the function.",
    ),
    "demo": ("gaze_tools.demo:demo", "Stream a clip of a person through the function, and print the score."),
    "drill": ("gaze_tools.drill.command:drill", "Break one thing after another, and show what an operator sees."),
    "report": ("gaze_tools.report.command:report", "Write a report of what the viewer of SESSION_ID looked at."),
    "saliency": (
        "gaze_tools.saliency.commands:saliency",
        "Compute, import, inspect and delete saliency maps of videos.",
    ),
    "run": (
        "gaze_tools.run.command:run",
        "Score one viewer of the video FILM: saliency maps, session, score and report.",
    ),
    "serve": ("gaze_tools.serve:serve", "Run the function, its upstream services and the studio until Ctrl-C."),
    "session": (
        "gaze_tools.session.commands:session",
        "List sessions, export them to files, import and delete them.",
    ),
}
"""Import path and first sentence of the help of each command."""


def _print_version(context: click.Context, _parameter: click.Parameter, is_asked: bool) -> None:
    if is_asked:
        click.echo(f"gaze {find_version()}")
        context.exit()


@click.group(
    cls=MainGroup,
    lazy_commands=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
def main() -> None:
    """Try the function, score your own film, compute saliency maps, keep sessions, write reports and plan capacity."""


if __name__ == "__main__":
    main(prog_name="gaze")
