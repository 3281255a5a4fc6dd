import threading

import pytest
from pytest import approx

from gaze_tools.bench.open_loop import OpenLoopOutcome, send_at_fixed_rate


class ServerWithPauses:
    """Answers after 10 ms, apart from some requests; time passes only while somebody waits.

    Args:
        pauses_s: Time to the answer by number of the request.
    """

    def __init__(self, pauses_s):
        self.now_s = 50.0
        self.sent_at_s = []
        self._pauses_s = pauses_s

    def clock(self):
        return self.now_s

    def sleep(self, seconds):
        self.now_s += seconds

    def send(self, number):
        self.sent_at_s.append(self.now_s - 50.0)
        self.now_s += self._pauses_s.get(number, 0.01)

    def measure(self, rate_per_s, count):
        return send_at_fixed_rate(
            [self.send], rate_per_s=rate_per_s, count=count, clock=self.clock, sleep=self.sleep
        ).latencies_s


def test_requests_are_sent_when_they_are_due():
    server = ServerWithPauses({})

    latencies_s = server.measure(10, 4)

    assert server.sent_at_s == approx([0.0, 0.1, 0.2, 0.3])
    assert latencies_s == approx([0.01, 0.01, 0.01, 0.01])


def test_a_pause_of_the_server_counts_for_all_requests_that_were_due_during_it():
    server = ServerWithPauses({1: 1.0})

    latencies_s = server.measure(10, 5)

    assert server.sent_at_s == approx([0.0, 0.1, 1.1, 1.11, 1.12])
    assert latencies_s == approx([0.01, 1.0, 0.91, 0.82, 0.73])


def test_a_request_does_not_wait_for_the_answer_to_an_earlier_one_while_a_sender_is_free():
    last_was_sent = threading.Event()

    def send(number):
        if number == 0:
            assert last_was_sent.wait(60)
        elif number == 3:
            last_was_sent.set()

    assert len(send_at_fixed_rate([send, send], rate_per_s=1000, count=4).latencies_s) == 4


def test_a_failed_request_is_an_error():
    def send(number):
        raise RuntimeError("503")

    with pytest.raises(RuntimeError, match="503"):
        send_at_fixed_rate([send], rate_per_s=1000, count=3)


def test_a_rate_is_positive():
    with pytest.raises(ValueError, match="a rate of 0 requests per second is not positive"):
        send_at_fixed_rate([print], rate_per_s=0.0, count=1)


def test_median_and_99th_percentile_are_those_of_all_latencies():
    outcome = OpenLoopOutcome(tuple(float(value) for value in range(101)))

    assert (outcome.median_s, outcome.p99_s) == (50.0, 99.0)
