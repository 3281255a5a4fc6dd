"""Check that README.ko.md says what README.md says, as far as that can be checked.

    python .ci/translation.py            list what differs; exit with 1 if something does
    python .ci/translation.py --accept   the translation is up to date: renew its digests

Both must have the same sections with the same commands, links, images, code and numbers. Comments after commands may be
translated. Under each heading, the translation has the digest of the English section that it translates. After a change
of README.md:

1. `git diff $(git log -1 --format=%H README.ko.md) -- README.md` shows what has changed since.
2. Change README.ko.md in the same way.
3. Run this with `--accept`.
"""

import argparse
import hashlib
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENGLISH, TRANSLATION = ROOT / "README.md", ROOT / "README.ko.md"

FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
GENERATED = re.compile(r"^<!-- ([a-z]+): begin -->.*?^<!-- \1: end -->", re.MULTILINE | re.DOTALL)
STAMP = re.compile(r"^<!-- README\.md: ([0-9a-f]*) -->\n", re.MULTILINE)
LANGUAGES = re.compile(r"^English \| .*|.* \| 한국어$", re.MULTILINE)
"""The line of links to the other language."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its text up to the next heading."""

    level: int
    title: str
    text: str

    @property
    def digest(self) -> str:
        """Digest of title and text, whatever the line breaks; generated tables do not count."""
        words = " ".join([self.title, *GENERATED.sub("", self.text).split()])
        return hashlib.sha256(words.encode()).hexdigest()[:10]

    @property
    def stamp(self) -> str | None:
        """Digest of the English section that this one translates."""
        found = STAMP.search(self.text)
        return found[1] if found else None


def main() -> None:
    """Print what differs and exit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--accept", action="store_true", help="renew the digests in README.ko.md")
    options = parser.parse_args()
    english, translation = (path.read_text(encoding="utf-8") for path in (ENGLISH, TRANSLATION))
    if options.accept:
        translation = renew_stamps(english, translation)
        TRANSLATION.write_text(translation, encoding="utf-8")
    found = list(compare(english, translation))
    print("\n".join(found) or "README.ko.md is in step with README.md.")  # noqa: T201
    sys.exit(1 if found else 0)


def split_sections(document: str) -> list[Section]:
    """Return the sections of a document in order."""
    # A line of a command that begins with # is not a heading.
    hidden = FENCE.sub(lambda fence: fence[0].replace("#", "\0"), document)
    headings = list(HEADING.finditer(hidden))
    ends = [each.start() for each in headings[1:]] + [len(document)]
    return [
        Section(len(heading[1]), heading[2], document[heading.end() + 1 : end])
        for heading, end in zip(headings, ends, strict=True)
    ]


def compare(english: str, translation: str) -> Iterator[str]:
    """Yield a message for each difference between a document and its translation."""
    originals, translated = split_sections(english), split_sections(translation)
    levels = [[each.level for each in sections] for sections in (originals, translated)]
    if levels[0] != levels[1]:
        yield f"README.ko.md has headings of levels {levels[1]}, README.md {levels[0]}: add or remove sections"
        return
    for original, other in zip(originals, translated, strict=True):
        name = f"README.ko.md, {other.title!r}"
        if other.stamp != original.digest:
            yield (
                f"{name}: {original.title!r} of README.md has changed. Translate the change, which "
                "`git diff $(git log -1 --format=%H README.ko.md) -- README.md` shows, then run "
                "`python .ci/translation.py --accept`"
            )
        for what, expected, found in _pair_facts(original.text, other.text):
            if missing := list((expected - found).elements()):
                yield f"{name}: lacks {what} {', '.join(missing)}"
            if added := list((found - expected).elements()):
                yield f"{name}: has {what} {', '.join(added)}, README.md does not"
        missing = sorted(_find_numbers(original.text).keys() - _find_numbers(other.text).keys())
        if missing:
            yield f"{name}: lacks the numbers {', '.join(missing)}"


def renew_stamps(english: str, translation: str) -> str:
    """Return the translation with the digest of each English section under its heading.

    Raises:
        ValueError: The documents have different numbers of sections.
    """
    renewed = translation[: translation.index("#")]
    for original, other in zip(split_sections(english), split_sections(translation), strict=True):
        text = STAMP.sub("", other.text)
        renewed += f"{'#' * other.level} {other.title}\n<!-- README.md: {original.digest} -->\n{text}"
    return renewed


def _pair_facts(original: str, other: str) -> Iterator[tuple[str, Counter[str], Counter[str]]]:
    """Yield what must be equal in a section and its translation."""
    for what, find in (
        ("the commands", _find_commands),
        ("the links", _find_links),
        ("the code", _find_code),
        ("the table rows with the numbers", _find_rows),
    ):
        yield what, Counter(find(original)), Counter(find(other))


def _find_commands(text: str) -> list[str]:
    return [re.sub(r"\s{2,}# .*$", "", fence, flags=re.MULTILINE) for fence in FENCE.findall(text)]


def _find_links(text: str) -> list[str]:
    prose = LANGUAGES.sub("", FENCE.sub("", text))
    # Two links to one page may become one in another language, and the other way round.
    return sorted({*re.findall(r"\]\(([^)\s]+)\)", prose), *re.findall(r'src="([^"]+)"', prose)})


def _find_code(text: str) -> list[str]:
    return sorted(set(re.findall(r"`([^`\n]+)`", FENCE.sub("", text))))


def _find_rows(text: str) -> list[str]:
    rows = re.findall(r"^\|.*\|$", FENCE.sub("", text), re.MULTILINE)
    cells = [[" ".join(re.findall(r"\d+(?:\.\d+)*", cell)) for cell in row.split("|")[1:-1]] for row in rows]
    return [" | ".join(each) for each in cells]


def _find_numbers(text: str) -> Counter[str]:
    prose = re.sub(r"\]\([^)]*\)|<!--.*?-->|`[^`]*`|<[^>]*>", "", FENCE.sub("", text))
    return Counter(re.findall(r"\d+(?:\.\d+)*", prose))


if __name__ == "__main__":
    main()
