"""The socket of the management port."""

import os
import socket
from collections.abc import Mapping

from func.errors import SettingsError


def open_management_socket(port: int, environ: Mapping[str, str]) -> socket.socket:
    """Return a socket that listens on a port of all IPv4 addresses.

    Call it before the server forks, so that a port that is in use ends the process at once.

    Raises:
        SettingsError: The port is that of the frames, or cannot be used.
    """
    if environ.get("PORT", "").strip() == str(port):
        raise SettingsError("MANAGEMENT_PORT", f"must differ from PORT = {port}")
    try:
        return socket.create_server(("", port))
    except OSError as error:
        raise SettingsError(
            "MANAGEMENT_PORT", f"cannot listen on port {port}: {os.strerror(error.errno or 0)}"
        ) from error
