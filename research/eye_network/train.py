"""Train the eye network on rendered eye images; needs PyTorch (`make train-eyes` installs it).

    python -m research.eye_network.train --images DIR --seed 1 --steps 2600

Writes the network and its card, and the training curve beside the other figures. Equal images, seed, steps, versions
and number of threads give equal bytes on the same kind of CPU; other CPUs and numbers of threads sum in another order,
and training makes small differences grow. The people of the test group are never read; the last of the others are the
selection people, on whom the training is watched and the spreads are corrected.
"""

import csv
import hashlib
import io
import json
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import torch

from models import EYE_NETWORK_PATH
from models.atomic_file import replace_file
from models.card import EyeNetworkCard, write_card
from research.command_line import Command
from research.dataset.eye_images import CACHE, PLAN_NAME
from research.eye_network.contract import INPUTS, OUTPUTS
from research.eye_network.export import export_onnx
from research.eye_network.image_set import EyeImageSet, PeopleSplit, find_image_set, load_image_set
from research.eye_network.learning import Trained, TrainingOptions, train_network
from research.eye_network.network import count_parameters, describe_widths
from research.eye_network.plots import draw_curve

FIGURES = Path(__file__).resolve().parents[2] / "docs" / "accuracy"


@click.command(cls=Command)
@click.option(
    "--images",
    "folder",
    type=click.Path(path_type=Path),
    default=CACHE,
    help="Folder of an eye image set, or of several: the one made last.  [default: .cache/eye_images]",
)
@click.option("--steps", default=2600, show_default=True, help="Steps of 256 pairs.")
@click.option("--seed", default=1, show_default=True, help="Random seed.")
@click.option("--threads", default=2, show_default=True, help="Threads; another number gives other bytes.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=EYE_NETWORK_PATH,
    help="Network to write; the card goes beside it.",
)
@click.option(
    "--figures",
    type=click.Path(path_type=Path),
    default=FIGURES,
    help="Folder of the training curve.  [default: docs/accuracy]",
)
def main(*, folder: Path, steps: int, seed: int, threads: int, out: Path, figures: Path) -> None:
    """Train the eye network on rendered eye images, and write the network and its card."""
    torch.set_num_threads(threads)
    folder = find_image_set(folder)
    images, split = load_image_set(folder)
    training, selection = images.of_people(0, split.first_selection), images.of_people(*split.selection)
    for name, group in (("training", training), ("selection", selection)):
        click.echo(f"{name}: {len(group)} pairs of {len(group.people)} people")
    options = TrainingOptions(steps)
    trained = train_network(training, selection, options, seed=seed, report=click.echo)
    content = export_onnx(trained.network)
    card = describe(content, trained, options, seed=seed, threads=threads)
    card = card.model_copy(update={"file": out.name, "data": describe_data(folder, images, split)})
    replace_file(out, content)
    write_card(card, out.with_suffix(".json"))
    write_curve(trained, figures)
    click.echo(
        f"{out.name}: {len(content) / 1e6:.2f} MB, SHA-256 {card.sha256}; {trained.seconds / 60:.0f} minutes, "
        f"{steps * options.batch / trained.seconds:.0f} pairs/s"
    )


def describe(content: bytes, trained: Trained, options: TrainingOptions, *, seed: int, threads: int) -> EyeNetworkCard:
    """Return the card of a network, without data and metrics."""
    last = trained.curve[-1]
    return EyeNetworkCard(
        file=EYE_NETWORK_PATH.name,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        inputs=INPUTS,
        outputs=OUTPUTS,
        data={},
        training={
            "seed": seed,
            "threads": threads,
            "parameters": count_parameters(trained.network),
            "widths": describe_widths(options.widths),
            **options.describe(),
            "augmentation": options.augmentation.describe(),
            "spread_corrections": {name: asdict(each) for name, each in trained.corrections.items()},
            "selection_error_deg": {"both": round(last.both_deg, 3), "one_eye": round(last.eye_deg, 3)},
            "seconds": round(trained.seconds),
        },
        metrics={},
        versions={"python": platform.python_version()} | {name: version(name) for name in ("torch", "onnx", "numpy")},
    )


def describe_data(folder: Path, images: EyeImageSet, split: PeopleSplit) -> dict[str, Any]:
    """Return the description of the eye image set for the card."""
    groups = {
        "training": images.of_people(0, split.first_selection),
        "selection": images.of_people(*split.selection),
        "test": images.of_people(split.first_held_out, split.end),
    }
    return {
        "people": "rendered people only",
        "plan": json.loads((folder / PLAN_NAME).read_bytes()),
        "sha256": images.digest(),
        "first_selection": split.first_selection,
        "first_held_out": split.first_held_out,
    } | {name: {"people": len(group.people), "pairs": len(group)} for name, group in groups.items()}


def write_curve(trained: Trained, folder: Path) -> None:
    """Write the training curve as CSV and SVG.

    Raises:
        OSError: The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = [asdict(point) for point in trained.curve]
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: round(value, 3) if isinstance(value, float) else value for name, value in row.items()} for row in rows
    )
    replace_file(folder / "eye_network_training.csv", text.getvalue().encode())
    draw_curve(rows, folder / "eye_network_training.svg")


if __name__ == "__main__":
    main()
