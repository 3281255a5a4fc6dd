"""Removing a film removes its maps, too: while it is watched or prepared, with the database down, and added again."""

import json
import shutil
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from pymongo import MongoClient

from gaze_core.ports import Session
from gaze_tools.saliency.listing import has_all_maps
from gaze_tools.session.export_file import ExportHeader, write_export
from gaze_tools.studio import films as films_module
from gaze_tools.studio.films import FilmLibrary
from gaze_tools.studio.problems import StudioError
from gaze_tools.studio.removal import RemovalTimes, remove_overlays
from tests.adapters.upstream_services import refused_url
from tests.studio.waiting import end_removals, wait_until

until = partial(wait_until, limit_s=60)

AT_ONCE = RemovalTimes(grace_s=0.0, retry_s=0.02, resume_s=0.0)


@pytest.fixture
def watched():
    return set()


@pytest.fixture
def make_library(database, tmp_path, watched):
    def make(database=database, **options):
        return FilmLibrary(
            tmp_path / "films", database, is_watched=watched.__contains__, removal_times=AT_ONCE, **options
        )

    return make


@pytest.fixture
def library(make_library):
    return make_library()


def add(library, video):
    with video.open("rb") as stream:
        return library.add(video.name, stream).film_id


def prepare(library, video):
    film_id = add(library, video)
    until(lambda: library.get(film_id).state != "preparing")
    assert library.get(film_id).state == "ready"
    return film_id


def is_gone(database, tmp_path, film_id):
    """Return whether nothing is left: files, collection and facts."""
    return (
        not (tmp_path / "films" / film_id).exists()
        and film_id not in database.list_collection_names()
        and database["videos"].find_one({"_id": film_id}) is None
    )


def list_ids(library):
    return [film.film_id for film in library.list_films()]


def test_the_maps_are_gone_with_the_film(library, database, tmp_path, video):
    film_id = prepare(library, video)
    library.remove(film_id)

    assert list_ids(library) == ["sample"]
    until(lambda: is_gone(database, tmp_path, film_id))


def test_running_readers_of_the_maps_may_finish(database, tmp_path, video):
    library = FilmLibrary(tmp_path / "films", database, removal_times=RemovalTimes(grace_s=600.0))
    film_id = prepare(library, video)
    library.remove(film_id)
    until(lambda: not has_all_maps(database, film_id))  # hidden from new readers

    assert database[film_id].count_documents({}) == 6
    assert RemovalTimes().grace_s == 120.0


def test_a_film_that_is_watched_keeps_files_and_maps_until_it_is_scored(library, database, tmp_path, video, watched):
    film_id = prepare(library, video)
    watched.add(film_id)
    library.remove(film_id)
    time.sleep(5 * AT_ONCE.retry_s)

    assert list_ids(library) == ["sample"]
    with pytest.raises(StudioError, match="no such film"):
        library.require_ready(film_id)
    assert has_all_maps(database, film_id)
    assert library.find_playable(film_id).is_file()
    watched.clear()
    until(lambda: is_gone(database, tmp_path, film_id))
    with pytest.raises(StudioError, match="no such film"):
        library.find_playable(film_id)


def test_a_film_whose_directory_is_removed_while_it_is_looked_up_is_gone(
    library, tmp_path, video, watched, monkeypatch
):
    film_id = prepare(library, video)
    watched.add(film_id)
    library.remove(film_id)
    shutil.rmtree(tmp_path / "films" / film_id)
    with monkeypatch.context() as a_moment_ago:
        a_moment_ago.setattr(Path, "is_dir", lambda _path: True)
        with pytest.raises(StudioError, match="no such film"):
            library.find_playable(film_id)


