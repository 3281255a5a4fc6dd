"""What a Knative Service of ours may say: an allow-list, since Serving accepts some things that then do not work.

Nothing on PyPI checks a Knative Service. What Serving rejects, what it accepts and ignores, and what it accepts and
hangs on was seen on a real control plane; each of it is a failing example in `test_knative.py`.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

PERCENT = r"^(100|[1-9]?[0-9])$"
WHOLE = r"^[1-9][0-9]*$"
QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|Ki|Mi|Gi)?$"
SET_BY_SERVING = frozenset({"PORT", "K_SERVICE", "K_CONFIGURATION", "K_REVISION"})

_AUTOSCALING = "autoscaling.knative.dev/"


class Rule(BaseModel):
    """A part of a manifest: no key that it does not name, in camel case, and no value of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class HpaAnnotations(Rule):
    """All that a revision may say about scaling; Serving accepts a misspelt metric and then never scales."""

    scaler: Literal["hpa.autoscaling.knative.dev"] = Field(alias="class")
    metric: Literal["cpu"]
    target: str = Field(pattern=PERCENT)  # without it Serving takes 80
    min_scale: str = Field(alias="min-scale", pattern=WHOLE)  # this class never scales to zero
    max_scale: str = Field(alias="max-scale", pattern=WHOLE)

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        if int(self.max_scale) < int(self.min_scale):
            raise ValueError("max-scale is below min-scale")
        return self


def _check_service_annotations(annotations: dict[str, str]) -> dict[str, str]:
    if misplaced := [key for key in annotations if key.startswith(_AUTOSCALING)]:
        raise ValueError(f"Serving rejects {misplaced} here; they belong to the template")
    return annotations


def _check_template_annotations(annotations: dict[str, str]) -> dict[str, str]:
    HpaAnnotations.model_validate(
        {key.removeprefix(_AUTOSCALING): value for key, value in annotations.items() if key.startswith(_AUTOSCALING)}
    )
    return annotations


class ServiceMetadata(Rule):
    name: str = Field(pattern=r"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$")
    namespace: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: Annotated[dict[str, str], AfterValidator(_check_service_annotations)] = Field(default_factory=dict)


class TemplateMetadata(Rule):
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: Annotated[dict[str, str], AfterValidator(_check_template_annotations)]


class HttpGet(Rule):
    path: str = Field(pattern="^/")
    port: int  # required: a startup probe without one is accepted and hangs the revision for ever


class Probe(Rule):
    """An HTTP probe with explicit times."""

    http_get: HttpGet
    period_seconds: int = Field(ge=1)
    timeout_seconds: int = Field(ge=1)
    failure_threshold: int = Field(ge=1)


class Port(Rule):
    name: Literal["http1", "h2c"]  # `http` is rejected
    container_port: int
    protocol: Literal["TCP"] = "TCP"


class KeyReference(Rule):
    name: str
    key: str
    optional: bool = False


class ValueSource(Rule):
    secret_key_ref: KeyReference | None = None
    config_map_key_ref: KeyReference | None = None


def _refuse_reserved(name: str) -> str:
    if name in SET_BY_SERVING:
        raise ValueError(f"{name} is Serving's to set")
    return name


class Variable(Rule):
    name: Annotated[str, AfterValidator(_refuse_reserved)]
    value: str | None = None
    value_from: ValueSource | None = None


class ObjectReference(Rule):
    name: str


class VariablesSource(Rule):
    config_map_ref: ObjectReference | None = None
    secret_ref: ObjectReference | None = None


class Amounts(Rule):
    cpu: str = Field(pattern=QUANTITY)  # the autoscaler measures against the request
    memory: str = Field(pattern=QUANTITY)


class Resources(Rule):
    requests: Amounts
    limits: Amounts


class Capabilities(Rule):
    drop: list[Literal["ALL"]] = Field(min_length=1)


class Seccomp(Rule):
    type: Literal["RuntimeDefault"]


