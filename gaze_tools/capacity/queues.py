"""Formulas of queueing theory for waiting times and refused requests.

Erlang (1917) for the servers of a pod, with Allen and Cunneen's correction for service times that vary less than
exponential ones; mean value analysis (Reiser and Lavenberg 1980) for clients that wait for each response.
"""

import math


def probability_of_waiting(servers: int, load: float) -> float:
    """Return Erlang's C, the share of requests that find every server busy; 1.0 at full load and above.

    Args:
        servers: Number of servers.
        load: Arrival rate times mean service time, in servers.
    """
    if load >= servers:
        return 1.0
    blocked = probability_of_blocking(servers, load)
    return blocked / (1 - load / servers * (1 - blocked))


def probability_of_blocking(servers: int, load: float) -> float:
    """Return Erlang's B, the share of requests that are refused if none can wait.

    Args:
        servers: Number of servers.
        load: Arrival rate times mean service time, in servers.
    """
    # The recurrence does not overflow, unlike the formula with powers and factorials.
    blocked = 1.0
    for count in range(1, servers + 1):
        blocked = load * blocked / (count + load * blocked)
    return blocked


def mean_wait_s(servers: int, rate: float, service_s: float, *, variation: float = 1.0) -> float:
    """Return the mean wait before service in an M/G/c queue; infinite at full load and above.

    Allen and Cunneen: (1 + variation²) / 2 times the wait of M/M/c.

    Args:
        servers: Number of servers.
        rate: Random arrivals per second.
        service_s: Mean service time.
        variation: Coefficient of variation of the service time: 0 constant, 1 exponential.
    """
    load = rate * service_s
    if load >= servers:
        return math.inf
    return (1 + variation**2) / 2 * probability_of_waiting(servers, load) * service_s / (servers - load)


def closed_throughput(clients: int, demand_s: float, *, servers: int, think_s: float = 0.0) -> float:
    """Return the requests per second of clients that send the next request when the last one is answered.

    Exact mean value analysis of one station; several servers are modelled as one proportionally faster server and a
    delay for the rest of the demand (Seidmann, Schweitzer and Shalev-Oren 1987).

    Args:
        clients: Number of clients.
        demand_s: Service time of a request.
        servers: Number of servers of the station.
        think_s: Time between a response and the next request.
    """
    queued, throughput = 0.0, 0.0
    single_s = demand_s / servers
    for count in range(1, clients + 1):
        waited_s = single_s * (1 + queued)
        throughput = count / (think_s + (demand_s - single_s) + waited_s)
        queued = throughput * waited_s
    return throughput
