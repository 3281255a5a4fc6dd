"""Markdown tables and the generated blocks of documents."""

import re
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


def replace_numbers(path: Path, name: str, table: str) -> None:
    """Replace the numbers of a translated table between `<!-- name: begin -->` and `<!-- name: end -->`.

    The heading and the first column stay; all other cells become those of `table`.

    Raises:
        ValueError: The document has no such block, or its table has another number of rows.
    """
    document = path.read_text(encoding="utf-8")
    found = re.search(rf"<!-- {name}: begin -->\n(.*?)\n<!-- {name}: end -->", document, re.DOTALL)
    old, new = (found[1].splitlines() if found else []), table.splitlines()
    if len(old) != len(new):
        raise ValueError(f"{path.name} has no block {name!r} with a table of {len(new) - 2} rows")
    rows = ["|".join(["", mine.split("|")[1], *its.split("|")[2:]]) for mine, its in zip(old, new, strict=True)]
    replace_block(path, name, "\n".join([*old[:2], *rows[2:]]))
