"""The security documents mention only existing settings, and their examples create valid tokens."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.node import find_node

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = {name: (ROOT / name).read_text() for name in ("SECURITY.md", "PRIVACY.md", "docs/security.md")}
GUIDE = DOCUMENTS["docs/security.md"]
KEY, SESSION, ADDRESS, VIDEO, START_MS = (
    "0123456789abcdef0123456789abcdef",
    "5f0c6a3e-0000-5000-8000-000000000001",
    "203.0.113.7",
    "contents1",
    1_767_225_600_000,
)
(TOKEN,) = re.findall(r"^(v1\.\d+\.\S+)$", GUIDE, re.MULTILINE)


def read_example(language):
    return re.search(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)[1]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (name, path)
        for name, text in DOCUMENTS.items()
        for path in sorted(set(re.findall(r"`((?:tests|knative|k8s-hpa|func)/[\w./-]+)`", text)))
    ],
)
def test_every_file_that_is_named_exists(name, path):
    assert (ROOT / path).is_file()


@pytest.mark.parametrize(
    ("name", "target"),
    [(name, target) for name, text in DOCUMENTS.items() for target in re.findall(r"\]\(([^)#:]+)", text)],
)
def test_every_link_leads_to_a_file(name, target):
    assert ((ROOT / name).parent / target).is_file()


def test_the_vector_is_stated_with_its_inputs():
    assert all(f"`{value}`" in GUIDE for value in (KEY, SESSION, ADDRESS, VIDEO, START_MS))


def test_the_python_example_makes_the_vector():
    names = {}
    exec(read_example("python"), names)

    assert names["session_token"](KEY.encode(), SESSION, ADDRESS, VIDEO, START_MS) == TOKEN


def test_the_javascript_example_makes_the_vector():
    call = f"console.log(sessionToken({KEY!r}, {SESSION!r}, {ADDRESS!r}, {VIDEO!r}, {START_MS}))"

    done = subprocess.run(
        [find_node(), "-e", read_example("javascript") + call], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.strip() == TOKEN
