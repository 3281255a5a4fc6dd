"""Limits on waiting last frames, in total and per client."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from func.errors import WaitingListFullError


class WaitingList:
    """Counts waiting last frames in total, by viewer and by peer. Belongs to one event loop."""

    def __init__(self, *, places: int, places_per_viewer: int) -> None:
        """Create an empty list.

        Args:
            places: Maximum in total. One peer may use half of them, or all if no other peer is waiting.
            places_per_viewer: Maximum per viewer address in the requests.
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
            viewer: Viewer address in the request.
            peer: Peer address of the connection.

        Raises:
            WaitingListFullError: No place is left, in total or for this client.
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
