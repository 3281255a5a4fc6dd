"""docs/faq.md: short answers, whose errors in degrees are those of docs/accuracy.md."""

import re

from tests.docs.test_links import ROOT

FAQ = (ROOT / "docs/faq.md").read_text()
ACCURACY = (ROOT / "docs/accuracy.md").read_text()
ANSWERS = dict(re.findall(r"^### ([^\n]+)\n\n(.+?)(?=\n+##|\s*\Z)", FAQ, re.MULTILINE | re.DOTALL))


def test_every_heading_is_a_question():
    headings = re.findall(r"^### (.+)$", FAQ, re.MULTILINE)

    assert list(ANSWERS) == headings
    assert [heading for heading in headings if not heading.endswith("?")] == []


def test_an_answer_has_at_most_six_lines():
    assert {question: answer for question, answer in ANSWERS.items() if answer.count("\n") > 5} == {}


def test_every_error_is_one_of_the_page_on_accuracy():
    """After `make evaluate`: update the answers."""
    # 10.1° with the assumed field of view instead of 6.7° with the true one: docs/recordings.md.
    difference = "3.4"
    errors = set(re.findall(r"(\d+\.\d)°", FAQ)) - {difference}

    assert len(errors) > 8
    assert errors - set(re.findall(r"\d+\.\d", ACCURACY)) == set()
