"""What the README says is true today."""

import re
from pathlib import Path

import pytest

from func.settings import describe_settings
from models.card import read_card
from research.evaluation.tables import describe_for_docs, describe_for_readme
from research.markdown import read_block

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def test_every_setting_is_listed_as_the_code_describes_it():
    listed = re.search(r"<!-- settings: begin -->\n(.*?)<!-- settings: end -->", README, re.DOTALL)[1]

    rows = [f"| `{each.variable}` | {each.default} | {each.meaning} |" for each in describe_settings()]
    assert listed.splitlines() == ["| variable | default | meaning |", "|---|---|---|", *rows]


def test_the_accuracy_is_that_of_the_shipped_models_card():
    card = read_card(ROOT / "models" / "gaze_model.json")

    assert read_block(ROOT / "README.md", "metrics") == describe_for_readme(card.metrics)


def test_the_tables_on_accuracy_are_those_of_the_shipped_models_card():
    card = read_card(ROOT / "models" / "gaze_model.json")

    for name, table in describe_for_docs(card.metrics).items():
        assert read_block(ROOT / "docs" / "accuracy.md", name) == table


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#:]+)\)", README))
def test_every_link_leads_to_a_file(target):
    assert (ROOT / target).exists()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"`?make ([a-z-]+)", README))))
def test_every_make_target_exists(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
