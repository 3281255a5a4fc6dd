"""NetworkPolicies during a deployment: what the old pods need stays allowed until they no longer serve."""

import copy

from gaze_tools.deploy.kubectl import Kubectl, Manifest


class PolicyChange:
    """Changes the NetworkPolicies of an overlay in two steps, or back.

    A policy selects the old and the new pods alike. Rules for a new address have to be there before the new pods start,
    and rules for the old one have to stay while the old pods serve.
    """

    def __init__(self, kubectl: Kubectl, policies: tuple[Manifest, ...]) -> None:
        self._kubectl = kubectl
        self._policies = policies
        self._before: dict[str, Manifest] = {}

    def widen(self) -> None:
        """Allow what the old and the new policies allow; new policies are created as they are."""
        for policy in self._policies:
            name = policy["metadata"]["name"]
            if (found := self._kubectl.find(f"networkpolicies.networking.k8s.io/{name}")) is not None:
                self._before[name] = found["spec"]
        self._kubectl.apply([widen(policy, self._before.get(policy["metadata"]["name"])) for policy in self._policies])

    def finish(self) -> None:
        """Allow only what the new policies allow."""
        self._kubectl.apply(self._policies)

    def undo(self) -> None:
        """Allow only what the old policies allowed."""
        for name, spec in self._before.items():
            rules = {"egress": None, "ingress": None, **spec}
            self._kubectl.patch(f"networkpolicies.networking.k8s.io/{name}", {"spec": rules})


def widen(policy: Manifest, old_spec: Manifest | None) -> Manifest:
    """Return a policy with the rules of its old version added.

    A direction that one of the two does not restrict stays unrestricted.
    """
    widened = copy.deepcopy(policy)
    if old_spec is None:
        return widened
    spec = widened["spec"]
    spec["policyTypes"] = [kind for kind in spec["policyTypes"] if kind in old_spec["policyTypes"]]
    for direction in ("egress", "ingress"):
        if direction.capitalize() in spec["policyTypes"]:
            rules = spec.get(direction, [])
            spec[direction] = rules + [rule for rule in old_spec.get(direction, []) if rule not in rules]
        else:
            spec.pop(direction, None)
    return widened
