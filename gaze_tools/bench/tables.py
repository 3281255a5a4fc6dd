"""Tables on the terminal."""

from rich.console import Console
from rich.table import Table

from gaze_tools.command_line import console

_WIDTH = 140


def make_table(title: str, *columns: str, text_columns: int = 1) -> Table:
    """Return an empty table with columns of text and, to their right, of numbers."""
    table = Table(title=title, title_justify="left")
    for at, column in enumerate(columns):
        table.add_column(column, justify="left" if at < text_columns else "right")
    return table


def find_console() -> Console:
    """Return the console, or one that is wide enough for all tables where the output is no terminal."""
    return console if console.is_terminal else Console(width=max(console.width, _WIDTH))


def print_wide(table: Table) -> None:
    """Print a table."""
    find_console().print(table)
