"""`gaze saliency`: make, import, inspect and remove the saliency maps of videos."""

import click

from gaze_tools.command_line import LazyGroup

_READ = "gaze_tools.saliency.read_commands"
_WRITE = "gaze_tools.saliency.write_commands"


@click.group(
    cls=LazyGroup,
    lazy_commands={
        "compute": (f"{_WRITE}:compute", "Compute the saliency maps of the file VIDEO."),
        "delete": (f"{_WRITE}:delete", "Remove all maps of VIDEO_ID."),
        "export": (f"{_READ}:export_maps", "Write the maps of VIDEO_ID to TARGET."),
        "import": (f"{_WRITE}:import_maps", "Store maps that were made elsewhere."),
        "list": ("gaze_tools.saliency.list_command:list_videos", "List the videos that have saliency maps."),
        "metrics": ("gaze_tools.saliency.metrics_command:metrics", "Score how well MAPS predict FIXATIONS."),
        "show": (f"{_READ}:show", "Draw some maps of VIDEO_ID into an image."),
        "verify": (f"{_READ}:verify", "Check every map of VIDEO_ID."),
    },
)
def saliency() -> None:
    """Compute, import, inspect and delete saliency maps of videos."""
