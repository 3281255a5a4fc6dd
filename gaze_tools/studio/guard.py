"""Which requests a gateway on the loopback interface answers, and the headers that keep its page to itself.

A gateway with loopback names answers programs on its own machine only, whatever interface it listens on: other machines
could send any Host that they like. It trusts those programs, so two attacks of other web pages in the viewer's browser
matter: a page whose host name is rebound to 127.0.0.1 (its requests have another Host), and a page of another origin
that posts (its requests have another Origin).
"""

import ipaddress
from collections.abc import Collection, Mapping

from gaze_tools.studio.problems import StudioError

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "camera=(self), fullscreen=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Headers of every answer. Images from blobs are frames of the viewer's own camera, drawn by the page."""

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


def check_address(address: str | None, hosts: Collection[str]) -> None:
    """Refuse a client of another machine if the gateway has loopback names only.

    Args:
        address: Address of the client; None if it came over a socket file.
        hosts: Host names, without ports, under which the gateway may be reached.

    Raises:
        StudioError: The client is on another machine (403).
    """
    if address is None or not set(hosts) <= set(LOOPBACK_NAMES):
        return
    if not _is_loopback(address):
        raise StudioError(
            403, "other-machine", "Other machine", "This gateway answers programs on its own machine only."
        )


def check_origin(host: str, origin: str | None, fetch_site: str | None, hosts: Collection[str]) -> None:
    """Refuse a request that a page of another origin may have sent.

    Args:
        host: Header `Host`.
        origin: Header `Origin`; None if there is none, as with programs and with a page's own GET.
        fetch_site: Header `Sec-Fetch-Site`; None if there is none.
        hosts: Host names, without ports, under which the gateway may be reached.

    Raises:
        StudioError: The host name is not one of them (421), or the request comes from another origin (403).
    """
    if _without_port(host) not in hosts:
        raise StudioError(
            421,
            "wrong-host",
            "Wrong host",
            "This gateway does not answer under this host name; open the address that it printed at its start.",
        )
    if origin is not None and origin.partition("://")[2] != host:
        raise StudioError(403, "other-origin", "Other origin", "Only the studio's own page may use this gateway.")
    if fetch_site in {"cross-site", "same-site"}:
        raise StudioError(403, "other-origin", "Other origin", "Only the studio's own page may use this gateway.")


def _is_loopback(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()
