"""A film as the page of the studio lists it."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class StudioFilm:
    """A film as the page lists it.

    Attributes:
        film_id: Id of the film and of its saliency maps.
        title: Name for the viewer.
        state: `preparing`, `ready`, `failed`, or `no_maps` for a film that was ready and has lost its maps.
        progress: Share of the preparation that is done, 0 to 1.
        problem: Why it cannot be watched; None if it can.
        reason: The same as a code: `unreadable`, `maps_failed`, `disk_full`, `no_maps`; None if it can be watched.
        notes: What a viewer should know: `damaged`, `short`.
        duration_s: Duration.
        width: Width in pixels.
        height: Height in pixels.
    """

    film_id: str
    title: str
    state: str = "preparing"
    progress: float = 0.0
    problem: str | None = None
    duration_s: float | None = None
    width: int = 0
    height: int = 0
    reason: str | None = None
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the film as JSON."""
        return asdict(self)


def read_film(text: bytes, film_id: str) -> StudioFilm:
    """Return a film from its file; fields of later versions are left out.

    Raises:
        ValueError: The file is malformed, or that of another film.
    """
    try:
        stored = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"the file of the film {film_id} is nested too deeply") from error
    if not isinstance(stored, dict) or stored.get("film_id") != film_id:
        raise ValueError(f"this is not the file of the film {film_id}")
    known = {each.name: stored[each.name] for each in fields(StudioFilm) if each.name in stored}
    try:
        return StudioFilm(**{**known, "notes": tuple(known.get("notes", ()))})
    except TypeError as error:
        raise ValueError(f"the file of the film {film_id} lacks a field") from error
