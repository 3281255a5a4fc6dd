"""Write a bill of materials of an image's Python packages and models as CycloneDX 1.6 JSON.

    python .ci/sbom.py OUT.json [requirements-lite.lock]

Packages, versions and hashes come from the lock, requirements.lock by default; licences and bundled system libraries
from the installed packages; models from their cards. Debian packages of the base image are not included.
"""

import json
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

ROOT = Path(__file__).parents[1]
BUILD_ONLY = {"setuptools"}


def main() -> None:
    """Write the file named on the command line."""
    if len(sys.argv) not in (2, 3):
        sys.exit(f"usage: {sys.argv[0]} OUT.json [LOCK]")
    out, lock = Path(sys.argv[1]), ROOT / (sys.argv[2] if len(sys.argv) > 2 else "requirements.lock")
    out.parent.mkdir(parents=True, exist_ok=True)
    bom = build_bom(lock)
    JsonV1Dot6(bom).output_to_file(str(out), allow_overwrite=True, indent=2)
    print(f"{out}: {len(bom.components)} components")  # noqa: T201


def build_bom(lock: Path) -> Bom:
    """Return the bill of materials of the function's image."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    function = Component(
        name="gaze-function",
        version=project["version"],
        type=ComponentType.APPLICATION,
        licenses=[LicenseFactory().make_from_string(project["license"])],
        bom_ref="gaze-function",
    )
    bom = Bom(components=[*describe_packages(lock), *describe_models()])
    bom.metadata.component = function
    bom.register_dependency(function, bom.components)
    return bom


def describe_packages(lock: Path) -> Iterable[Component]:
    """Yield each locked package with the hashes of its wheels."""
    text = lock.read_text(encoding="utf-8").replace("\\\n", "")
    for pin, *hashes in (line.split() for line in text.splitlines() if not line.startswith("#")):
        name, version = pin.split("==")
        if name in BUILD_ONLY:
            continue
        installed = distribution(name)
        if installed.version != version:
            sys.exit(f"{name} {installed.version} is installed, but {lock.name} has {version}: run make again")
        yield Component(
            name=name,
            version=version,
            licenses=[LicenseFactory().make_from_string(read_license(installed))],
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=each.rpartition(":")[2]) for each in hashes],
            purl=PackageURL("pypi", None, name.lower().replace("_", "-"), version),
            bom_ref=f"pypi:{name}",
            components=describe_bundled_libraries(installed),
        )


def read_license(installed: Distribution) -> str:
    """Return a package's licence: its SPDX expression, else a one-line name, else its classifiers."""
    metadata = installed.metadata
    if expression := metadata.get("License-Expression"):
        return expression
    name = metadata.get("License", "").strip()
    classified = [
        line.rpartition(" :: ")[2] for line in metadata.get_all("Classifier", []) if line.startswith("License ::")
    ]
    if name and "\n" not in name:
        return name
    return " and ".join(classified) or "not declared"


def describe_bundled_libraries(installed: Distribution) -> list[Component]:
    """Return the system libraries bundled in a wheel, as recorded by auditwheel."""
    described = {}
    for path in installed.files or ():
        if path.name == "auditwheel.cdx.json":
            for component in json.loads(path.read_text())["components"]:
                purl = PackageURL.from_string(component["purl"])
                if purl.type != "pypi":  # the wheel itself is listed too
                    described[purl.to_string()] = Component(
                        name=component["name"],
                        version=component["version"],
                        purl=purl,
                        bom_ref=f"{installed.name}:{purl.to_string()}",
                    )
    return list(described.values())


def describe_models() -> Iterable[Component]:
    """Yield each model file with digest and licence from its card."""
    for path in sorted((ROOT / "models").glob("*.json")):
        card = json.loads(path.read_text(encoding="utf-8"))
        for model in filter(None, (card.get("model", card), card.get("onnx"))):
            yield Component(
                name=model["file"],
                type=ComponentType.MACHINE_LEARNING_MODEL,
                licenses=[LicenseFactory().make_from_string(card["license"])],
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=model["sha256"])],
                bom_ref=f"model:{model['file']}",
            )


if __name__ == "__main__":
    main()
