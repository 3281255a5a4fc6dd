"""A connection whose client breaks it off, without a server around it."""

import asyncio

import pytest
import uvicorn
from uvicorn.server import ServerState

from func.web.connections import Connections, GuardedProtocol, Limits
from func.web.metrics import Metrics


class ResetTransport(asyncio.Transport):
    """A transport whose client has reset the connection, which the event loop has not noticed yet."""

    def __init__(self):
        super().__init__()
        self.written = b""
        self.is_aborted = False

    def write(self, data):
        self.written += data

    def can_write_eof(self):
        return True

    def write_eof(self):
        raise OSError(107, "Transport endpoint is not connected")

    def abort(self):
        self.is_aborted = True

    def is_closing(self):
        return self.is_aborted

    def get_write_buffer_size(self):
        return 0

    def resume_reading(self):
        pass

    def pause_reading(self):
        pass


@pytest.mark.parametrize("sent", [b"NONSENSE\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"a:b\r\n" * 2000])
def test_a_refused_client_that_has_reset_its_connection_is_cut(sent):
    async def refuse():
        limits = Limits(
            connections=8, connections_per_peer=8, head_timeout_s=5, answer_timeout_s=5, drop_bytes=1_000_000
        )
        connections = Connections(limits, Metrics(), lambda: None)
        config = uvicorn.Config(lambda *_: None, log_config=None)
        config.load()
        protocol = GuardedProtocol(config=config, server_state=ServerState(), app_state={}, connections=connections)
        transport = ResetTransport()
        protocol.connection_made(transport)
        protocol.data_received(sent)
        return transport

    assert asyncio.run(refuse()).is_aborted
