"""Several frames in one request: detected one by one, stored in one update.

A batch keeps at most as many frames in the detection stage as there are landmarkers, so frames of other requests wait
for one of its frames, not for all. A frame that fails does not affect the others.
"""

import asyncio
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from func.bootstrap import Application
from func.deadline import find_deadline
from func.errors import DetectionBusyError
from func.settings import Settings
from func.web.answers import Answer, answer_error, answer_json
from func.web.batch_request import BatchEntry, ParsedBatch
from func.web.bodies import ClientGoneError
from func.web.exchange import Exchange
from func.web.frame_steps import FrameSteps
from func.web.metrics import Metrics
from func.web.problems import find_problem
from func.web.stages import Stage
from gaze_core.detector import GazeDetector
from gaze_core.errors import GazeError, SessionScoredError

_REPEATED = frozenset({502, 503, 504})
"""Statuses after which the same request may succeed."""

_DETECTION_SHARE = 0.5
"""Share of a request's time after which no further frame of a batch is detected, so that there is time to store."""

Outcome = Mapping[str, Any] | Exception
"""Answer to a frame, or why it has none."""


@dataclass(frozen=True, slots=True)
class _Detected:
    """A frame that can be stored."""

    at: int
    steps: FrameSteps
    detector: GazeDetector
    record: dict[str, Any]


class Batches:
    """Detects and stores the frames of requests with several. Belongs to one event loop."""

    def __init__(self, settings: Settings, metrics: Metrics, detection: Stage, storing: Stage) -> None:
        """Use the stages of single frames.

        Args:
            settings: Limits and timeouts.
            metrics: Metrics of the process.
            detection: Stage in which frames are detected.
            storing: Stage in which sessions are read and written.
        """
        self._settings = settings
        self._metrics = metrics
        self._detection = detection
        self._storing = storing

    async def process(
        self, exchange: Exchange, application: Application, batch: ParsedBatch, viewing_start_ms: int | None
    ) -> list[Outcome | None]:
        """Detect and store the frames; return the outcome of each, None for a last frame without an image.

        Raises:
            ClientGoneError: The client closed the connection; frames detected before are stored.
            GazeError: The session's calibration cannot be read in time.
        """
        every_steps = [
            FrameSteps(
                application,
                self._metrics,
                self._settings.max_image_pixels,
                frame.metadata,
                viewing_start_ms,
                warnings=(),
            )
            for frame in batch.frames
        ]
        detectors = await self._find_detectors(batch, every_steps)
        outcomes: list[Outcome | None] = [frame.error for frame in batch.frames]
        detected: list[_Detected] = []
        # The session needs the last frame even if its client is gone.
        gone = None if batch.find_last() is not None else asyncio.ensure_future(exchange.wait_until_gone())
        waiting = iter([at for at, frame in enumerate(batch.frames) if frame.image is not None])

        async def detect_in_turn() -> None:
            for at in waiting:  # shared by all tasks, each of which takes the next frame
                found = await self._detect(at, every_steps[at], detectors[at], batch.frames[at], gone)
                if isinstance(found, _Detected):
                    detected.append(found)
                else:
                    outcomes[at] = found

        try:
            places = min(self._settings.landmarkers, len(batch.frames))
            await asyncio.gather(*(detect_in_turn() for _ in range(places)))
        finally:
            if gone is not None:
                gone.cancel()
        detected.sort(key=lambda each: each.at)
        for found, outcome in zip(detected, await self._store(detected), strict=True):
            outcomes[found.at] = outcome
        if any(isinstance(outcome, ClientGoneError) for outcome in outcomes):
            raise ClientGoneError
        return outcomes

    async def _find_detectors(self, batch: ParsedBatch, every_steps: Sequence[FrameSteps]) -> list[GazeDetector]:
        def find() -> list[GazeDetector]:
            return [steps.find_detector() for steps in every_steps]

        return find() if batch.metadata.calibration_session is None else await self._storing.run(find)

    async def _detect(
        self,
        at: int,
        steps: FrameSteps,
        detector: GazeDetector,
        frame: BatchEntry,
        gone: "asyncio.Future[None] | None",
    ) -> _Detected | Exception:
        if gone is not None and gone.done():
            return ClientGoneError()
        deadline = find_deadline()
        if deadline is not None and deadline.remaining_s() < _DETECTION_SHARE * self._settings.request_timeout_s:
            return DetectionBusyError(self._detection.expect_wait_s())
        assert frame.image is not None  # noqa: S101 - callers leave out frames without an image
        detect = partial(steps.detect, detector, frame.image)
        watch = None if gone is None else partial(asyncio.shield, gone)
        try:
            return _Detected(at, steps, detector, await self._detection.run(detect, gone=watch))
        except Exception as error:
            return error

    async def _store(self, detected: Sequence[_Detected]) -> Sequence[Outcome]:
        if not detected:
            return []
        try:
            return await self._storing.run(partial(_store_together, self._metrics, detected))
        except Exception as error:
            return [error] * len(detected)


def answer_batch(metrics: Metrics, batch: ParsedBatch, outcomes: Sequence[Outcome]) -> Answer:
    """Return the answer to a batch: 200 if at least one frame has an answer, else a problem document.

    The problem is that of the first frame that is worth repeating, else that of the first frame.
    """
    entries: list[Mapping[str, Any]] = []
    problems: list[Answer] = []
    for frame, outcome in zip(batch.frames, outcomes, strict=True):
        if not isinstance(outcome, Exception):
            entries.append(outcome)
            continue
        metrics.count_failure(outcome)
        problem = answer_error(outcome, uuid.uuid4(), frame_number=frame.metadata.frame_number)
        problems.append(problem)
        wait = {"retry_after_s": int(problem.headers["Retry-After"])} if "Retry-After" in problem.headers else {}
        entries.append(json.loads(problem.body) | {"frame_number": frame.metadata.frame_number} | wait)
    if len(problems) == len(entries):
        worst = next((problem for problem in problems if problem.status in _REPEATED), problems[0])
        document = json.loads(worst.body) | {"frames": entries}
        return answer_json(worst.status, document, worst.content_type, worst.headers)
    answer: dict[str, Any] = {
        "status": "partial" if problems else "success",
        "message": "Frames processed",
        "session_id": batch.metadata.session_id,
        "frames": entries,
    }
    if batch.warnings:
        answer["warnings"] = list(batch.warnings)
    return answer_json(200, answer)


def is_worth_repeating(outcome: Outcome | None) -> bool:
    """Return whether a frame failed but may succeed when it is sent again."""
    return isinstance(outcome, GazeError) and find_problem(outcome).status in _REPEATED


def _store_together(metrics: Metrics, detected: Sequence[_Detected]) -> list[Outcome]:
    """Store the records of frames in one update and return their answers."""
    steps = detected[0].steps
    metadata = steps.metadata
    try:
        with metrics.time_stage("store"):
            update = steps.application.sessions.update_frames(
                metadata.session_id,
                {each.steps.metadata.frame_number: each.record for each in detected},
                ip_address=metadata.ip_address,
                video_id=metadata.video_id,
            )
    except SessionScoredError:
        # Some of them may be stored already and get their answers again.
        return [_try(partial(each.steps.store, each.detector, each.record)) for each in detected]
    return [_try(partial(each.steps.answer, each.detector, each.record, update)) for each in detected]


def _try(work: Callable[[], dict[str, Any]]) -> Outcome:
    try:
        return work()
    except Exception as error:
        return error
