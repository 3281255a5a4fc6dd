"""Measure the eye network on rendered people that it has never seen.

    python -m research.eye_network.evaluate --images DIR [--model …]

Runs the ONNX file in OpenCV, as the function does, so PyTorch is not needed. Writes the metrics into the card, draws
predicted against real spread into docs/accuracy, and prints the metrics as JSON.
"""

import json
from pathlib import Path

import click

from models import EYE_NETWORK_PATH
from models.card import read_eye_network_card, write_card
from research.command_line import Command
from research.dataset.eye_images import CACHE
from research.eye_network.image_set import find_image_set, load_image_set
from research.eye_network.inference import answer
from research.eye_network.measures import summarise
from research.eye_network.plots import draw_spreads

FIGURES = Path(__file__).resolve().parents[2] / "docs" / "accuracy"


@click.command(cls=Command)
@click.option(
    "--images",
    "folder",
    type=click.Path(path_type=Path),
    default=CACHE,
    help="Folder of an eye image set, or of several: the one made last.  [default: .cache/eye_images]",
)
@click.option(
    "--model",
    "model_path",
    type=click.Path(path_type=Path),
    default=EYE_NETWORK_PATH,
    help="Network; its card lies beside it.",
)
@click.option(
    "--figures",
    type=click.Path(path_type=Path),
    default=FIGURES,
    help="Folder of the figure.  [default: docs/accuracy]",
)
def main(*, folder: Path, model_path: Path, figures: Path) -> None:
    """Measure the eye network on the test group of its eye image set, and write the metrics into its card."""
    card_path = model_path.with_suffix(".json")
    card = read_eye_network_card(card_path)
    folder = find_image_set(folder)
    images, split = load_image_set(folder)
    if images.digest() != card.data["sha256"]:
        raise ValueError(f"{folder} is not the eye image set in {card_path.name}")
    test = images.of_people(split.first_held_out, split.end)
    metrics = summarise(answer(model_path, test), test)
    write_card(card.model_copy(update={"metrics": metrics}), card_path)
    draw_spreads(metrics["spread"], figures / "eye_network_spread.svg")
    click.echo(json.dumps(metrics, indent=2))


if __name__ == "__main__":
    main()
