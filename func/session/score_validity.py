"""Whether a session has enough frames for its score to say anything."""

from func.session.result_codes import InvalidReason
from gaze_core.attention import Attention
from gaze_core.intervals import MIN_INTERVAL_FRAMES
from gaze_core.saliency import SALIENT_SHARE

MIN_SCORED_FRAMES = MIN_INTERVAL_FRAMES
"""With fewer frames there is no interval, so nothing says how far the score is from chance."""

MIN_SHARE = SALIENT_SHARE
"""Smallest share of frames that can say something about the others.

If every frame seen is a hit and every other one a miss, the score of the whole viewing is this share. Below the chance
level of a usual map, even a perfect score does not show that the viewing was better than chance.
"""


def find_weakness(attention: Attention | None, *, usable: int, expected: int) -> InvalidReason | None:
    """Return why a score says nothing; None if it does.

    Args:
        attention: Statistics of the scored frames; None without any.
        usable: Number of frames whose gaze and moment in the video are known.
        expected: Number of expected frames.
    """
    if attention is None:
        return "nothing_scored"
    if attention.frames - attention.flat < MIN_SHARE * attention.frames:
        return "flat_maps"
    if attention.frames < MIN_SCORED_FRAMES:
        return "too_few_frames"
    return "low_coverage" if usable < MIN_SHARE * expected else None
