"""The command `gaze`."""

import click

from gaze_tools.report.command import report_command
from gaze_tools.saliency.commands import saliency


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
def main() -> None:
    """Saliency maps of videos, and reports on what viewers looked at."""


main.add_command(saliency)
main.add_command(report_command)


if __name__ == "__main__":
    main(prog_name="gaze")
