"""Who owns which field of an object: what the API server does for server-side apply, with lists as one field."""

import copy


def flatten(value, path=()):
    """Yield the fields of an object with their paths."""
    if isinstance(value, dict) and value:
        for key, child in value.items():
            yield from flatten(child, (*path, key))
    else:
        yield path, value


def look_up(value, path):
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return value


def store(value, path, leaf):
    for key in path[:-1]:
        value = value.setdefault(key, {})
    value[path[-1]] = copy.deepcopy(leaf)


def remove(value, path):
    for key in path[:-1]:
        value = value.get(key, {})
    value.pop(path[-1], None)


class OwnedObject:
    """An object and the owners of its fields."""

    def __init__(self):
        self.content = {}
        self._owners = {}

    def apply(self, manifest, manager, *, is_forced):
        """Apply a manifest; return the managers that it conflicts with, and change nothing then."""
        me = (manager, "Apply")
        fields = dict(flatten(manifest))
        conflicts = {
            owner
            for path, leaf in fields.items()
            for owner in self._owners.get(path, set()) - {me}
            if look_up(self.content, path) != leaf
        }
        if conflicts and not is_forced:
            return {name for name, _ in conflicts}
        for path, owners in list(self._owners.items()):
            if me in owners and path not in fields:
                owners.discard(me)
                if not owners:
                    remove(self.content, path)
                    del self._owners[path]
        for path, leaf in fields.items():
            if look_up(self.content, path) != leaf:
                self._owners[path] = set()
                store(self.content, path, leaf)
            self._owners.setdefault(path, set()).add(me)
        return set()

    def update(self, patch, manager):
        """Merge a patch."""
        for path, leaf in flatten(patch):
            if leaf == {}:
                continue  # merges nothing
            if leaf is None:
                remove(self.content, path)
                self._owners.pop(path, None)
            elif look_up(self.content, path) != leaf:
                store(self.content, path, leaf)
                self._owners[path] = {(manager, "Update")}

    def replace(self, manifest, manager):
        """Replace everything, as `func` does with a Service it has read and changed."""
        self.content = copy.deepcopy(manifest)
        self._owners = {path: {(manager, "Update")} for path, _ in flatten(manifest)}
