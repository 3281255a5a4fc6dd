"""Every Markdown file: links lead somewhere, named make targets exist, JSON parses."""

import json
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
MAKEFILE = (ROOT / "Makefile").read_text()


def list_documents():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return [path for path in listed if (ROOT / path).exists()]


DOCUMENTS = list_documents()


def list_links(text):
    """Return the targets of links and images outside fences that lead to files of this repository."""
    prose = FENCE.sub("", text)
    targets = re.findall(r"\]\(([^)\s]+)\)", prose) + re.findall(r'<img src="([^"]+)"', prose)
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def make_anchor(heading):
    """Return the anchor that GitHub gives a heading."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


@cache
def list_anchors(path):
    return {make_anchor(found) for found in re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text()), re.MULTILINE)}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_to_a_file_and_a_heading(document):
    path = ROOT / document
    broken = []
    for link in list_links(path.read_text()):
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        if not target.exists() or (anchor and anchor not in list_anchors(target)):
            broken.append(link)

    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_make_target_exists(document):
    text = (ROOT / document).read_text()
    named = re.findall(r"`make ([a-z-]+)", text)
    named += [
        found for _, _, block in FENCE.findall(text) for found in re.findall(r"^make ([a-z-]+)", block, re.MULTILINE)
    ]

    assert [name for name in named if not re.search(rf"^{name}:", MAKEFILE, re.MULTILINE)] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_fenced_json_parses(document):
    for _, language, block in FENCE.findall((ROOT / document).read_text()):
        if language == "json":
            json.loads(block)


def test_the_index_lists_every_document():
    index = (ROOT / "docs/README.md").read_text()
    documents = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}

    assert {name for name in documents if f"({name}" not in index} == set()


def test_links_and_anchors_are_recognised():
    assert list_links("[a](b.md#c) ![d](e.png) [f](https://example.com)\n```\n[g](h)\n```\n") == ["b.md#c", "e.png"]
    assert list_links('<img src="docs/a.png" width="500" alt="b">') == ["docs/a.png"]
    assert make_anchor("When `MongoDB` is down, [wait](x.md)") == "when-mongodb-is-down-wait"
