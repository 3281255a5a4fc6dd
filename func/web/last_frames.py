"""Completion of sessions. Last frames wait for the other frames in the event loop, without a thread."""

import asyncio
from functools import partial

from func.errors import BusyError, ScoringBusyError
from func.session.completion import Completer, Done, LastFrame, Wait
from func.settings import Settings
from func.web.metrics import Metrics
from func.web.stages import Stage
from func.web.waiting_list import WaitingList

SCORING_WAIT_S = 30.0
"""Maximum time that a complete session waits for a scoring place."""

_STEP_THREADS = 8
"""Threads that read sessions and deliver results; each call takes milliseconds unless an upstream service hangs."""


class LastFrames:
    """Completes sessions: waits in the event loop, runs steps in threads, and scores in the scoring places."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._metrics = metrics
        self._waiting = WaitingList(places=settings.max_waiting, places_per_viewer=settings.max_waiting_per_viewer)
        self._steps = Stage(
            "complete", places=_STEP_THREADS, wait_s=SCORING_WAIT_S, make_busy_error=lambda _: BusyError()
        )
        self._scoring = Stage(
            "score",
            places=settings.scoring_places,
            wait_s=SCORING_WAIT_S,
            make_busy_error=lambda _: ScoringBusyError(),
        )
        self._running: set[asyncio.Task[Done]] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def scoring_queue_length(self) -> int:
        """Number of complete sessions that wait for a scoring place."""
        return self._scoring.queue_length

    async def complete(self, completer: Completer, last: LastFrame, *, peer: str) -> Done:
        """Complete a session and return the outcome. Completion continues even if the caller is cancelled.

        Raises:
            WaitingListFullError: Too many last frames are waiting, in total or from this client.
            ScoringBusyError: No scoring place became free in time.
            GazeError: See `Completer.advance`.
        """
        task = asyncio.ensure_future(self._complete(completer, last, peer))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    def close(self) -> None:
        """Accept no more work."""
        self._steps.close()
        self._scoring.close()

    async def _complete(self, completer: Completer, last: LastFrame, peer: str) -> Done:
        with self._waiting.enter(viewer=last.ip_address, peer=peer):
            step = await self._steps.run(partial(completer.begin, last))
            while not isinstance(step, Done):
                stage = self._scoring
                if isinstance(step, Wait):
                    stage = self._steps
                    if step.pause_s > 0:
                        with self._metrics.time_stage("wait"):
                            await asyncio.sleep(step.pause_s)
                step = await stage.run(partial(completer.advance, step))
            return step
