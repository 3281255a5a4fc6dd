"""Markdown tables and the generated blocks of documents."""

from collections.abc import Iterable, Sequence
from pathlib import Path


def make_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, the first column aligned left and the others right."""
    return "\n".join(
        [
            f"| {' | '.join(header)} |",
            f"|---|{'--:|' * (len(header) - 1)}",
            *(f"| {' | '.join(row)} |" for row in rows),
        ]
    )


def replace_block(path: Path, name: str, text: str) -> None:
    """Replace the text between `<!-- name: begin -->` and `<!-- name: end -->` in a document.

    Raises:
        ValueError: The document has no such block.
    """
    document = path.read_text(encoding="utf-8")
    before, begin, rest = document.partition(f"<!-- {name}: begin -->\n")
    _, end, after = rest.partition(f"<!-- {name}: end -->")
    if not begin or not end:
        raise ValueError(f"{path.name} has no block {name!r}")
    path.write_text(f"{before}{begin}{text}\n{end}{after}", encoding="utf-8")
