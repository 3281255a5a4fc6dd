"""The connections of one process to one upstream service."""

import ssl
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from urllib3 import PoolManager, ProxyManager, make_headers
from urllib3.util import parse_url

from func.adapters.direct_http import DirectConnections
from func.adapters.limited_socket import POOLS_BY_SCHEME

_MAX_CONNECTIONS = 1000
"""Connections kept open: at least as many as a process may have threads."""


@dataclass(frozen=True, slots=True)
class UpstreamConnections:
    """Connections of one process; they must not be shared across a fork.

    Attributes:
        general: Calls through a proxy, and probes.
        direct: Calls without a proxy.
    """

    general: PoolManager
    direct: DirectConnections


def make_connections(base_url: str, tls: ssl.SSLContext | None, proxy: str | None) -> UpstreamConnections:
    """Return connections that are opened at first use.

    Args:
        base_url: URL of the service.
        tls: Context for `https`, of the service and of the proxy.
        proxy: URL of an HTTP proxy, with user and password if it needs them; None for none.
    """
    pools: PoolManager
    if proxy is None:
        pools = PoolManager(maxsize=_MAX_CONNECTIONS, ssl_context=tls)
    else:
        parts = urlsplit(proxy)
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else None
        pools = ProxyManager(
            proxy,
            proxy_headers=make_headers(proxy_basic_auth=user),
            proxy_ssl_context=tls,
            maxsize=_MAX_CONNECTIONS,
            ssl_context=tls,
        )
    pools.pool_classes_by_scheme = POOLS_BY_SCHEME
    return UpstreamConnections(pools, DirectConnections(parse_url(base_url), tls))
