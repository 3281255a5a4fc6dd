"""POST /gaze: from a request to the answer, through the stages.

`batches` does the same for several frames in one request.

A frame is refused early if it would wait too long. Otherwise its body is read and parsed, its tokens are checked, and
`FrameSteps` runs in the threads of the stages: detection in one stage, storing in the other. A last frame then waits
for the other frames and is scored, without keeping a landmarker or a thread of these stages.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from func.bootstrap import Application
from func.deadline import limit_calls
from func.errors import DetectionBusyError, ThreadsBusyError, UnsupportedMediaTypeError
from func.session.completion import Done, LastFrame
from func.session_token import TokenVerifier
from func.settings import Settings
from func.tracing import find_trace
from func.web.answer_warnings import warn_of_other_video
from func.web.answers import Answer, answer_json
from func.web.batch_request import ParsedBatch, parse_json_body, parse_multipart_body
from func.web.batches import Batches, Outcome, answer_batch, is_worth_repeating
from func.web.bodies import Bodies
from func.web.exchange import Exchange
from func.web.frame_answers import answer_completed
from func.web.frame_steps import FrameSteps
from func.web.last_frames import LastFrames
from func.web.metrics import Metrics
from func.web.request import ParsedFrame
from func.web.stages import Stage
from func.web.tokens import check_tokens

_MAX_INLINE_BYTES = 256 * 1024
"""Maximum body size to parse in the event loop: parsing takes about 1 ms, and switching threads may take longer."""

_PATIENCE = 3.0
"""How much longer than expected an admitted frame may wait: a late refusal wastes the time spent waiting."""


class Frames:
    """Answers frames. Belongs to one event loop."""

    def __init__(self, settings: Settings, metrics: Metrics, load: Callable[[], Awaitable[Application]]) -> None:
        """Create the stages and register their metrics.

        Args:
            settings: Limits and timeouts.
            metrics: Metrics of the process.
            load: Returns the application, building it if necessary.
        """
        self._settings = settings
        self._metrics = metrics
        self._load = load
        self._bodies = Bodies(
            max_bytes=settings.max_body_bytes,
            timeout_s=settings.body_timeout_s,
            max_total_bytes=settings.max_bodies_bytes,
        )
        self._detection = Stage(
            "detect",
            places=settings.landmarkers,
            wait_s=settings.landmarker_wait_s,
            make_busy_error=DetectionBusyError,
            patience=_PATIENCE,
        )
        self._storing = Stage(
            "store",
            places=settings.threads,
            wait_s=settings.landmarker_wait_s,
            make_busy_error=ThreadsBusyError,
            patience=_PATIENCE,
        )
        self._batches = Batches(settings, metrics, self._detection, self._storing)
        self._last_frames = LastFrames(settings, metrics)
        self._verifier = TokenVerifier(settings.token_keys) if settings.token_keys else None
        metrics.watch_queue("detect", lambda: self._detection.queue_length)
        metrics.watch_queue("store", lambda: self._storing.queue_length)
        metrics.watch_queue("score", lambda: self._last_frames.scoring_queue_length)
        metrics.watch_waiting(lambda: len(self._last_frames))
        metrics.watch_body_bytes(lambda: self._bodies.total_bytes)

    async def answer(self, exchange: Exchange) -> Answer:
        """Return the answer to a frame; one that would wait too long is refused before its body is read.

        Raises:
            ClientGoneError: The client closed the connection.
            GazeError: The request is invalid, or processing failed.
        """
        parse = choose_parser(exchange)
        self._bodies.check_size(exchange.content_length or 0)
        self.check_load()
        with self._metrics.time_stage("receive"):
            body = await self._bodies.read(exchange.receive, exchange.content_length)
        with self._bodies.hold(len(body)):
            parsed = await self._parse(parse, body)
            del body
            _note_frame(parsed)
            viewing_start_ms = check_tokens(self._verifier, parsed.metadata)
            application = await self._load()
            with limit_calls(self._settings.request_timeout_s):
                if isinstance(parsed, ParsedBatch):
                    outcomes = await self._batches.process(exchange, application, parsed, viewing_start_ms)
                else:
                    answer = await self._process(exchange, application, parsed, viewing_start_ms)
        if isinstance(parsed, ParsedBatch):
            parsed = parsed.drop_images()
            done = await self._complete_batch(exchange, application, parsed, viewing_start_ms, outcomes)
            return answer_batch(self._metrics, parsed, done)
        if parsed.metadata.last_frame:
            has_image = parsed.image is not None
            parsed = replace(parsed, image=None)  # frees the memory while the last frame waits
            with limit_calls(self._settings.last_frame_timeout_s):
                answer = await self._complete(exchange, application, parsed, viewing_start_ms, has_image=has_image)
        return answer_json(200, answer)

    def check_load(self) -> None:
        """Raise BusyError if a frame that arrives now would wait too long."""
        for stage in (self._detection, self._storing):
            stage.check()

    def close(self) -> None:
        """Accept no more work."""
        for stage in (self._detection, self._storing, self._last_frames):
            stage.close()

    async def _parse(
        self, parse: Callable[[bytes], ParsedFrame | ParsedBatch], body: bytes
    ) -> ParsedFrame | ParsedBatch:
        def parse_timed() -> ParsedFrame | ParsedBatch:
            with self._metrics.time_stage("parse"):
                return parse(body)

        if len(body) <= _MAX_INLINE_BYTES:
            return parse_timed()
        return await self._detection.run(parse_timed)

    async def _process(
        self, exchange: Exchange, application: Application, parsed: ParsedFrame, viewing_start_ms: int | None
    ) -> dict[str, Any] | None:
        """Detect and store one frame; None for a last frame without an image."""
        metadata, image = parsed.metadata, parsed.image
        if image is None:
            return None
        steps = FrameSteps(
            application,
            self._metrics,
            self._settings.max_image_pixels,
            metadata,
            viewing_start_ms,
            parsed.warnings,
        )
        # The session needs the last frame even if its client is gone.
        gone = None if metadata.last_frame else exchange.wait_until_gone
        if metadata.calibration_session is None:
            detector = steps.find_detector()
        else:
            detector = await self._storing.run(steps.find_detector, gone=gone)
        record = await self._detection.run(partial(steps.detect, detector, image), gone=gone)
        return await self._storing.run(partial(steps.store, detector, record))

    async def _complete_batch(
        self,
        exchange: Exchange,
        application: Application,
        batch: ParsedBatch,
        viewing_start_ms: int | None,
        outcomes: Sequence[Outcome | None],
    ) -> list[Outcome]:
        """Complete the session if a frame of the batch is its last one; return the outcome of each frame.

        While a frame of the batch may still be stored by a repeat, the session is not scored.
        """
        last = batch.find_last()
        if last is not None and not isinstance(outcomes[last], Exception):
            has_image = outcomes[last] is not None
            parsed = ParsedFrame(batch.frames[last].metadata, None)
            outcome: Outcome | None = next(filter(is_worth_repeating, outcomes), None)
            if outcome is None:
                try:
                    with limit_calls(self._settings.last_frame_timeout_s):
                        outcome = await self._complete(
                            exchange, application, parsed, viewing_start_ms, has_image=has_image
                        )
                except Exception as error:
                    outcome = error
            outcomes = [*outcomes[:last], outcome, *outcomes[last + 1 :]]
        return [outcome for outcome in outcomes if outcome is not None]

    async def _complete(
        self,
        exchange: Exchange,
        application: Application,
        parsed: ParsedFrame,
        viewing_start_ms: int | None,
        *,
        has_image: bool,
    ) -> dict[str, Any]:
        """Wait for the other frames of the session, score it and return the answer to its last frame."""
        metadata = parsed.metadata
        last = LastFrame(
            session_id=metadata.session_id,
            video_id=metadata.video_id,
            ip_address=metadata.ip_address,
            frame_number=metadata.frame_number,
            has_image=has_image,
            total_frames=metadata.total_frames,
            viewing_start_ms=viewing_start_ms,
        )
        with self._metrics.time_stage("score"):
            done = await self._last_frames.complete(application.completer, last, peer=exchange.peer)
        self._metrics.count_score(is_valid=done.result.score_valid)
        _note_completion(done)
        other_video = warn_of_other_video(metadata.video_id, done.result.video_id or None)
        return answer_completed(metadata.session_id, done.result, [*parsed.warnings, *done.warnings, *other_video])


def choose_parser(exchange: Exchange) -> Callable[[bytes], ParsedFrame | ParsedBatch]:
    """Return the parser for the content type of a request.

    Raises:
        UnsupportedMediaTypeError: The content type or encoding is not supported.
    """
    if exchange.content_encoding != "identity":
        raise UnsupportedMediaTypeError("the body must not be compressed")
    media_type, parameters = exchange.read_content_type()
    if media_type == "application/json":
        return parse_json_body
    if media_type == "multipart/form-data" and parameters.get("boundary"):
        return partial(parse_multipart_body, boundary=parameters["boundary"])
    if media_type == "multipart/form-data":
        raise UnsupportedMediaTypeError("the content type lacks the boundary; let the HTTP library set this header")
    sent = f", not {media_type}" if re.fullmatch(r"[a-z0-9.+-]{1,40}/[a-z0-9.+-]{1,80}", media_type) else ""
    if not media_type:
        sent = "; the header Content-Type is missing"
    raise UnsupportedMediaTypeError(f"the body must be application/json or multipart/form-data with a boundary{sent}")


def _note_frame(parsed: ParsedFrame | ParsedBatch) -> None:
    """Let log lines name the session and the frame, or how many frames there are."""
    trace = find_trace()
    if trace is not None:
        trace.session_id = parsed.metadata.session_id
        if isinstance(parsed, ParsedBatch):
            trace.outcome["frames"] = len(parsed.frames)
        else:
            trace.frame_number = parsed.metadata.frame_number


def _note_completion(done: Done) -> None:
    """Let the log line of a last frame say how its session ended."""
    trace = find_trace()
    if trace is not None:
        result = done.result
        trace.outcome |= {
            "outcome": done.outcome.value,
            "score_valid": result.score_valid,
            "reason": result.score_invalid_reason,
            "frames_expected": result.frames.expected,
            "frames_received": result.frames.received,
            "frames_scored": result.frames.scored,
        }
