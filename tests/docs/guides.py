"""Follow a guide as its reader does: every fenced block is run, saved or compared, in order.

- `bash` runs as in one shell: its directory and its variables stay for the next block. A command that does not return,
  such as a server, runs in a terminal of its own until the end.
- A block that names its file in a comment of its first two lines is saved under that name, after a check of its syntax.
- `python` without a file runs.
- `json` is what the `bash` before printed: the same keys and types, with other values and perhaps shortened.

A block in any other language fails.
"""

import ast
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import requests

from gaze_tools.stack.processes import find_free_ports
from tests.docs.test_links import FENCE, ROOT
from tests.node import NPM_SETTINGS, find_node, make_commands

ENVIRONMENT = dict(os.environ)
"""Taken before any test: loading MediaPipe in this process sets a proxy that leads nowhere."""

COMMAND_TIMEOUT_S = 100
SERVER_TIMEOUT_S = 90

# `make` must not install anything: the tests already run in an environment.
PRELUDE = """\
set -euo pipefail
make() { command make --old-file="$VENV/.installed-demo" VENV="$VENV" PORT="$PORT" "$@"; }
set -a
"""


@dataclass(frozen=True)
class Block:
    """A fenced block of a document."""

    document: str
    line: int
    language: str
    text: str

    @property
    def file_name(self):
        """Name of the file to save it as, from a comment; None if it has none."""
        found = re.match(r"(?:<!doctype html>\n)?(?:#|//|<!--) ([\w./-]+\.\w+)(?: -->)?\n", self.text)
        return found and found[1]

    @property
    def kind(self):
        """The name of its runner."""
        return "file" if self.file_name else self.language

    def __str__(self):
        return f"{self.document}:{self.line}"


