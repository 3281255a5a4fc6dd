"""The manifests, rendered and parsed."""

import os
import pickle
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import kubernetes_validate.utils
import pytest
import yaml

ROOT = Path(__file__).parents[2]
KUBECTL = Path(sys.executable).with_name("kubectl")


COMPONENTS = ROOT / "knative/components"

# Written in C where PyYAML has it: the pure Python of `safe_load` takes half of the time of these tests.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@cache
def render_text(overlay):
    """Return what `kubectl kustomize` makes of a folder."""
    done = subprocess.run([KUBECTL, "kustomize", ROOT / overlay], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def parse(text):
    """Return manifests by kind and name, which a test may change."""
    return pickle.loads(_parse_once(text))


@cache
def _parse_once(text):
    manifests = list(yaml.load_all(text, LOADER))
    found = {
        (manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in manifests
    }
    assert len(found) == len(manifests)
    return pickle.dumps(found)


@cache
def render_extended(overlay, components):
    """Return what an overlay becomes with optional components, such as `lite+monitoring`, as text."""
    with tempfile.TemporaryDirectory() as folder:
        folders = {"resources": [ROOT / overlay], "components": [COMPONENTS / name for name in components.split("+")]}
        layers = {
            kind: [os.path.relpath(path.resolve(), Path(folder).resolve()) for path in paths]
            for kind, paths in folders.items()
        }
        (Path(folder) / "kustomization.yaml").write_text(yaml.safe_dump(layers))
        return render_text(Path(folder))


@pytest.fixture(scope="session", autouse=True)
def schemas_are_read_once():
    """Without this, kubernetes_validate reads all definitions of a version again for each manifest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kubernetes_validate.utils, "schema_contents", cache(kubernetes_validate.utils.schema_contents))
        yield


@pytest.fixture
def render():
    """Return a function from an overlay's folder to its manifests, by kind and name."""
    return lambda overlay: parse(render_text(overlay))


@pytest.fixture
def extend():
    """Return a function from an overlay and components to their manifests, by kind and name."""
    return lambda overlay, components: parse(render_extended(overlay, components))


@pytest.fixture
def render_as_text():
    return render_text
