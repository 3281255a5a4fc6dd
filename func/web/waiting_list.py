"""Last frames that wait for the rest of their session: many, but not without bound, and not all of one client."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from func.errors import WaitingListFullError


class WaitingList:
    """Counts waiting last frames in all, by viewer and by peer. Belongs to one event loop."""

    def __init__(self, *, places: int, places_per_viewer: int) -> None:
        """Start empty.

        Args:
            places: In all; one peer may take half of them, unless it is the only one that waits.
            places_per_viewer: For each viewer address that requests name.
        """
        self._places = places
        self._places_per_viewer = places_per_viewer
        self._by_viewer: Counter[str] = Counter()
        self._by_peer: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._by_peer.total()

    @contextmanager
    def enter(self, *, viewer: str, peer: str) -> Iterator[None]:
        """Take a place while the block runs.

        Args:
            viewer: Address that the request names.
            peer: Address of the connection.

        Raises:
            WaitingListFullError: None is left, or this client has all that it may have.
        """
        others = len(self) - self._by_peer[peer]
        if (
            len(self) >= self._places
            or self._by_viewer[viewer] >= self._places_per_viewer
            or (others and self._by_peer[peer] >= self._places // 2)
        ):
            raise WaitingListFullError
        self._by_viewer[viewer] += 1
        self._by_peer[peer] += 1
        try:
            yield
        finally:
            for counter, key in ((self._by_viewer, viewer), (self._by_peer, peer)):
                counter[key] -= 1
                if not counter[key]:
                    del counter[key]