def read_blocks(document):
    """Return the fenced blocks of a document, given as a path from the root."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return [
        Block(document, text.count("\n", 0, found.start()) + 1, found[2], re.sub(f"(?m)^{found[1]}", "", found[3]))
        for found in FENCE.finditer(text)
    ]


@dataclass
class Reader:
    """Somebody who follows guides on one machine.

    Attributes:
        home: Home directory, empty at first. The first block starts in the root of the repository.
        servers: For the pattern of each command that does not return, an address that answers once it is ready.
        replaced: What to write instead of parts of the text, such as ports.
        variables: Environment variables.
    """

    home: Path
    servers: dict = field(default_factory=dict)
    replaced: dict = field(default_factory=dict)
    variables: dict = field(default_factory=dict)
    saved: dict = field(default_factory=dict)
    outputs: dict = field(default_factory=dict)
    _running: list = field(default_factory=list)
    _last: str = ""

    def __post_init__(self):
        make_commands(self.home / "bin")
        (self.home / ".cwd").write_text(str(ROOT))
        (self.home / ".env").write_text("")
        self._done = {}

    @property
    def directory(self):
        """Where the reader is now."""
        return Path((self.home / ".cwd").read_text().strip())

    def follow(self, blocks):
        """Run each block that has not been run; a block that failed fails again."""
        for block in blocks:
            if block not in self._done:
                try:
                    self.run(block)
                except BaseException as error:
                    self._done[block] = error
                    raise
                self._done[block] = None
            elif self._done[block] is not None:
                raise self._done[block]

    def run(self, block):
        """Run, save or compare a block."""
        text = self.replace(block.text)
        assert block.kind in RUNNERS, f"{block}: no runner for {block.kind or 'a block without a language'}"
        RUNNERS[block.kind](self, block, text)

    def replace(self, text):
        for old, new in self.replaced.items():
            text = text.replace(old, new)
        return text

    def environment(self):
        path = [str(self.home / "bin"), str(Path(sys.executable).parent), ENVIRONMENT["PATH"]]
        own = {"HOME": str(self.home), "PATH": ":".join(path), "PYTHONPATH": str(ROOT), "VENV": sys.prefix}
        return {**ENVIRONMENT, **NPM_SETTINGS, "PIP_NO_INDEX": "1", **own, **self.variables}

    def run_shell(self, block, text):
        for pattern, url in self.servers.items():
            if re.search(pattern, text, re.MULTILINE):
                self.start(block, text, self.replace(url))
                return
        keep = 'cd "$(cat ~/.cwd)"; . ~/.env\n', "\npwd >~/.cwd; export -p | grep -v ' PATH=' >~/.env; touch ~/.ended\n"
        ended = self.home / ".ended"
        ended.unlink(missing_ok=True)
        done = self._bash(PRELUDE + keep[0] + text + keep[1], timeout=COMMAND_TIMEOUT_S, capture_output=True)
        assert done.returncode == 0, f"{block}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        assert ended.exists(), f"{block} has an `exit` before its last command"
        self._last = self.outputs[block] = done.stdout

    def start(self, block, text, url):
        """Run a command that does not return, and wait until it answers."""
        log_path = self.home / f"{len(self._running)}.log"
        script = f'{PRELUDE}cd "$(cat ~/.cwd)"; . ~/.env\n{text}\nwait'
        with log_path.open("w") as log:
            process = subprocess.Popen(
                ["bash", "-c", script], env=self.environment(), stdout=log, stderr=log, start_new_session=True
            )
        self._running.append(process)
        deadline_s = time.monotonic() + SERVER_TIMEOUT_S
        while True:
            with suppress(requests.RequestException):
                if requests.get(url, timeout=5).ok:
                    return
            assert process.poll() is None, f"{block}\n{log_path.read_text()[-3000:]}"
            assert time.monotonic() < deadline_s, f"{block}\n{log_path.read_text()[-3000:]}"
            time.sleep(0.2)

    def _bash(self, script, **options):
        return subprocess.run(["bash", "-c", script], env=self.environment(), text=True, check=False, **options)

    def save(self, block, text):
        CHECKS[Path(block.file_name).suffix](self, text)
        path = self.directory / block.file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        self.saved[block.file_name] = path

    def run_python(self, block, text):
        command = [sys.executable, "-c", text]
        options = {"cwd": self.directory, "env": self.environment(), "timeout": COMMAND_TIMEOUT_S}
        done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        self._last = self.outputs[block] = done.stdout

    def compare(self, block, text):
        real = json.loads(self._last)
        missing = list(find_missing(json.loads(text), real))
        assert missing == [], f"{block}: {', '.join(missing)}; printed was {self._last[:2000]}"

    def close(self):
        """Stop what still runs, the last first."""
        for process in reversed(self._running):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)


@contextmanager
def follow_on_free_ports(home):
    """Yield a reader of a guide that starts `make serve` on port 8080 and the minimal gateway on port 8000."""
    first = find_free_ports(6)[0]
    ports = {8080: first, 8084: first + 4, 8000: first + 5}
    reader = Reader(
        home,
        servers={
            r"^make serve": "http://localhost:8084/api/health",
            r"gunicorn .*gateway:app": "http://localhost:8000/gaze-client.js",
        },
        replaced={
            **{f"localhost:{shown}": f"localhost:{port}" for shown, port in ports.items()},
            ". .venv/bin/activate": '. "$VENV/bin/activate"',
            "gaze serve --print-exports": f"gaze serve --port {first} --print-exports",
        },
        variables={"PORT": str(first), "FUNCTION_URL": f"http://localhost:{first}"},
    )
    try:
        yield reader
    finally:
        reader.close()


def find_missing(shown, real, place=""):
    """Yield what a document shows and the program did not print: keys, and types of values."""
    if isinstance(shown, dict) and isinstance(real, dict):
        for key, value in shown.items():
            if key in real:
                yield from find_missing(value, real[key], f"{place}.{key}")
            else:
                yield f"{place}.{key} is not there"
    elif isinstance(shown, list) and isinstance(real, list):
        for index, (each, other) in enumerate(zip(shown, real, strict=False)):
            yield from find_missing(each, other, f"{place}[{index}]")
        if len(shown) > len(real):
            yield f"{place} has {len(real)} entries"
    elif {type(shown), type(real)} not in ({type(shown)}, {int, float}):
        yield f"{place} is {real!r}, not {shown!r}"


def check_script(reader, text):
    command = [find_node(), "--input-type=module", "--check"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def check_page(reader, text):
    HTMLParser().feed(text)
    assert "<script" in text


CHECKS = {".py": lambda reader, text: ast.parse(text), ".js": check_script, ".html": check_page}
RUNNERS = {"bash": Reader.run_shell, "python": Reader.run_python, "json": Reader.compare, "file": Reader.save}
