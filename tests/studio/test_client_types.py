"""gaze-client.d.ts compiles, and describes what a TypeScript program needs."""

import re
import shutil
import subprocess

import pytest

from gaze_tools.studio.gateway import PAGE
from tests.node import find_node, install
from tests.running import ROOT

TYPESCRIPT = {
    "typescript@6.0.3": {
        "lib/_tsc.js": "1cd7032c3a05d9373c4d1b12334f29f140e01e5c612e16c35187af4304a0055c"
        "31c95bd4ebdb9e026b949706b7917ddc0aeac78771fe3c85bcaba59ee8d2e545",
    }
}
USAGE = ROOT / "tests/studio/usage.ts"


def test_every_export_is_used():
    declared = re.findall(r"^export (?:function|class) (\w+)", (PAGE / "gaze-client.d.ts").read_text(), re.MULTILINE)
    imported = re.findall(r"^  (\w+),$", USAGE.read_text(), re.MULTILINE)

    assert set(declared) - set(imported) == set()


def read_class(source, name):
    return re.search(rf"^export class {name}\b.*?^}}", source, re.MULTILINE | re.DOTALL)[0]


def test_every_declared_member_is_in_the_client():
    source, types = ((PAGE / f"gaze-client.{suffix}").read_text(encoding="utf-8") for suffix in ("js", "d.ts"))
    absent = [
        f"{name}.{member}"
        for name in re.findall(r"^export class (\w+)", types, re.MULTILINE)
        for member in re.findall(r"^  (?:static |readonly )*(\w+)[(:]", read_class(types, name), re.MULTILINE)
        if not re.search(rf"\b{member}\b", read_class(source, name))
    ]

    assert "export class Viewing" in types
    assert absent == []


@pytest.mark.slow
def test_a_strict_program_compiles(tmp_path):
    compiler = install(TYPESCRIPT, tmp_path) / "typescript/lib/tsc.js"
    for path in (PAGE / "gaze-client.d.ts", USAGE):
        shutil.copy(path, tmp_path)
    options = ["--strict", "--noEmit", "--noUnusedLocals", "--exactOptionalPropertyTypes", "--target", "es2022"]
    options += ["--module", "es2022", "--moduleResolution", "bundler", "--lib", "es2022,dom"]
    command = [find_node(), str(compiler), *options, "usage.ts"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100)

    assert done.returncode == 0, done.stdout
