"""Somebody has guessed a viewer's session id: what that changes on the real path, with and without session tokens."""

import contextlib
import uuid

import pytest

from func.session_token import Viewing, sign_viewing
from gaze_tools.stack import aggregator, session_api
from gaze_tools.stack.launcher import UpstreamServices
from tests.adapters.upstream_services import serve
from tests.faults.maps import VIDEO, seed_maps
from tests.faults.reliability_rows import Row, keep_rows
from tests.faults.services import run_function
from tests.faults.viewers import (
    IMAGES,
    NOTHING_WRONG,
    Ledger,
    Tally,
    Viewer,
    check_results,
    check_session,
    make_address,
)

KEY = b"0123456789abcdef0123456789abcdef"
FRAMES = 4
BESIDE_THE_SCREEN = {"x": 2.0, "y": 2.0, "width": 1.0, "height": 1.0}
SCORE = 50.0
"""Of a viewer whom nobody disturbs: two of the four images look at the salient half."""
FRAME = {"frame_number": 1, "last_frame": False}
ATTACKS = {
    "read the gaze of a frame": {**FRAME, "frame": IMAGES[5]},
    "replace a frame": {**FRAME, "frame": IMAGES[0]},
    "shift the viewport": {**FRAME, "frame": IMAGES[5], "viewport": BESIDE_THE_SCREEN},
    "add a frame": {**FRAME, "frame_number": 4, "frame": IMAGES[0]},
    "end the session": {"frame_number": 1, "last_frame": True},
}
HARMLESS = ("replace a frame", "shift the viewport")
"""Attacks that change nothing without tokens either."""


class World:
    """Functions with and without keys before the same upstream services."""

    def watch_under_attack(self, url, tally, *, attack, key=None, stranger_key=None):
        """Let a viewer watch and a stranger attack after the third frame; return the stranger's response."""
        viewer = TokenViewer([url], self.ledger, key=key)
        for number in range(1, FRAMES):
            viewer.post_frame(number)
        stranger = TokenViewer([url], Ledger(), key=stranger_key, ip_address=viewer.ip_address)
        response = stranger.try_once(attack)
        viewer.post_frame(FRAMES)
        assert viewer.complete(FRAMES + 1)["final_score"] == SCORE
        check_session(self.session_api_url, viewer, tally)
        check_results(self.aggregator_url, [viewer], tally)
        return response


class TokenViewer(Viewer):
    """A viewer who may have a session token."""

    def __init__(self, urls, ledger, *, key=None, **kwargs):
        super().__init__(urls, ledger, **kwargs)
        viewing = Viewing(self.session_id, self.ip_address, VIDEO, start_ms=1_767_225_600_000)
        self.token = None if key is None else sign_viewing(key, viewing)

    def try_once(self, fields):
        return super().try_once({**fields, "session_token": self.token})


@pytest.fixture(scope="module")
def world(mongo_client, mongo_uri, tmp_path_factory):
    seed_maps(mongo_uri, FRAMES)
    world, folder = World(), tmp_path_factory.mktemp("attacks")
    world.ledger = Ledger()
    with (
        serve(session_api.create_app(mongo_client["attack_sessions"])) as world.session_api_url,
        serve(aggregator.create_app(mongo_client["attack_results"])) as world.aggregator_url,
        contextlib.ExitStack() as functions,
    ):
        upstream = UpstreamServices(mongo_uri, world.session_api_url, world.aggregator_url)
        world.open_url, world.guarded_url = (
            functions.enter_context(run_function(upstream, folder, name=name, settings=settings))[0]
            for name, settings in (
                ("open", {"BARRIER_TIMEOUT_S": "0.1"}),
                ("guarded", {"BARRIER_TIMEOUT_S": "0.1", "SESSION_TOKEN_KEYS": KEY.decode()}),
            )
        )
        yield world


@pytest.fixture(scope="module")
def tally(world):
    tally = Tally()
    yield tally
    runs = 2 * len(ATTACKS) + len(HARMLESS) + 1
    ledger = world.ledger
    row = Row(
        "a stranger with the session id",
        runs,
        ledger.acknowledged + runs,
        tally.lost,
        tally.doubled,
        ledger.slowest_answer_s,
    )
    keep_rows("3-id-attacks", [row])


@pytest.mark.parametrize("stranger_key", [None, b"x" * 32], ids=["no token", "another key"])
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_with_tokens_a_stranger_is_401_and_changes_nothing(world, tally, attack, stranger_key):
    response = world.watch_under_attack(world.guarded_url, tally, attack=attack, key=KEY, stranger_key=stranger_key)

    assert (response.status_code, tally.outcome) == (401, NOTHING_WRONG)
    assert "gaze" not in response.json()


@pytest.mark.parametrize("name", HARMLESS)
def test_without_tokens_a_frame_posted_again_changes_nothing(world, tally, name):
    response = world.watch_under_attack(world.open_url, tally, attack=ATTACKS[name])

    assert (response.status_code, tally.outcome) == (200, NOTHING_WRONG)
    assert response.json()["warnings"]


def test_without_tokens_the_ids_of_viewers_to_come_cannot_be_sealed(world, tally):
    addresses = [make_address() for _ in range(4)]
    answers = [
        Viewer([world.open_url], Ledger(), ip_address=address).try_once({"frame_number": 1, "last_frame": True})
        for address in addresses
    ]
    viewer = Viewer([world.open_url], world.ledger, ip_address=addresses[3])

    assert {(answer.status_code, answer.json()["final_score"]) for answer in answers} == {(200, 0.0)}
    assert viewer.session_id == str(uuid.uuid5(uuid.NAMESPACE_URL, f"{addresses[3]}:{VIDEO}"))
    assert viewer.watch(FRAMES)["final_score"] == SCORE
    check_session(world.session_api_url, viewer, tally)
    check_results(world.aggregator_url, [viewer], tally)
    assert tally.outcome == NOTHING_WRONG