def test_a_computation_that_runs_stops_and_leaves_nothing(library, database, tmp_path, video, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()
    compute = films_module.compute_maps

    def compute_slowly(*arguments, on_frame, **options):
        def report(number, made):
            begun.set()
            assert go_on.wait(60)
            on_frame(number, made)

        return compute(*arguments, on_frame=report, **options)

    monkeypatch.setattr(films_module, "compute_maps", compute_slowly)
    film_id = add(library, video)
    assert begun.wait(60)
    library.remove(film_id)
    time.sleep(5 * AT_ONCE.retry_s)
    assert database["videos"].find_one({"_id": film_id}) is not None  # it waits for the computation
    go_on.set()

    until(lambda: is_gone(database, tmp_path, film_id))
    assert list_ids(library) == ["sample"]


def test_a_database_that_is_down_is_tried_again(make_library, database, tmp_path, video, mongo_client):
    film_id = prepare(make_library(), video)
    port = refused_url().rpartition(":")[2]
    with MongoClient(f"mongodb://127.0.0.1:{port}", serverSelectionTimeoutMS=20) as away:
        library = make_library(database=away[database.name])
        library.remove(film_id)
        time.sleep(0.2)
        assert list_ids(library) == ["sample"]
        assert has_all_maps(database, film_id)
        library._removals._database = database  # it is back

        until(lambda: is_gone(database, tmp_path, film_id))


def test_a_removal_that_was_interrupted_is_resumed_at_the_next_start(make_library, database, tmp_path, video, watched):
    first = make_library()
    film_id = prepare(first, video)
    watched.add(film_id)
    first.remove(film_id)
    end_removals(first._removals)
    later = make_library()

    assert list_ids(later) == ["sample"]
    watched.clear()
    until(lambda: is_gone(database, tmp_path, film_id))


def test_a_film_that_is_still_watched_after_a_restart_has_time_to_say_so(
    make_library, database, tmp_path, video, watched
):
    """The new process learns that it is watched from the next frame of the viewer."""
    first = make_library()
    film_id = prepare(first, video)
    watched.add(film_id)
    first.remove(film_id)
    end_removals(first._removals)
    later = FilmLibrary(tmp_path / "films", database, removal_times=replace(AT_ONCE, resume_s=600.0))
    time.sleep(5 * AT_ONCE.retry_s)

    assert has_all_maps(database, film_id)
    assert later.find_playable(film_id).is_file()
    assert RemovalTimes().resume_s == 150.0


def test_a_removal_whose_files_are_gone_goes_on_at_once(database, tmp_path, video):
    removed = []
    place = tmp_path / "films" / "film-0123456789abcdef0123"
    place.mkdir(parents=True)
    FilmLibrary(tmp_path / "films", database, on_removed=removed.append)

    until(lambda: removed == [place.name])
    until(lambda: not place.exists())


@pytest.mark.parametrize("name", ["film-holiday", "film-0123", "film-0123456789abcdef01234", "my-film"])
def test_files_and_maps_of_somebody_else_are_not_removed(make_library, database, tmp_path, name):
    """An operator may keep own maps in the database, and own files beside those of the studio."""
    place = tmp_path / "films" / name
    place.mkdir(parents=True)
    (place / "original.mp4").write_bytes(b"film")
    database[name].insert_one({"frame_num": 1})
    make_library()
    time.sleep(5 * AT_ONCE.retry_s)

    assert (place / "original.mp4").is_file()
    assert database[name].count_documents({}) == 1


def test_what_was_made_of_a_film_is_removed_again_if_the_process_ended(make_library, tmp_path, video):
    """The directory of the film is the note that its removal is not over."""
    seen = []
    library = make_library(on_removed=lambda film_id: seen.append((tmp_path / "films" / film_id).is_dir()))
    film_id = prepare(library, video)
    library.remove(film_id)

    until(lambda: not (tmp_path / "films" / film_id).exists())
    assert seen == [True]


@pytest.mark.parametrize(
    "content",
    ["", "[]", 100_000 * "[", '{"film_id": "film-2", "title": "Other"}', '{"title": "Film"}'],
    ids=lambda content: content[:20],
)
def test_a_film_whose_file_is_damaged_is_never_removed(make_library, database, tmp_path, video, content):
    film_id = prepare(make_library(), video)
    (tmp_path / "films" / film_id / "film.json").write_text(content)
    later = make_library()
    time.sleep(5 * AT_ONCE.retry_s)

    assert list_ids(later) == ["sample"]
    assert has_all_maps(database, film_id)
    assert prepare(later, video) == film_id


def test_a_film_of_a_later_version_is_read(make_library, tmp_path, video):
    film_id = prepare(make_library(), video)
    path = tmp_path / "films" / film_id / "film.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "new": 1}))

    assert make_library().get(film_id).state == "ready"


def test_a_film_that_is_removed_and_added_by_two_pages_is_listed_or_gone(library, video, watched, monkeypatch):
    """One page adds the film while another one adds and removes it."""
    film_id = prepare(library, video)
    watched.add(film_id)
    library.remove(film_id)
    cancel, cancelled = library._removals.cancel, []

    def cancel_slowly(film_id):
        is_first = not cancelled
        cancelled.append(film_id)
        found = cancel(film_id)
        if is_first:
            add(library, video)
            library.remove(film_id)
        return found

    monkeypatch.setattr(library._removals, "cancel", cancel_slowly)
    add(library, video)
    until(lambda: library.get(film_id).state == "ready")
    watched.clear()
    time.sleep(5 * AT_ONCE.retry_s)

    assert library.find_original(film_id).is_file()
    assert library.get(film_id).state == "ready"


def test_a_film_is_being_removed_as_soon_as_it_is_not_listed(library, video, watched, monkeypatch):
    """Otherwise, somebody could add it before its removal begins, which would then remove it."""
    film_id = prepare(library, video)
    watched.add(film_id)
    is_locked, start = [], library._removals.start
    monkeypatch.setattr(
        library._removals, "start", lambda film_id: is_locked.append(library._lock.locked()) or start(film_id)
    )
    library.remove(film_id)

    assert is_locked == [True]


def test_the_same_film_can_be_added_again_at_once(library, database, video):
    film_id = prepare(library, video)
    library.remove(film_id)

    assert prepare(library, video) == film_id
    time.sleep(5 * AT_ONCE.retry_s)
    assert library.get(film_id).state == "ready"
    assert library.find_playable(film_id).is_file()


def test_a_film_that_is_added_again_while_it_is_still_watched_is_not_removed(library, video, watched):
    film_id = prepare(library, video)
    watched.add(film_id)
    library.remove(film_id)
    prepare(library, video)
    watched.clear()
    time.sleep(5 * AT_ONCE.retry_s)

    assert library.get(film_id).state == "ready"


def test_adding_again_in_vain_does_not_keep_the_maps(library, database, video, watched, monkeypatch):
    film_id = prepare(library, video)
    watched.add(film_id)
    library.remove(film_id)
    monkeypatch.setattr(films_module, "MAX_FILMS", 1)
    with pytest.raises(StudioError, match="Remove a film"):
        add(library, video)
    watched.clear()

    until(lambda: film_id not in database.list_collection_names())


def test_the_sample_and_unknown_films_are_not_removed(library):
    with pytest.raises(StudioError, match="sample cannot be removed"):
        library.remove("sample")
    with pytest.raises(StudioError, match="no such film"):
        library.remove("film-0123")


def test_a_callback_says_when_a_film_is_gone(make_library, video):
    removed = []
    library = make_library(on_removed=removed.append)
    film_id = prepare(library, video)
    library.remove(film_id)

    until(lambda: removed == [film_id])


def test_overlay_videos_of_the_film_are_removed_and_its_sessions_stay(tmp_path):
    for name, film_id in (("a", "film-1"), ("b", "film-2")):
        place = tmp_path / name
        place.mkdir()
        session = Session(name, "127.0.0.1", film_id, "2026-01-01T00:00:00", frames={}, settings={})
        header = ExportHeader(name, "2026-01-01T00:00:00+00:00", None, has_ip_address=True)
        write_export(place / "session.json", header, [[session]])
        (place / "overlay.mp4").write_bytes(b"film")
    remove_overlays(tmp_path, "film-1")

    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*"))
    assert left == ["a/session.json", "b/overlay.mp4", "b/session.json"]
