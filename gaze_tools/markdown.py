"""Markdown tables, and generated sections of the pages in docs/.

`research` has helpers of its own: the two packages do not import each other, and what they share would ship.
"""

from collections.abc import Sequence
from dataclasses import dataclass

Row = Sequence[str]


@dataclass(frozen=True, slots=True)
class MarkdownTable:
    """Rows under a heading."""

    heading: Row
    rows: Sequence[Row]

    def render(self) -> str:
        """Return the table as Markdown, with columns aligned so that it is readable as plain text."""
        widths = [max(map(len, column)) for column in zip(self.heading, *self.rows, strict=True)]
        lines = [
            " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            for row in (self.heading, *self.rows)
        ]
        lines.insert(1, " | ".join("-" * width for width in widths))
        return "\n".join(f"| {line} |" for line in lines)


def replace_section(page: str, name: str, section: str) -> str:
    """Return a page with new text between `<!-- name: begin -->` and `<!-- name: end -->`.

    Raises:
        ValueError: The page lacks one of these lines.
    """
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"the page has no section {name!r}")
    return f"{before}{begin}{section}\n{end}{after}"
