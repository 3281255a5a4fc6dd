"""Result aggregator in memory."""

import math


class FakeResultSink:
    """Keeps all results; repeats with the same key have no effect."""

    def __init__(self):
        self.results = {}
        """First result with each idempotency key."""
        self.deliveries = []
        """Idempotency keys of all deliveries, in order."""
        self.error = None
        """Error to raise on every delivery; None for none."""
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
