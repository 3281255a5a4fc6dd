"""Two processes of the session API on one database, through the adapter that the function uses."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from pymongo import MongoClient

from func.adapters.session_api import HttpSessionStore
from gaze_core.errors import SessionScoredError
from gaze_tools.stack.mongo import start_mongo
from gaze_tools.stack.processes import await_ready, find_free_port, run_process
from gaze_tools.stack.session_api import create_app
from tests.adapters.upstream_services import serve

VIEWER = {"ip_address": "203.0.113.7", "video_id": "contents1"}


@pytest.fixture(scope="module")
def stores(mongo_uri, tmp_path_factory):
    """Two stores, each with a process of its own."""
    log_dir = tmp_path_factory.mktemp("logs")
    with ExitStack() as stack:
        made = []
        for number in range(2):
            port, log_path = find_free_port(), log_dir / f"{number}.log"
            command = [
                sys.executable,
                "-m",
                "gaze_tools.stack.session_api",
                "--port",
                str(port),
                "--mongo-uri",
                mongo_uri,
            ]
            process = stack.enter_context(
                run_process([*command, "--database", "processes", "--ttl-s", "600"], log_path=log_path)
            )
            url = f"http://127.0.0.1:{port}"
            await_ready("session API", process, f"{url}/health", log_path=log_path, timeout_s=120)
            made.append(HttpSessionStore(url, timeout_s=60, retries=3))
            assert log_path.read_text() == f"listening on {url}\n"
        yield made


def test_the_lifetime_of_sessions_is_an_option(stores):
    stores[0].update_session("lifetime", 1, {}, **VIEWER)

    assert stores[0].get_session("lifetime").ttl_s == 600.0


def test_every_frame_is_stored_once_whichever_process_gets_it(stores):
    def post(job):
        number, writer = job
        return number, writer, stores[writer].update_session("all", number, {"writer": writer}, **VIEWER)

    jobs = [(number, writer) for number in range(1, 151) for writer in (0, 1)]
    with ThreadPoolExecutor(8) as pool:
        updates = list(pool.map(post, jobs))

    writers = {number: writer for number, writer, update in updates if update.written}
    assert sorted(number for number, _, update in updates if update.written) == list(range(1, 151))
    assert all(update.stored == {str(number): {"writer": writers[number]}} for number, _, update in updates)
    expected = {number: {"writer": writer} for number, writer in writers.items()}
    assert stores[0].get_session("all").frames == stores[1].get_session("all").frames == expected


@pytest.mark.parametrize("turn", range(5))
def test_the_result_closes_the_session_for_both_processes_at_once(stores, turn):
    """Once the result is visible, so is every frame that was answered 200, and none is added."""
    session_id = f"race-{turn}"
    accepted, refused, sessions_seen = [], [], []
    lock = threading.Lock()
    stores[0].create_session(session_id, **VIEWER)
    has_begun, is_over = threading.Event(), threading.Event()

    def post(writer):
        number = writer + 1
        while True:
            try:
                stores[writer % 2].update_session(session_id, number, {}, **VIEWER)
            except SessionScoredError:
                refused.append(number)
                return
            with lock:
                accepted.append(number)
                if len(accepted) >= 20:
                    has_begun.set()
            number += 4

    def read(reader):
        while not is_over.is_set():
            session = stores[reader].get_session(session_id)
            if session.settings:
                sessions_seen.append(frozenset(session.frames))

    writers = [threading.Thread(target=post, args=(writer,)) for writer in range(4)]
    readers = [threading.Thread(target=read, args=(reader,)) for reader in range(2)]
    for thread in writers + readers:
        thread.start()
    assert has_begun.wait(120)
    with ThreadPoolExecutor(2) as pool:
        updates = list(pool.map(lambda store: store.store_settings(session_id, {"result": {"n": 1}}), stores))
    seen_at_once = frozenset(stores[1].get_session(session_id).frames)
    for thread in writers:
        thread.join(120)
    is_over.set()
    for thread in readers:
        thread.join(120)

    assert sum("result" in update.written for update in updates) == 1
    assert len(refused) == 4
    assert seen_at_once == frozenset(accepted)
    assert {seen_at_once} >= set(sessions_seen)
    assert frozenset(stores[0].get_session(session_id).frames) == seen_at_once


@pytest.mark.slow
def test_a_killed_database_loses_nothing_that_was_acknowledged(tmp_path):
    port = find_free_port()
    with start_mongo(tmp_path / "data", port=port) as doomed:
        client = MongoClient(doomed.uri, serverSelectionTimeoutMS=60_000)
        with serve(create_app(client["session_api"])) as url:
            store = HttpSessionStore(url, timeout_s=60, retries=2)
            for number in range(1, 41):
                store.update_session("s", number, {"n": number}, **VIEWER)
            os.kill(doomed.pid, 9)
            with start_mongo(tmp_path / "data", port=port), client:
                assert store.get_session("s").frames == {number: {"n": number} for number in range(1, 41)}
                assert store.update_session("s", 41, {"n": 41}, **VIEWER).written == {"41"}
