"""Draws docs/deployment.svg from what the manifests say.

python -m gaze_tools.deployment_diagram
"""

import subprocess
import sys
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs/deployment.svg"

_LINE_PX = 17
_WIDTH_PX, _HEIGHT_PX = 1180, 530
_FILLS = {"ours": "#e3efff", "theirs": "#f2f2f2", "platform": "#fff6dd"}

Manifest = Mapping[str, Any]


class Deployment:
    """The manifests of one overlay, and what the picture takes from them."""

    def __init__(self, overlay: str) -> None:
        kubectl = Path(sys.executable).with_name("kubectl")
        done = subprocess.run([kubectl, "kustomize", ROOT / overlay], capture_output=True, text=True, check=True)
        self._manifests: list[Manifest] = list(yaml.safe_load_all(done.stdout))
        self.template = self.find("Service", "serving.knative.dev/v1", or_kind="Deployment")["spec"]["template"]
        (self.container,) = self.template["spec"]["containers"]

    def find(self, kind: str, api_version: str = "", *, name: str = "", or_kind: str = "") -> Manifest:
        """Return the first manifest of a kind, or else of another kind."""
        for wanted in (kind, or_kind):
            for manifest in self._manifests:
                is_version = not api_version or wanted != kind or manifest["apiVersion"] == api_version
                if manifest["kind"] == wanted and is_version and manifest["metadata"]["name"].startswith(name):
                    return manifest
        raise LookupError(kind)

    def scaling(self, key: str) -> str:
        """Return one of the annotations about scaling."""
        return str(self.template["metadata"]["annotations"][f"autoscaling.knative.dev/{key}"])


