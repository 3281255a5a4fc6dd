"""Result aggregator over HTTP."""

import math
from pathlib import Path

from func.adapters.http_client import HttpClient, UpstreamErrors
from func.adapters.upstream_observer import UpstreamObserver
from gaze_core.errors import ResultSinkBusyError, ResultSinkError, ResultSinkRefusedError, ResultSinkTimeoutError

MODEL_TYPE = "gaze"


class HttpResultSink:
    """Delivers scores to the aggregator. Repeats have no effect if it supports idempotency keys."""

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float,
        retries: int,
        proxy: str | None = None,
        ca_bundle: Path | None = None,
        observer: UpstreamObserver | None = None,
    ) -> None:
        """Prepare to call the aggregator, without connecting.

        Args:
            base_url: URL of the aggregator.
            timeout_s: Timeout of one attempt.
            retries: Maximum number of retries.
            proxy: URL of a proxy; None for none.
            ca_bundle: PEM file of the certificate authorities to trust; None for those of certifi.
            observer: Counts and times the calls; None for nobody.

        Raises:
            ValueError: A value is out of range.
        """
        self._client = HttpClient(
            base_url,
            service="aggregator",
            errors=UpstreamErrors(ResultSinkError, ResultSinkTimeoutError, ResultSinkBusyError, ResultSinkRefusedError),
            timeout_s=timeout_s,
            retries=retries,
            proxy=proxy,
            ca_bundle=ca_bundle,
            observer=observer,
        )

    def send_result(
        self,
        final_result: float,
        video_id: str,
        ip_address: str,
        *,
        session_id: str,
        score_valid: bool,
        coverage: float,
        idempotency_key: str,
    ) -> None:
        """Deliver a score from 0 to 100. Repeating the call with the same idempotency key has no further effect.

        Raises:
            ValueError: The score is not between 0 and 100, or the coverage is not finite.
            ResultSinkError: The aggregator failed or refused the result.
            ResultSinkTimeoutError: The aggregator did not answer in time.
        """
        if not (math.isfinite(final_result) and 0.0 <= final_result <= 100.0):
            raise ValueError(f"final_result must lie between 0 and 100, not {final_result}")
        if not math.isfinite(coverage):
            raise ValueError(f"coverage must be finite, not {coverage}")
        answer = self._client.call(
            "POST",
            ("aggregate",),
            expected=(200,),
            payload={
                "video_id": video_id,
                "final_score": final_result,
                "ip_address": ip_address,
                "model_type": MODEL_TYPE,
                "session_id": session_id,
                "score_valid": score_valid,
                "coverage": coverage,
            },
            headers={"Idempotency-Key": idempotency_key},
        )
        if answer.body.get("status") != "success":
            raise ResultSinkError("aggregator: POST /aggregate was answered 200 without status success")

    def is_reachable(self) -> bool:
        """Return whether the aggregator answers."""
        return self._client.is_reachable()
