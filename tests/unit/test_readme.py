"""The accuracy that the documents state is that of the shipped model."""

from pathlib import Path

from models.card import read_card
from research.evaluation.accuracy_tables import describe_for_docs, describe_for_readme

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def test_the_accuracy_is_that_of_the_shipped_models_card():
    card = read_card(ROOT / "models" / "gaze_model.json")

    assert f"<!-- metrics: begin -->\n{describe_for_readme(card.metrics, card.data)}\n<!-- metrics: end -->" in README


def test_the_tables_on_accuracy_are_those_of_the_shipped_models_card():
    card = read_card(ROOT / "models" / "gaze_model.json")
    document = (ROOT / "docs" / "accuracy.md").read_text()

    assert f"<!-- metrics: begin -->\n{describe_for_docs(card.metrics)}\n<!-- metrics: end -->" in document
