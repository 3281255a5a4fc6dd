"""Compare rendered people with real ones in videos of faces with unknown gaze.

python -m research.realism CLIP [CLIP …] [--table …] [--calibration-table …] [--out FOLDER] [--truth] [--page …]
"""

import json
from dataclasses import asdict
from pathlib import Path

import click

from research.command_line import Command
from research.dataset.table import CALIBRATION_TABLE_PATH, TRAINING_TABLE_PATH, load_table
from research.markdown import replace_block
from research.realism.faces import faces_of
from research.realism.plot import draw
from research.realism.report import describe, describe_truth, first_of_takes, make_landmarker, make_report, read_clip


@click.command(cls=Command)
@click.argument("clips", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="CLIP…")
@click.option("--table", type=click.Path(path_type=Path), default=TRAINING_TABLE_PATH, help="Training table.")
@click.option(
    "--calibration-table",
    type=click.Path(path_type=Path),
    default=CALIBRATION_TABLE_PATH,
    help="Calibration table.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out/realism"),
    show_default=True,
    help="Folder for realism.json and realism.png.",
)
@click.option("--truth", is_flag=True, help="Compare landmarks of rendered people with the truth.")
@click.option(
    "--people",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Maximum number of people of each table for --truth.",
)
@click.option(
    "--page",
    type=click.Path(path_type=Path),
    help="Document whose tables are renewed; realism.png goes beside it, too.",
)
def main(
    *,
    clips: tuple[Path, ...],
    table: Path,
    calibration_table: Path,
    out: Path,
    truth: bool,
    people: int,
    page: Path | None,
) -> None:
    """Compare rendered people with the real person in each video CLIP, whose gaze is unknown.

    Prints tables and writes realism.json and realism.png. Of real people it keeps only numbers.
    """
    landmarker = make_landmarker()
    real = [read_clip(path, landmarker) for path in clips]
    rendered = load_table(table)
    resting = load_table(calibration_table) if calibration_table.is_file() else None
    report = make_report(real, rendered, resting, truth_people=people if truth else None)

    tables = describe(report)
    if report.truth is not None:
        tables["truth"] = describe_truth(report.truth)
    click.echo("\n\n".join(tables.values()))
    out.mkdir(parents=True, exist_ok=True)
    (out / "realism.json").write_text(json.dumps(asdict(report), indent=1), encoding="utf-8")
    names = [clip.name for clip in real]
    for path in (out / "realism.png", *([page.with_name("realism.png")] if page else [])):
        draw(first_of_takes(real, report.takes), faces_of(rendered), report.jitters, names, path)
    if page:
        for name, text in tables.items():
            replace_block(page, name, text)


if __name__ == "__main__":
    main()
