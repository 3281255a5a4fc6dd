"""An upstream service fails in every way we know: once it works again, repeats complete the session, once."""

import contextlib
import itertools
import queue
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.faults.faulty_mongo import MONGO_FAULTS
from tests.faults.faulty_proxy import HTTP_FAULTS
from tests.faults.faulty_world import run_faulty_world
from tests.faults.maps import seed_maps
from tests.faults.reliability_rows import Row, keep_rows
from tests.faults.viewers import (
    LONGEST_PAUSE_S,
    NOTHING_WRONG,
    Ledger,
    Tally,
    Viewer,
    check_results,
    check_session,
)

FRAMES = 4
ROUNDS = 4
WORLDS = 3
FAULTS = {"session API": HTTP_FAULTS, "aggregator": HTTP_FAULTS, "MongoDB": MONGO_FAULTS}
EVERY = [(service, fault) for service, faults in FAULTS.items() for fault in faults]
QUICK = [
    ("session API", "connections are refused"),
    ("session API", "reset after the request had its effect"),
    ("session API", "500 after the request had its effect"),
    ("session API", "the request is delivered twice"),
    ("session API", "truncated JSON"),
    ("session API", "values of the wrong types"),
    ("session API", "a Content-Length short of the body"),
    ("aggregator", "reset in the middle of the answer"),
    ("aggregator", "the request is delivered twice"),
    ("aggregator", "500"),
    ("aggregator", "503"),
    ("aggregator", "malformed JSON"),
    ("MongoDB", "reset in the middle of the answer"),
    ("MongoDB", "a malformed document"),
]


@dataclass(frozen=True)
class Run:
    """One session among faults.

    Attributes:
        service: That fails.
        fault: How.
        seed: Decides when it fails and how often.
    """

    service: str
    fault: str
    seed: int

    def execute(self, world, *, longest_pause_s=LONGEST_PAUSE_S):
        """Return ledger and tally."""
        rng = random.Random(f"{self.service}, {self.fault}, {self.seed}")
        ledger, tally = Ledger(), Tally()
        proxy = world.proxies[self.service]
        # The session API is called for each request, the others for the last frame alone.
        fails_at = rng.randint(1, FRAMES + 1) if self.service == "session API" else FRAMES + 1
        spoiled = proxy.spoiled
        viewer = Viewer([world.function_url], ledger, longest_pause_s=longest_pause_s)
        for number in range(1, FRAMES + 2):
            if number == fails_at:
                proxy.spoil(self.fault, rng.randint(1, 4))
            if number <= FRAMES:
                viewer.post_frame(number)
        viewer.complete(FRAMES + 1)
        proxy.heal()  # the session may have needed fewer exchanges
        if proxy.spoiled == spoiled:
            tally.count(problems=["nothing was spoiled"])
        check_session(world.session_api_url, viewer, tally)
        check_results(world.aggregator_url, [viewer], tally)
        return ledger, tally


@pytest.fixture(scope="module")
def start_world(mongo_client, mongo_uri, tmp_path_factory):
    """Return a context manager that runs a world."""
    numbers = itertools.count()
    seed_maps(mongo_uri, FRAMES)

    def start():
        return run_faulty_world(mongo_client, mongo_uri, tmp_path_factory.mktemp("faults"), name=f"w{next(numbers)}")

    return start


@pytest.fixture(scope="module")
def world(start_world):
    with start_world() as running:
        yield running


@pytest.mark.parametrize(("service", "fault"), QUICK, ids=[f"{service}-{fault}" for service, fault in QUICK])
def test_repeats_complete_the_session_once(world, service, fault):
    ledger, tally = Run(service, fault, seed=0).execute(world, longest_pause_s=0.1)

    assert (ledger.acknowledged, tally.outcome) == (FRAMES, NOTHING_WRONG)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_after_every_fault_of_every_service_repeats_complete_the_session_once(start_world):
    runs = [Run(service, fault, seed) for seed in range(1, ROUNDS + 1) for service, fault in EVERY]
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(WORLDS) as pool:
        free = queue.SimpleQueue()
        for _ in range(WORLDS):
            free.put(stack.enter_context(start_world()))

        def execute(run):
            world = free.get()
            try:
                return run.execute(world)
            except Exception as error:
                return Ledger(), Tally(problems=[repr(error)])
            finally:
                free.put(world)

        outcomes = dict(zip(runs, pool.map(execute, runs), strict=True))

    keep_rows("2-upstream-faults", [make_row(fault, outcomes) for fault in {fault: None for _, fault in EVERY}])
    assert {run: tally.outcome for run, (_, tally) in outcomes.items() if tally.outcome != NOTHING_WRONG} == {}
    assert len(HTTP_FAULTS) == 27


def make_row(fault, outcomes):
    """Return the row of a fault over all services and seeds."""
    ours = {run: outcome for run, outcome in outcomes.items() if run.fault == fault}
    return Row(
        f"{fault} ({', '.join({run.service: None for run in ours})})",
        len(ours),
        sum(ledger.acknowledged + 1 for ledger, _ in ours.values()),
        sum(tally.lost for _, tally in ours.values()),
        sum(tally.doubled for _, tally in ours.values()),
        max(ledger.slowest_answer_s for ledger, _ in ours.values()),
    )
