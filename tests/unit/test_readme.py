"""The accuracy in the documents is that of the shipped model."""

import re
from pathlib import Path

from models.card import read_card
from research.evaluation.tables import describe_for_docs, describe_for_readme

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def read_block(path, name):
    """Return the text between a document's markers."""
    return path.read_text().split(f"<!-- {name}: begin -->\n")[1].split(f"\n<!-- {name}: end -->")[0]


def test_the_accuracy_is_that_of_the_shipped_models_card():
    card = read_card(ROOT / "models" / "gaze_model.json")

    assert read_block(ROOT / "README.md", "metrics") == describe_for_readme(card.metrics)


def test_the_korean_table_has_the_same_numbers():
    english, korean = (
        [re.findall(r"\d+\.\d", row) for row in read_block(ROOT / name, "metrics").splitlines()]
        for name in ("README.md", "README.ko.md")
    )

    assert len(english[2]) == 3
    assert korean == english


def test_the_tables_on_accuracy_are_those_of_the_shipped_models_card():
    card = read_card(ROOT / "models" / "gaze_model.json")

    for name, table in describe_for_docs(card.metrics).items():
        assert read_block(ROOT / "docs" / "accuracy.md", name) == table
