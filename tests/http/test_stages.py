"""Stages: queueing, refusal, and clients that disconnect."""

import asyncio
import threading

import pytest

from func.web.bodies import ClientGoneError
from func.web.stages import Stage
from tests.fakes.clock import FakeClock

pytestmark = pytest.mark.anyio


class BusyStageError(Exception):
    pass


def make_stage(places=1, wait_s=2.0, clock=None):
    return Stage("test", places=places, wait_s=wait_s, make_busy_error=BusyStageError, clock=clock or FakeClock())


class Held:
    """Work that lasts until it is released."""

    def __init__(self):
        self.release = threading.Event()

    def __call__(self):
        assert self.release.wait(60)


async def let_others_run():
    for _ in range(5):
        await asyncio.sleep(0)


async def never():
    await asyncio.Event().wait()


async def test_calls_beyond_the_places_wait_in_order():
    stage, held, order = make_stage(), Held(), []
    first = asyncio.create_task(stage.run(held))
    await let_others_run()
    others = [asyncio.create_task(stage.run(lambda number=number: order.append(number))) for number in (1, 2, 3)]
    await let_others_run()
    assert (stage.queue_length, order) == (3, [])

    held.release.set()
    await asyncio.gather(first, *others)

    assert (stage.queue_length, order) == (0, [1, 2, 3])


async def test_the_expected_wait_is_the_queue_times_the_mean_over_the_places():
    clock = FakeClock()
    stage, held = make_stage(wait_s=10.0, clock=clock), Held()

    def take_a_second():
        clock.now_s += 1.0

    await stage.run(take_a_second)
    assert stage.expect_wait_s() == 0.0
    tasks = [asyncio.create_task(stage.run(held)) for _ in range(3)]
    await let_others_run()

    assert stage.expect_wait_s() == 3.0
    held.release.set()
    await asyncio.gather(*tasks)


async def test_a_call_that_would_wait_too_long_is_refused_at_once():
    clock = FakeClock()
    stage, held = make_stage(wait_s=2.0, clock=clock), Held()

    def take_a_second():
        clock.now_s += 1.0

    await stage.run(take_a_second)
    tasks = [asyncio.create_task(stage.run(held)) for _ in range(2)]
    await let_others_run()

    with pytest.raises(BusyStageError):
        await stage.run(take_a_second)
    held.release.set()
    await asyncio.gather(*tasks)


async def test_hanging_work_shows_in_the_wait_of_the_oldest_call():
    clock = FakeClock()
    stage, held = make_stage(wait_s=2.0, clock=clock), Held()
    tasks = [asyncio.create_task(stage.run(held)) for _ in range(2)]
    await let_others_run()
    stage.check()
    clock.now_s = 2.0

    with pytest.raises(BusyStageError):
        stage.check()
    held.release.set()
    await asyncio.gather(*tasks)


async def test_work_of_a_disconnected_client_is_skipped():
    stage, held, done = make_stage(), Held(), []
    first = asyncio.create_task(stage.run(held))
    await let_others_run()

    async def go():
        return None

    with pytest.raises(ClientGoneError):
        await stage.run(lambda: done.append(1), gone=go)

    assert stage.queue_length == 0
    held.release.set()
    await first
    await stage.run(lambda: done.append(2), gone=never)
    assert done == [2]


async def test_a_cancelled_caller_passes_on_its_place():
    stage, held, done = make_stage(), Held(), []
    first = asyncio.create_task(stage.run(held))
    await let_others_run()
    waiting = [asyncio.create_task(stage.run(lambda: done.append(1))) for _ in range(2)]
    await let_others_run()
    waiting[0].cancel()
    await let_others_run()
    held.release.set()
    await first
    await waiting[1]

    assert done == [1]
    assert waiting[0].cancelled()
    assert (stage.queue_length, stage.expect_wait_s()) == (0, 0.0)


async def test_an_error_of_the_work_reaches_the_caller_and_frees_the_place():
    stage = make_stage()

    def fail():
        raise ValueError("wrong")

    for _ in range(3):
        with pytest.raises(ValueError, match="wrong"):
            await stage.run(fail)
    assert stage.expect_wait_s() == 0.0


async def test_one_slow_call_is_forgotten_after_a_few_fast_ones():
    clock = FakeClock()
    stage = make_stage(clock=clock)
    for took_s in [10.0] + 10 * [0.1]:

        def work(took_s=took_s):
            clock.now_s += took_s

        await stage.run(work)
        await let_others_run()
    held = Held()
    running = asyncio.create_task(stage.run(held))
    await let_others_run()

    assert stage.expect_wait_s() == pytest.approx(0.1 + 9.9 * 0.7**10)

    held.release.set()
    await running