def draw() -> str:
    """Return the picture as SVG."""
    knative, plain = Deployment("knative/overlays/prod"), Deployment("k8s-hpa/overlays/prod")
    scaler = plain.find("HorizontalPodAutoscaler")["spec"]
    balancer = plain.find("Service", "v1")["spec"]
    budget = plain.find("PodDisruptionBudget")["spec"]
    spread = [rule["topologyKey"].rpartition("/")[2] for rule in plain.template["spec"]["topologySpreadConstraints"]]
    target = scaler["metrics"][0]["resource"]["target"]["averageUtilization"]
    resources = knative.container["resources"]
    settings = knative.find("ConfigMap", name="gaze-settings")["data"]
    policy = knative.find("NetworkPolicy", name="gaze-function-egress")["spec"]["egress"]
    session_api, aggregator, mongo = (
        f"{rule['to'][0]['ipBlock']['cidr']}, port {rule['ports'][0]['port']}" for rule in policy[1:]
    )
    secret = knative.container["env"][0]["valueFrom"]["secretKeyRef"]["name"]
    bounds = f"{knative.scaling('min-scale')} to {knative.scaling('max-scale')}"
    port = knative.container["ports"][0]["containerPort"]
    context = knative.container["securityContext"]
    probe = knative.container["readinessProbe"]["httpGet"]["path"]
    rollout = knative.find("Service", "serving.knative.dev/v1")["metadata"]["annotations"][
        "serving.knative.dev/rollout-duration"
    ]
    parts = [
        _frame(20, 20, 660, 235, "With Knative: knative/overlays/prod"),
        _frame(20, 290, 660, 220, "Without: k8s-hpa/overlays/prod"),
        _box(40, 110, 130, ["API gateway"], "theirs"),
        _box(220, 75, 190, ["Ingress", "LoadBalancer, domain"], "platform"),
        _box(
            460,
            60,
            200,
            [
                "Knative Service",
                f"{knative.scaling('metric')} {knative.scaling('target')} %, {bounds} pods",
                f"new revision: {rollout}",
            ],
            "ours",
        ),
        _box(
            460,
            165,
            200,
            [
                "queue-proxy",
                f"{knative.template['spec']['containerConcurrency']} requests at a time",
                f"at most {knative.template['spec']['timeoutSeconds']} s each",
            ],
            "platform",
        ),
        _box(40, 385, 130, ["API gateway", *balancer["loadBalancerSourceRanges"]], "theirs"),
        _box(220, 375, 190, [f"Service {balancer['type']}", f"port {balancer['ports'][0]['port']}"], "ours"),
        _box(
            460,
            340,
            200,
            [
                "Deployment and autoscaler",
                f"cpu {target} %, {scaler['minReplicas']} to {scaler['maxReplicas']} pods",
                f"disruption: {budget['maxUnavailable']} at most",
                f"spread over {', '.join(spread)}",
                f"ends in {plain.template['spec']['terminationGracePeriodSeconds']} s",
            ],
            "ours",
        ),
        _box(
            720,
            175,
            200,
            [
                "Pod: the same container",
                f"port {port}, {probe}",
                f"CPU {resources['requests']['cpu']} to {resources['limits']['cpu']}",
                f"memory {resources['requests']['memory']} to {resources['limits']['memory']}",
                f"{settings['LANDMARKERS']} landmarkers",
                f"{settings['SCORING_PLACES']} last frames wait",
                f"{settings['THREADS']} threads",
                f"user {context['runAsUser']}, root read-only",
            ],
            "ours",
        ),
        _box(945, 40, 215, ["Session API", session_api, settings["SESSION_API_URL"]], "theirs"),
        _box(945, 150, 215, ["Result aggregator", aggregator, settings["AGGREGATOR_URL"]], "theirs"),
        _box(945, 260, 215, ["MongoDB", mongo, f"secret {secret}"], "theirs"),
        _box(945, 370, 215, ["DNS", "of the cluster"], "platform"),
        _text(945, 450, "All other ways out are closed", "#b00020"),
        _text(
            945,
            450 + _LINE_PX,
            f"by {knative.find('NetworkPolicy', name='gaze-function-egress')['metadata']['name']}.",
            "#b00020",
        ),
        *(
            _arrow(*points)
            for points in (
                (170, 127, 220, 105),
                (410, 105, 460, 100),
                (560, 125, 560, 165),
                (660, 197, 720, 230),
                (170, 407, 220, 400),
                (410, 400, 460, 395),
                (660, 390, 720, 300),
                (920, 200, 945, 85),
                (920, 230, 945, 190),
                (920, 270, 945, 295),
                (920, 300, 945, 385),
            )
        ),
    ]
    return "\n".join([_head(), *parts, "</svg>", ""])


def _head() -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH_PX} {_HEIGHT_PX}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="12">\n'
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse"><path d="M0 0 10 5 0 10z" fill="#444"/></marker></defs>\n'
        f'<rect width="{_WIDTH_PX}" height="{_HEIGHT_PX}" fill="#fff"/>'
    )


def _frame(x: int, y: int, width: int, height: int, title: str) -> str:
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="none" stroke="#999" '
        f'stroke-dasharray="5 4"/>\n' + _text(x + 12, y + 20, title, "#666")
    )


def _box(x: int, y: int, width: int, lines: list[str], owner: str) -> str:
    """Return a box with a bold first line, as high as its lines need."""
    height = _LINE_PX * len(lines) + 14
    text = [
        _text(x + 10, y + 20 + _LINE_PX * number, line, "#111", is_bold=number == 0)
        for number, line in enumerate(lines)
    ]
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="{_FILLS[owner]}" stroke="#777"/>\n'
        + "\n".join(text)
    )


def _text(x: int, y: int, text: str, colour: str, *, is_bold: bool = False) -> str:
    weight = ' font-weight="bold"' if is_bold else ""
    return f'<text x="{x}" y="{y}" fill="{colour}"{weight}>{escape(text)}</text>'


def _arrow(from_x: int, from_y: int, to_x: int, to_y: int) -> str:
    return f'<path d="M{from_x} {from_y} {to_x} {to_y}" stroke="#444" marker-end="url(#tip)"/>'


if __name__ == "__main__":
    PICTURE.write_text(draw())
    print(f"wrote {PICTURE.relative_to(ROOT)}")
