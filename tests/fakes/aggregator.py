"""A result aggregator in memory."""

import math


class FakeResultSink:
    """Keeps what arrives; repeats under one key count once."""

    def __init__(self):
        self.results = {}
        """The first result under each idempotency key."""
        self.deliveries = []
        """Every key that came, in order."""
        self.error = None
        """Raised by every delivery while it is set."""
        self.is_up = True

    def send_result(self, final_result, video_id, ip_address, *, session_id, score_valid, coverage, idempotency_key):
        if not (math.isfinite(final_result) and 0 <= final_result <= 100):
            raise ValueError(f"final_result must lie between 0 and 100, not {final_result}")
        if not math.isfinite(coverage):
            raise ValueError(f"coverage must be finite, not {coverage}")
        if self.error is not None:
            raise self.error
        self.deliveries.append(idempotency_key)
        self.results.setdefault(
            idempotency_key,
            {
                "video_id": video_id,
                "final_score": final_result,
                "ip_address": ip_address,
                "model_type": "gaze",
                "session_id": session_id,
                "score_valid": score_valid,
                "coverage": coverage,
            },
        )

    def is_reachable(self):
        return self.is_up
