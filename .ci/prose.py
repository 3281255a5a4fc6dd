"""Find misspellings, and words that make text hard to read.

    python .ci/prose.py           check everything but PENDING; exit with 1 if something was found
    python .ci/prose.py --all     check PENDING too
    python .ci/prose.py FILE…     check these files

codespell checks whole files. The list of words below applies to Markdown outside code and generated tables, to comments
and strings of Python, and to comments of YAML, shell, make and Docker files.
"""

import argparse
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]

RULES = {
    r"\blikewise\b": "name the thing again",
    r"\bwho(m)?ever\b": "anybody who, any client that, …",
    r"\bamid\b": "during, while",
    r"\breckon(s|ed|ing)?\b": "compute, calculate",
    r"\btold\b": "reported, sent, passed",
    r"\bmend(s|ed|ing)?\b": "fix, correct",
    r"\b(held|holds?) (\w+ ){0,4}against\b": "compare with",
    r"\bfor want of\b": "without, for lack of",
    r"\bis no (folder|file|number|directory|path)\b": "is not a …",
    r"\bphon(e|es|ing) home\b": "sends data to …",
    r"^\s+\w+: (Of|Whether that) ": "name the thing: 'Session id.'",
    r"\bpictures?\b": "image, frame",
    r"(?<!nearest )(?<!nearest-)\bneighbour(s|ing|hood)?\b": "upstream service",
}

EXCEPTIONS = {
    # The old names, which an upgrade must mention.
    "CHANGELOG.md": {"neighbours"},
    # The rules themselves.
    ".ci/prose.py": None,
    "tests/docs/test_prose.py": None,
    # A key of the readiness report.
    "gaze_tools/deploy/health.py": {"neighbours"},
    "tests/deploy/": {"neighbours"},
    "tests/http/": {"neighbours"},
    "tests/image/": {"neighbours"},
    # Adjacent pixels, samples and vertices.
    "gaze_core/": {"neighbour", "neighbouring", "neighbours"},
    "research/": {"neighbour", "neighbouring", "neighbours"},
}
"""Allowed matches by file or folder; None allows everything."""

PENDING: tuple[str, ...] = ()
"""Files and folders that are not checked yet. Remove an entry once `--all` finds nothing there."""

SUFFIXES = {".md", ".py", ".yaml", ".yml", ".env", ".toml", ".cff"}
NAMES = {"Makefile", "Dockerfile"}


def main() -> None:
    """Print what was found and exit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="check pending files too")
    parser.add_argument("files", nargs="*", help="default: all files of the repository")
    options = parser.parse_args()
    paths = options.files or [path for path in list_files() if options.all or not path.startswith(PENDING)]
    found = [message for path in paths for message in check_file(path)]
    if found:
        print("\n".join(found))  # noqa: T201
    spelling = subprocess.run([sys.executable, "-m", "codespell_lib", *paths], cwd=ROOT, check=False)  # noqa: S603
    sys.exit(1 if found else spelling.returncode)


def list_files() -> list[str]:
    """Return the files of the repository that contain prose, ignored ones excluded."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    paths = [Path(name) for name in listed if (ROOT / name).is_file() and not (ROOT / name).is_symlink()]
    return [
        str(path)
        for path in paths
        if path.suffix in SUFFIXES or path.name in NAMES or (path.parts[0] == ".ci" and not path.suffix)
    ]


def check_file(path: str) -> Iterator[str]:
    """Yield a message for each match in a file."""
    exceptions = [
        words for place, words in EXCEPTIONS.items() if path == place or (place[-1] == "/" and path.startswith(place))
    ]
    if None in exceptions:
        return
    allowed = {word for words in exceptions if words for word in words}
    text = (ROOT / path).read_text(encoding="utf-8")
    for line_number, line in extract_prose(text, Path(path).suffix):
        for pattern, advice in RULES.items():
            for match in re.finditer(pattern, line, re.IGNORECASE):
                if match[0].lower() not in allowed:
                    yield f"{path}:{line_number}: {match[0].strip()!r}: {advice}"


def extract_prose(text: str, suffix: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of prose with their numbers."""
    if suffix == ".py":
        yield from _extract_from_python(text)
    elif suffix == ".md":
        yield from _extract_from_markdown(text)
    else:
        for number, line in enumerate(text.splitlines(), 1):
            _, comment, rest = line.partition("#")
            if comment:
                yield number, rest


def _extract_from_python(text: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        # Python 3.12 splits f-strings; FSTRING_MIDDLE is their text.
        if tokenize.tok_name[token.type] in {"COMMENT", "STRING", "FSTRING_MIDDLE"}:
            for offset, line in enumerate(token.string.splitlines()):
                yield token.start[0] + offset, line


def _extract_from_markdown(text: str) -> Iterator[tuple[int, str]]:
    is_code = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```") or re.match(r"<!-- [a-z]+: (begin|end) -->", line):
            is_code = not is_code
        elif not is_code:
            yield number, re.sub(r"`[^`]*`|\]\([^)]*\)", "", line)


if __name__ == "__main__":
    main()
