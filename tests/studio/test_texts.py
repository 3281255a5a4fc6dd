"""The texts of the page in both languages."""

import json
import re

import pytest

from gaze_tools.studio.gateway import PAGE

LANGUAGES = ("en", "ko")
STRINGS = {name: json.loads((PAGE / f"strings.{name}.json").read_text(encoding="utf-8")) for name in LANGUAGES}
SOURCES = "".join(path.read_text(encoding="utf-8") for path in (*PAGE.glob("*.js"), PAGE / "index.html"))


def test_both_languages_have_the_same_texts():
    assert STRINGS["en"].keys() == STRINGS["ko"].keys()


@pytest.mark.parametrize("key", STRINGS["en"])
def test_both_languages_have_the_same_values(key):
    found = [sorted(re.findall(r"\{\w+\}", strings[key])) for strings in STRINGS.values()]
    assert found[0] == found[1]


def test_every_text_that_the_page_names_exists():
    named = re.findall(r'data-t(?:-label)?="([^"]+)"', SOURCES)
    named += re.findall(r'\b(?:t|setText|showError)\((?:[\w.]+(?:\("[\w-]+"\))?, )?"([\w.]+)"', SOURCES)
    assert len(named) > 100
    assert set(named) <= STRINGS["en"].keys()


def test_korean_is_korean():
    same = [key for key, text in STRINGS["ko"].items() if not re.search("[가-힣]", text)]
    assert same == ["percent", "score.nss"]


def test_the_page_names_no_address_and_no_script_or_style_of_its_own():
    page = (PAGE / "index.html").read_text(encoding="utf-8")
    style = (PAGE / "studio.css").read_text(encoding="utf-8")
    assert not re.search(r"https?://|//[a-z]", page.replace("<!doctype html>", ""))
    assert not re.search(r"<style| style=|<script(?![^>]*src=)| on[a-z]+=", page)
    assert "url(" not in style
    assert "@import" not in style
