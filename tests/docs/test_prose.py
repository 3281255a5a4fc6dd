"""`.ci/prose.py` finds the words to avoid, and only in prose."""

import importlib.util

import pytest

from tests.docs.test_links import ROOT

SPEC = importlib.util.spec_from_file_location("prose", ROOT / ".ci/prose.py")
prose = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(prose)


@pytest.fixture
def check(tmp_path, monkeypatch):
    monkeypatch.setattr(prose, "ROOT", tmp_path)

    def run(name, text):
        (tmp_path / name).write_text(text)
        return list(prose.check_file(name))

    return run


@pytest.mark.parametrize(
    "text",
    [
        "Likewise.",
        "Whoever guesses the id",
        "readers amid it",
        "How it is reckoned",
        "Who is not root is told what to install.",
        "mends what can be mended",
        "each dot held against the correction",
        "holds every gaze against the saliency map",
        "refused for want of a calibration",
        "that is no folder",
        "Nothing phones home.",
        "        session_id: Of the session.",
        "one webcam picture in",
        "calls to neighbouring services",
    ],
)
def test_a_word_to_avoid_is_found(check, text):
    assert check("a.md", f"{text}\n") != []


def test_the_message_names_file_line_and_word(check):
    assert check("a.md", "Fine.\nLikewise.\n") == ["a.md:2: 'Likewise': name the thing again"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.md", "```\nlikewise\n```\n`picture` [nearest neighbour](https://example.com/picture)\n"),
        ("a.md", "<!-- metrics: begin -->\nlikewise\n<!-- metrics: end -->\n"),
        ("a.py", "neighbours = picture(told)\n"),
        ("a.yaml", "neighbours: picture\n"),
    ],
)
def test_code_and_generated_tables_are_not_prose(check, name, text):
    assert check(name, text) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", "x = 1  # likewise\n"),
        ("a.py", 'def f():\n    """Likewise."""\n'),
        ("a.py", 'x = f"likewise {y}"\n'),
        ("a.yaml", "x: 1 # likewise\n"),
        ("Makefile", "# likewise\n"),
    ],
)
def test_comments_and_strings_are_prose(check, name, text):
    assert len(check(name, text)) == 1
