"""What func.yaml may say, after func's published schema; func's command line accepts unknown keys silently."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from tests.manifests.knative_rules import QUANTITY, Rule

IMAGE = r"^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)+(:[A-Za-z0-9._-]+)?(@sha256:[0-9a-f]{64})?$"


class Variable(Rule):
    name: str = Field(pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$")
    value: str = Field(pattern=r"^([^{].*|\{\{ (secret|configMap):[a-z0-9-]+:[A-Za-z0-9_.-]+ \}\})$")


class Build(Rule):
    builder: Literal["pack", "s2i", "host"]
    base_image: str | None = Field(None, pattern=IMAGE)
    build_envs: list[Variable] = Field(default_factory=list)


class Run(Rule):
    envs: list[Variable] = Field(default_factory=list)
    start_timeout: int | None = None


class Scale(Rule):
    """There is no metric `cpu`; with the cluster's class for Kubernetes' autoscaler there must be none at all."""

    min: int = Field(ge=0)
    max: int = Field(ge=0)
    metric: Literal["concurrency", "rps"] | None = None
    target: float | int | None = Field(None, ge=0.01)
    utilization: float | None = Field(None, ge=1, le=100)


class Requests(Rule):
    cpu: str = Field(pattern=QUANTITY)
    memory: str = Field(pattern=QUANTITY)


class Limits(Requests):
    concurrency: Literal[0]  # as in the Knative Service


class Resources(Rule):
    requests: Requests
    limits: Limits


class Options(Rule):
    scale: Scale
    resources: Resources


class HealthEndpoints(Rule):
    liveness: str = Field(pattern="^/")
    readiness: str = Field(pattern="^/")


class Label(Rule):
    key: str
    value: str


def _check_annotations(annotations: dict[str, str]) -> dict[str, str]:
    if misplaced := [key for key in annotations if key.startswith("autoscaling.knative.dev/")]:
        raise ValueError(f"func also puts {misplaced} on the Service, where Serving rejects them")
    return annotations


class Deploy(Rule):
    namespace: str
    service_account_name: str
    annotations: Annotated[dict[str, str], AfterValidator(_check_annotations)] = Field(default_factory=dict)
    labels: list[Label] = Field(default_factory=list)
    options: Options
    health_endpoints: HealthEndpoints


class FuncYaml(Rule):
    spec_version: str = Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")
    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    domain: str | None = None
    runtime: Literal["python"]
    registry: str
    image: str | None = Field(None, pattern=IMAGE)
    namespace: str
    created: datetime
    invoke: Literal["http", "cloudevent"] = "http"
    build: Build
    run: Run
    deploy: Deploy


def check_func_yaml(content: dict[str, Any]) -> FuncYaml:
    """Return the checked content.

    Raises:
        ValueError: It says something that is not allowed here.
    """
    return FuncYaml.model_validate(content)
