"""How long requests wait and how many are lost: the formulas of queueing theory that the capacity plan uses.

Erlang (1917) for the servers of a pod, with Allen and Cunneen's correction for service times that vary less than
exponential ones; mean value analysis (Reiser and Lavenberg 1980) for clients who wait for each answer.
"""

import math


def probability_of_waiting(servers: int, load: float) -> float:
    """Return Erlang's C: the share of requests that find every server busy; 1.0 from full load on.

    Args:
        servers: How many work at a time.
        load: Arrival rate × mean service time, in servers.
    """
    if load >= servers:
        return 1.0
    blocked = probability_of_blocking(servers, load)
    return blocked / (1 - load / servers * (1 - blocked))


def probability_of_blocking(servers: int, load: float) -> float:
    """Return Erlang's B: the share of requests that are refused where none may wait.

    Args:
        servers: How many work at a time.
        load: Arrival rate × mean service time, in servers.
    """
    # The recurrence never overflows, unlike the quotient of powers and factorials.
    blocked = 1.0
    for count in range(1, servers + 1):
        blocked = load * blocked / (count + load * blocked)
    return blocked


def mean_wait_s(servers: int, rate: float, service_s: float, *, variation: float = 1.0) -> float:
    """Return the mean wait before service in an M/G/c queue; infinite from full load on.

    Allen and Cunneen: (1 + variation²) / 2 times the wait of M/M/c.

    Args:
        servers: How many work at a time.
        rate: Arrivals a second, at random moments.
        service_s: Mean service time.
        variation: Standard deviation of the service time over its mean: 0 constant, 1 exponential.
    """
    load = rate * service_s
    if load >= servers:
        return math.inf
    return (1 + variation**2) / 2 * probability_of_waiting(servers, load) * service_s / (servers - load)


def closed_throughput(clients: int, demand_s: float, *, servers: int, think_s: float = 0.0) -> float:
    """Return the requests a second of clients who send the next one when the last is answered.

    Exact mean value analysis of one station; several servers count as one that is faster by their number and a delay
    for the rest of the demand (Seidmann, Schweitzer and Shalev-Oren 1987).

    Args:
        clients: How many.
        demand_s: Work of a request at the station.
        servers: Of the station.
        think_s: Between an answer and the next request.
    """
    queued, throughput = 0.0, 0.0
    single_s = demand_s / servers
    for count in range(1, clients + 1):
        waited_s = single_s * (1 + queued)
        throughput = count / (think_s + (demand_s - single_s) + waited_s)
        queued = throughput * waited_s
    return throughput
