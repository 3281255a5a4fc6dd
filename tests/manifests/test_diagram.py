"""The deployment diagram of docs/operating.md names what the manifests deploy."""

import re

import pytest

from tests.manifests.conftest import ROOT

DIAGRAM = re.search(r"```mermaid\n(.*?)```", (ROOT / "docs/operating.md").read_text(), re.DOTALL)[1]
OVERLAYS = [f"{platform}/overlays/{overlay}" for platform in ("knative", "k8s-hpa") for overlay in ("prod", "dev")]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_service_is_in_the_diagram(render, overlay):
    services = {name for _, kind, name in render(overlay) if kind == "Service"}

    assert {name for name in services if name not in DIAGRAM} == set()


@pytest.mark.parametrize("overlay", ["knative/overlays/prod", "k8s-hpa/overlays/prod"])
def test_every_kind_that_production_deploys_is_in_the_diagram(render, overlay):
    kinds = {kind for _, kind, _ in render(overlay)} - {"Namespace"}

    assert {kind for kind in kinds if kind not in DIAGRAM} == set()


@pytest.mark.parametrize("overlay", ["knative/overlays/prod", "k8s-hpa/overlays/prod"])
def test_every_network_policy_is_in_the_diagram(render, overlay):
    names = {name for _, kind, name in render(overlay) if kind == "NetworkPolicy"}

    assert {name for name in names if name not in DIAGRAM} == set()
