"""A TCP proxy that delays everything by half a round trip in each direction, in place of a slow network.

It models the delay alone: no bandwidth, no losses, no slow start of TCP, and connections are opened at once.
"""

import asyncio
import contextlib
import multiprocessing
import socket
from collections.abc import Iterator

_CHUNK_BYTES = 256 * 1024


@contextlib.contextmanager
def start_delay_proxy(target_port: int, round_trip_ms: float) -> Iterator[int]:
    """Run a proxy to a port of this machine in a process of its own; yield its port.

    Args:
        target_port: Port to connect to.
        round_trip_ms: Delay of both directions together.
    """
    listening = socket.create_server(("127.0.0.1", 0), backlog=256)
    process = multiprocessing.get_context("fork").Process(
        target=_run, args=(listening, target_port, round_trip_ms / 2000), daemon=True
    )
    process.start()
    try:
        yield listening.getsockname()[1]
    finally:
        process.terminate()
        process.join()
        listening.close()


def _run(listening: socket.socket, target_port: int, delay_s: float) -> None:
    async def serve() -> None:
        async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            target_reader, target_writer = await asyncio.open_connection("127.0.0.1", target_port)
            for each in (writer, target_writer):
                each.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.gather(_pass_on(reader, target_writer, delay_s), _pass_on(target_reader, writer, delay_s))

        server = await asyncio.start_server(connect, sock=listening)
        await server.serve_forever()

    asyncio.run(serve())


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    """Write each chunk the delay after it was read, until the end."""
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def read() -> None:
        data = b"."
        while data:
            with contextlib.suppress(ConnectionError):
                data = await reader.read(_CHUNK_BYTES)
            chunks.put_nowait((loop.time() + delay_s, data))

    reading = asyncio.ensure_future(read())
    data = b"."
    while data:
        due_s, data = await chunks.get()
        await asyncio.sleep(max(0.0, due_s - loop.time()))
        with contextlib.suppress(ConnectionError):
            if data:
                writer.write(data)
                await writer.drain()
    await reading
    with contextlib.suppress(ConnectionError, OSError):
        writer.close()
