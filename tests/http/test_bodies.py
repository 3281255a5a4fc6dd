"""Reading bodies: size, deadline and total memory."""

import asyncio

import pytest

from func.errors import BodiesFullError, PayloadTooLargeError, RequestTimeoutError
from func.web.bodies import Bodies, ClientGoneError

pytestmark = pytest.mark.anyio


def make_bodies(max_bytes=100, timeout_s=60.0, max_total_bytes=200):
    return Bodies(max_bytes=max_bytes, timeout_s=timeout_s, max_total_bytes=max_total_bytes)


def make_receive(*chunks, then=None):
    """Return an ASGI receive function for these chunks; `then` replaces the end of the body."""
    messages = [
        {"type": "http.request", "body": chunk, "more_body": then is not None or at < len(chunks) - 1}
        for at, chunk in enumerate(chunks)
    ]

    async def receive():
        if messages:
            return messages.pop(0)
        if then == "silence":
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    return receive


async def test_a_body_is_counted_until_it_is_released():
    bodies = make_bodies()

    body = await bodies.read(make_receive(b"ab", b"c"), None)

    assert (body, bodies.total_bytes) == (b"abc", 3)
    with bodies.hold(len(body)):
        pass
    assert bodies.total_bytes == 0


@pytest.mark.parametrize(
    ("receive", "announced_bytes", "error"),
    [
        (make_receive(b""), 101, PayloadTooLargeError),
        (make_receive(b"a" * 60, b"a" * 60, then="silence"), None, PayloadTooLargeError),
        (make_receive(b"a", then="silence"), 10, RequestTimeoutError),
        (make_receive(b"a", then="disconnect"), 10, ClientGoneError),
    ],
    ids=["announced", "counted", "silent", "gone"],
)
async def test_a_refused_body_is_not_counted(receive, announced_bytes, error):
    bodies = make_bodies(timeout_s=0.05)

    with pytest.raises(error):
        await bodies.read(receive, announced_bytes)

    assert bodies.total_bytes == 0


async def test_the_largest_unfinished_body_is_refused_first():
    bodies = make_bodies()
    large = [asyncio.create_task(bodies.read(make_receive(b"a" * size, then="silence"), None)) for size in (90, 95)]
    await asyncio.sleep(0.01)

    small = await bodies.read(make_receive(b"b" * 20), None)

    assert small == b"b" * 20
    with pytest.raises(BodiesFullError):
        await large[1]
    assert not large[0].done()
    assert bodies.total_bytes == 110
    large[0].cancel()


async def test_a_new_body_is_refused_if_no_other_can_be():
    bodies = make_bodies()
    for _ in range(2):
        await bodies.read(make_receive(b"a" * 95), None)

    with pytest.raises(BodiesFullError):
        await bodies.read(make_receive(b"b" * 20), None)

    assert bodies.total_bytes == 190