class SecurityContext(Rule):
    """Everything that Serving would otherwise warn about, and a read-only root."""

    allow_privilege_escalation: Literal[False]
    read_only_root_filesystem: Literal[True]
    run_as_non_root: Literal[True]
    run_as_user: int = Field(ge=1)
    run_as_group: int = Field(ge=1)
    capabilities: Capabilities
    seccomp_profile: Seccomp


class Container(Rule):
    """One container. `lifecycle` and volumes are left out: Serving rejects the one, we need none of the other."""

    name: str
    image: str
    ports: list[Port] = Field(min_length=1, max_length=1)
    env: list[Variable] = Field(default_factory=list)
    env_from: list[VariablesSource] = Field(default_factory=list)
    resources: Resources
    startup_probe: Probe
    readiness_probe: Probe
    liveness_probe: Probe
    security_context: SecurityContext

    @model_validator(mode="after")
    def _check_probes_hit_the_port(self) -> Self:
        for probe in (self.startup_probe, self.readiness_probe, self.liveness_probe):
            if probe.http_get.port != self.ports[0].container_port:
                raise ValueError(f"a probe asks port {probe.http_get.port}")
        return self


class RevisionSpec(Rule):
    """A revision. Affinity, topology spread and the pod's security context would need Serving's feature flags."""

    service_account_name: str
    enable_service_links: Literal[False]
    # With a limit, waiting last frames would take places of frames, and queue-proxy would queue ten times as many
    # requests that the function would refuse.
    container_concurrency: Literal[0]
    timeout_seconds: int = Field(ge=1, le=600)
    response_start_timeout_seconds: int = Field(ge=1, le=600)  # without it the cluster's default ends last frames
    containers: list[Container] = Field(min_length=1, max_length=1)


class Template(Rule):
    metadata: TemplateMetadata
    spec: RevisionSpec


class Traffic(Rule):
    latest_revision: Literal[True]
    percent: Literal[100]


class ServiceSpec(Rule):
    template: Template
    traffic: list[Traffic] = Field(min_length=1, max_length=1)


class Service(Rule):
    api_version: Literal["serving.knative.dev/v1"]
    kind: Literal["Service"]
    metadata: ServiceMetadata
    spec: ServiceSpec


class DomainReference(Rule):
    api_version: Literal["serving.knative.dev/v1"]
    kind: Literal["Service"]
    name: str


class TlsSecret(Rule):
    secret_name: str


class DomainMappingSpec(Rule):
    ref: DomainReference
    tls: TlsSecret


class DomainAnnotations(Rule):
    http_protocol: Literal["redirected"] = Field(alias="networking.knative.dev/http-protocol")


class ClaimSpec(Rule):
    namespace: str


class DomainMetadata(Rule):
    name: str = Field(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$")
    namespace: str | None = None


class MappingMetadata(DomainMetadata):
    annotations: DomainAnnotations


class DomainMapping(Rule):
    api_version: Literal["serving.knative.dev/v1beta1"]
    kind: Literal["DomainMapping"]
    metadata: MappingMetadata
    spec: DomainMappingSpec


class ClusterDomainClaim(Rule):
    api_version: Literal["networking.internal.knative.dev/v1alpha1"]
    kind: Literal["ClusterDomainClaim"]
    metadata: DomainMetadata
    spec: ClaimSpec


_RULES: dict[str, type[Rule]] = {
    "Service": Service,
    "DomainMapping": DomainMapping,
    "ClusterDomainClaim": ClusterDomainClaim,
}


def is_knative(manifest: dict[str, Any]) -> bool:
    """Return whether a manifest is one of Knative's kinds."""
    return ".knative.dev/" in manifest["apiVersion"]


def check_knative(manifest: dict[str, Any]) -> None:
    """Check a manifest of one of Knative's kinds.

    Raises:
        ValueError: It says something that is not allowed here.
    """
    if manifest["kind"] not in _RULES:
        raise ValueError(f"no rules for {manifest['kind']}")
    _RULES[manifest["kind"]].model_validate(manifest)
