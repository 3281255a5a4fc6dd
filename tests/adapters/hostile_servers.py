"""Hostile servers on the loopback interface: slow or endless, in plain text, with TLS, and as a proxy."""

import contextlib
import socket
import ssl
import subprocess
import threading
import time

PAUSE_S = 0.03
"""Between the bytes of a server that drips: well within any timeout of a single read."""
DRIPS_FOR_S = 120.0


@contextlib.contextmanager
def listen(serve, *, tls=None):
    """Call `serve(connection)` in a thread for each connection and yield the port; ends with the block.

    Args:
        serve: Gets a connected socket; OSError, which a client's leaving causes, is ignored.
        tls: Context of the server; None means plain text.
    """
    listener = socket.create_server(("127.0.0.1", 0))

    def handle(connection):
        with contextlib.suppress(OSError), connection:
            connection.settimeout(30)
            if tls is None:
                serve(connection)
            else:
                with tls.wrap_socket(connection, server_side=True) as secure:
                    serve(secure)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=handle, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def read_head(connection):
    """Return the head of a request; the body is left."""
    head = b""
    while b"\r\n\r\n" not in head:
        received = connection.recv(65536)
        if not received:
            raise OSError("the client left")
        head += received
    return head


def drip(raw, after=b""):
    """Return a server that answers at once with `after`, then with `raw` byte by byte, over and over."""

    def serve(connection):
        read_head(connection)
        connection.sendall(after)
        ends_at_s = time.monotonic() + DRIPS_FOR_S
        while time.monotonic() < ends_at_s:
            for byte in raw:
                connection.sendall(bytes([byte]))
                time.sleep(PAUSE_S)

    return serve


def flood(raw, after=b"", *, up_to_bytes=200 * 2**20):
    """Return a server that answers with `after`, then with `raw` over and over, as fast as it can."""

    def serve(connection):
        read_head(connection)
        connection.sendall(after)
        block = raw * max(1, 65536 // len(raw))
        for _ in range(up_to_bytes // len(block)):
            connection.sendall(block)

    return serve


def answer(body, *, heads=None):
    """Return a server that answers every request of a connection; it appends the heads of requests to `heads`."""

    def serve(connection):
        while True:
            head = read_head(connection)
            if heads is not None:
                heads.append(head)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    return serve


def tunnel(*, heads=None):
    """Return a proxy that opens tunnels; it appends the heads of CONNECT to `heads`."""

    def serve(connection):
        head = read_head(connection)
        if heads is not None:
            heads.append(head)
        host, port = head.split()[1].decode().rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=30) as target:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            threading.Thread(target=_copy, args=(target, connection), daemon=True).start()
            _copy(connection, target)

    return serve


def _copy(source, target):
    with contextlib.suppress(OSError):
        while received := source.recv(65536):
            target.sendall(received)
        target.shutdown(socket.SHUT_WR)


def stall_handshake(connection):
    """Serve the first record of a TLS handshake byte by byte."""
    connection.recv(65536)
    record = b"\x16\x03\x03\x40\x00" + b"\x02" * 16384
    for byte in record[: int(DRIPS_FOR_S / PAUSE_S)]:
        connection.sendall(bytes([byte]))
        time.sleep(PAUSE_S)


def make_certificate(folder):
    """Return the path of a self-signed certificate for 127.0.0.1 and a server's context with it."""
    certificate, key = folder / "ca.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-subj", "/CN=test", "-days", "2", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-out", certificate, "-keyout", key),
        ],
        check=True,
        capture_output=True,
        timeout=30,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context
