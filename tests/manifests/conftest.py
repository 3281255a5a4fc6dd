"""The manifests, rendered and parsed."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
KUBECTL = Path(sys.executable).with_name("kubectl")


@cache
def render_text(overlay):
    """Return what `kubectl kustomize` makes of a folder."""
    done = subprocess.run([KUBECTL, "kustomize", ROOT / overlay], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def render():
    """Return a function from an overlay's folder to its manifests, by kind and name."""

    def by_kind_and_name(overlay):
        manifests = list(yaml.safe_load_all(render_text(overlay)))
        found = {
            (manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in manifests
        }
        assert len(found) == len(manifests)
        return found

    return by_kind_and_name


@pytest.fixture
def render_as_text():
    return render_text
