"""Shares of the traffic."""

import math
from collections.abc import Mapping
from typing import Any

Target = dict[str, Any]
"""Entry of a Knative Service's `spec.traffic`."""


def find_tags(spec_traffic: list[Target], latest: str) -> list[Target]:
    """Return the tagged entries, by revision name and without traffic, so that they survive a deployment."""
    return [
        {"tag": entry["tag"], "revisionName": entry.get("revisionName", latest), "percent": 0}
        for entry in spec_traffic
        if entry.get("tag")
    ]


def find_final_tags(spec_traffic: list[Target], overlay_traffic: list[Target]) -> list[Target]:
    """Return the tagged entries for the end of a deployment: those of the latest revision follow it again.

    Args:
        spec_traffic: Traffic of the Service before the deployment.
        overlay_traffic: Traffic that the overlay asks for; Serving rejects a tag that occurs twice.
    """
    own = {entry.get("tag") for entry in overlay_traffic}
    return [
        {"tag": entry["tag"], **_name_target(entry), "percent": 0}
        for entry in spec_traffic
        if entry.get("tag") and entry["tag"] not in own
    ]


def _name_target(entry: Target) -> Target:
    name = entry.get("revisionName")
    return {"revisionName": name} if name else {"latestRevision": True}


def find_shares(status_traffic: list[Target]) -> dict[str, int]:
    """Return the percentage of each revision that serves."""
    shares: dict[str, int] = {}
    for entry in status_traffic:
        if percent := entry.get("percent"):
            shares[entry["revisionName"]] = shares.get(entry["revisionName"], 0) + percent
    return shares


def split_traffic(shares: Mapping[str, int], revision: str, percent: int) -> dict[str, int]:
    """Give a revision a percentage and divide the rest among the others in proportion to what they had."""
    others = {name: share for name, share in shares.items() if name != revision}
    total = sum(others.values())
    rest = 100 - percent if total else 0
    exact = {name: rest * share / total for name, share in others.items()}
    divided = {name: math.floor(share) for name, share in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (divided[name] - exact[name], name))
    for name in by_remainder[: rest - sum(divided.values())]:
        divided[name] += 1
    return {**divided, revision: 100 - rest}


def name_targets(shares: Mapping[str, int]) -> list[Target]:
    """Return traffic entries that name their revisions."""
    return [{"revisionName": name, "percent": share} for name, share in shares.items()]


def without_defaults(spec_traffic: list[Target]) -> list[Target]:
    """Return traffic entries without what Serving adds to those that name their revision."""
    return [
        {key: value for key, value in entry.items() if (key, value) != ("latestRevision", False)}
        for entry in spec_traffic
    ]


def count_needed_pods(serving_pods: int, percent: int) -> int:
    """Return how many pods a percentage of the traffic needs, at the load of each pod that serves it now."""
    return max(1, math.ceil(serving_pods * percent / 100))
