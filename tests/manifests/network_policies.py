"""Evaluates NetworkPolicies as Kubernetes defines them, for pods and addresses that tests describe."""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Manifest = Mapping[str, Any]
NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class Pod:
    """A pod: its namespace, its own labels and those of its namespace."""

    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)
    namespace_labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Address:
    """An address that belongs to no pod."""

    ip: str


@dataclass(frozen=True)
class Node:
    """The pod's own node with its kubelet, which policies never block."""


Peer = Pod | Address | Node


def may_enter(policies: Iterable[Manifest], source: Peer, pod: Pod, port: int, protocol: str = "TCP") -> bool:
    """Return whether a peer may open a connection to a pod's port."""
    return _is_allowed(policies, pod, source, port, protocol, direction="Ingress")


def may_leave(policies: Iterable[Manifest], pod: Pod, target: Peer, port: int, protocol: str = "TCP") -> bool:
    """Return whether a pod may open a connection to a peer's port."""
    return _is_allowed(policies, pod, target, port, protocol, direction="Egress")


def _is_allowed(
    policies: Iterable[Manifest], pod: Pod, peer: Peer, port: int, protocol: str, *, direction: str
) -> bool:
    if isinstance(peer, Node):
        return True
    effective = [
        policy
        for policy in policies
        if policy["metadata"]["namespace"] == pod.namespace
        and direction in policy["spec"]["policyTypes"]
        and _is_selected(policy["spec"]["podSelector"], pod.labels)
    ]
    if not effective:
        return True
    rules, peers = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
    return any(
        _has_port(rule.get("ports"), port, protocol) and _has_peer(rule.get(peers), peer, pod.namespace)
        for policy in effective
        for rule in policy["spec"].get(rules) or []
    )


def _has_port(ports: list[Manifest] | None, port: int, protocol: str) -> bool:
    if not ports:  # a rule without ports allows all
        return True
    for each in ports:
        if not isinstance(each["port"], int):
            raise TypeError(f"named ports are not supported: {each['port']}")
    return any(
        each["port"] <= port <= each.get("endPort", each["port"]) and each.get("protocol", "TCP") == protocol
        for each in ports
    )


def _has_peer(peers: list[Manifest] | None, peer: Peer, namespace: str) -> bool:
    return not peers or any(_is_peer(each, peer, namespace) for each in peers)


def _is_peer(described: Manifest, peer: Peer, namespace: str) -> bool:
    if "ipBlock" in described:
        if not isinstance(peer, Address):
            return False  # pods have addresses of their own, outside all blocks of these tests
        address = ipaddress.ip_address(peer.ip)
        block = described["ipBlock"]
        return address in ipaddress.ip_network(block["cidr"]) and not any(
            address in ipaddress.ip_network(each) for each in block.get("except", [])
        )
    if not isinstance(peer, Pod):
        return False
    if "namespaceSelector" in described:
        labels = {NAME: peer.namespace, **peer.namespace_labels}
        is_there = _is_selected(described["namespaceSelector"], labels)
    else:
        is_there = peer.namespace == namespace
    return is_there and _is_selected(described.get("podSelector", {}), peer.labels)


def _is_selected(selector: Manifest, labels: Mapping[str, str]) -> bool:
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        _meets(each, labels) for each in selector.get("matchExpressions", [])
    )


def _meets(expression: Manifest, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values", [])
    match expression["operator"]:
        case "In":
            return value in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    raise ValueError(f"unknown operator {expression['operator']}")
