"""The lock, the bill of materials and the configuration of the project's robots."""

import json
import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.manifests.conftest import ROOT

LOCK = (ROOT / "requirements.lock").read_text()
LITE_LOCK = (ROOT / "requirements-lite.lock").read_text()
PINS = (ROOT / "constraints.txt").read_text().split()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("lock", [LOCK, LITE_LOCK], ids=["standard", "lite"])
def test_every_pin_of_a_lock_is_one_of_the_constraints(lock):
    locked = re.findall(r"^([^#\s]\S*) ", lock, re.MULTILINE)

    assert len(locked) > 30
    assert sorted(set(locked) - set(PINS)) == []


def test_the_lock_has_what_the_function_depends_on():
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["serve"], "mediapipe", "setuptools"]
    names = {re.match(r"[\w.-]+", line)[0].lower().replace("-", "_") for line in wanted}

    assert names <= {name.lower().replace("-", "_") for name in re.findall(r"^([\w.-]+)==", LOCK, re.MULTILINE)}


def test_the_lite_lock_has_litert_instead_of_mediapipe_and_scikit_learn():
    standard, lite = (set(re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)) for lock in (LOCK, LITE_LOCK))

    assert standard - lite == {
        "cloudpickle",
        "joblib",
        "mediapipe",
        "narwhals",
        "scikit-learn",
        "scipy",
        "threadpoolctl",
    }
    assert "ai-edge-litert" in lite - standard


@pytest.mark.parametrize("lock", [LOCK, LITE_LOCK], ids=["standard", "lite"])
def test_a_lock_is_pins_and_hashes_and_nothing_else(lock):
    lines = [line.removesuffix(" \\") for line in lock.splitlines() if not line.startswith("#")]

    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+|    --hash=sha256:[0-9a-f]{64}", line)] == []


def test_the_constraints_are_pins_and_nothing_else():
    assert [pin for pin in PINS if not re.fullmatch(r"[\w.-]+==[\w.]+", pin)] == []


@pytest.mark.parametrize("lock", [LOCK, LITE_LOCK], ids=["standard", "lite"])
def test_every_locked_package_has_a_hash(lock):
    entries = lock[lock.index("\n", lock.rindex("# ")) :].replace("\\\n", "").split("\n")

    assert all("--hash=sha256:" in entry for entry in entries if entry)


@pytest.fixture(scope="module")
def bom(tmp_path_factory):
    path = tmp_path_factory.mktemp("sbom") / "sbom.cdx.json"
    subprocess.run([sys.executable, ROOT / ".ci/sbom.py", path], check=True, timeout=60, cwd=ROOT)
    return path.read_text()


def test_the_bill_of_materials_follows_the_cyclonedx_schema(bom):
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bom) is None


def test_it_names_every_locked_package_but_the_build_tool(bom):
    components = {f"{each['name']}=={each['version']}" for each in json.loads(bom)["components"] if "version" in each}

    assert components == {pin for pin in re.findall(r"^([\w.-]+==\S+)", LOCK, re.MULTILINE) if "setuptools" not in pin}


def test_the_lite_image_has_a_bill_of_materials_too(tmp_path):
    path = tmp_path / "sbom.cdx.json"
    command = [sys.executable, ROOT / ".ci/sbom.py", path, "requirements-lite.lock"]
    subprocess.run(command, check=True, timeout=60, cwd=ROOT)

    names = {each["name"] for each in json.loads(path.read_text())["components"]}
    assert "ai-edge-litert" in names
    assert "mediapipe" not in names


def test_it_names_every_model_with_its_digest(bom):
    models = {
        each["name"]: each["hashes"][0]["content"]
        for each in json.loads(bom)["components"]
        if each["type"] == "machine-learning-model"
    }
    shipped = {path.name for kind in ("joblib", "task", "onnx") for path in (ROOT / "models").glob(f"*.{kind}")}

    assert set(models) == shipped
    assert models["face_landmarker.task"] == "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"


def test_it_names_the_openssl_that_opencv_bundles(bom):
    (opencv,) = [each for each in json.loads(bom)["components"] if each["name"] == "opencv-python-headless"]

    assert "openssl-libs" in {each["name"] for each in opencv["components"]}


def test_every_component_has_a_licence(bom):
    assert [each["name"] for each in json.loads(bom)["components"] if not each.get("licenses")] == []


ROBOTS = [
    ".pre-commit-config.yaml",
    "CITATION.cff",
    *(str(p.relative_to(ROOT)) for p in (ROOT / ".github").rglob("*.y*ml")),
]


@pytest.mark.parametrize("name", sorted(ROBOTS))
def test_it_is_yaml(name):
    assert isinstance(yaml.safe_load((ROOT / name).read_text()), dict)


def test_the_workflow_runs_what_must_pass_on_both_pythons():
    job = yaml.safe_load((ROOT / ".github/workflows/ci.yaml").read_text())["jobs"]["run"]

    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12"]
    assert job["steps"][-1]["run"].endswith(" .ci/run")


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    image = re.search(r"^ARG VERSION=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[1]
    released, date = re.search(r"^## (\d\S+) \((\S+)\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE).groups()

    assert {citation["version"], image, released} == {PROJECT["version"]}
    assert str(citation["date-released"]) == date


@pytest.mark.parametrize("package", ["func", "gaze_core", "models"])
def test_the_package_ships_its_types(package):
    assert (ROOT / package / "py.typed").exists()
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "py.typed" in settings["tool"]["setuptools"]["package-data"][package]
