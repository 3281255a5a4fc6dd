"""Result of a session, as stored in the session API and returned to the client."""

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from func.session.result_codes import InvalidReason, WarningCode
from func.session.result_example import RESULT_EXAMPLE
from gaze_core.attention import Attention
from gaze_core.errors import SessionStoreError
from gaze_core.intervals import Estimate

RESULT_VERSION = 1

Percent = Annotated[float, Field(ge=0, le=100)]

Count = Annotated[int, Field(ge=0)]

Interval = Annotated[list[float], Field(min_length=2, max_length=2)]


class ResultPart(BaseModel):
    """Part of the result: frozen, strict (`true` is not a number); keys of later versions are kept."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="allow",
        allow_inf_nan=False,
        json_schema_serialization_defaults_required=True,
    )


class FrameCounts(ResultPart):
    """Number of frames that reached each stage of scoring."""

    expected: Annotated[Count, Field(description="Frames that the last request promised.")] = 0
    received: Annotated[Count, Field(description="Frames in the session that belong to the video.")] = 0
    valid: Annotated[Count, Field(description="Received frames with a usable gaze.")] = 0
    scored: Annotated[Count, Field(description="Valid frames with a usable saliency map.")] = 0
    hits: Annotated[Count, Field(description="Scored frames whose gaze lies in the most salient 30 % of the map.")] = 0
    off_video: Annotated[Count, Field(description="Scored frames whose gaze is off the video; they are misses.")] = 0
    flat_map: Annotated[
        Count, Field(description="Scored frames whose map has no pixel that would be a hit; they are misses.")
    ] = 0


class LostFrames(ResultPart):
    """Number of expected frames without a score, by reason."""

    missing: Annotated[Count, Field(description="Never arrived, or expired with an earlier session.")] = 0
    no_face: Annotated[Count, Field(description="No face in the image.")] = 0
    eyes_closed: Annotated[Count, Field(description="Both eyes closed.")] = 0
    low_quality: Annotated[
        Count, Field(description="The face or the image is turned, the eyes are covered, or the image is bad.")
    ] = 0
    old_format: Annotated[Count, Field(description="Stored by an older service in pixels of an unknown frame.")] = 0
    unreadable: Annotated[Count, Field(description="Stored in an unknown format.")] = 0
    no_map: Annotated[Count, Field(description="The video has no saliency map for this moment.")] = 0
    bad_map: Annotated[Count, Field(description="The saliency map of this moment is unusable.")] = 0
    no_time: Annotated[Count, Field(description="Without `video_time_ms`, in a session where others have it.")] = 0


class CalibrationErrors(ResultPart):
    """Angular errors on calibration targets, in degrees; null with too few targets."""

    dots: Annotated[Count, Field(description="Calibration targets used.")] = 0
    frames: Annotated[Count, Field(description="Frames used.")] = 0
    accuracy_deg: Annotated[float | None, Field(description="Mean error of a target's mean gaze, degrees.")] = None
    frame_accuracy_deg: Annotated[float | None, Field(description="Mean error of one frame, degrees.")] = None
    precision_deg: Annotated[float | None, Field(description="Scatter around a target's mean gaze, degrees.")] = None
    generic_accuracy_deg: Annotated[float | None, Field(description="Mean error uncalibrated, degrees.")] = None


class DriftSummary(ResultPart):
    """Slow change of the gaze's offset during a viewing, from its validation targets.

    The columns are knots: the offset that is added to the calibrated gaze changes linearly between them.
    """

    used: Annotated[
        bool, Field(description="Whether the gaze is corrected; not if that does worse at left-out targets.")
    ]
    moments: Annotated[Count, Field(description="Number of times that a validation target was shown.")]
    accuracy_deg: Annotated[
        float | None,
        Field(description="Mean error at each validation target, corrected with what the others show, degrees."),
    ] = None
    times_s: Annotated[list[float], Field(description="Time of each knot since the first frame, seconds.")] = []
    right_deg: Annotated[list[float], Field(description="Offset to the right at each knot, head frame, degrees.")] = []
    up_deg: Annotated[list[float], Field(description="Offset upwards at each knot, head frame, degrees.")] = []


class CalibrationCheck(CalibrationErrors):
    """Angular errors on validation targets, to which the calibration was not fitted."""

    shift_deg: Annotated[
        list[float | None], Field(min_length=2, max_length=2, description="Mean offset right and up, degrees.")
    ] = [None, None]
    drifted: Annotated[bool | None, Field(description="Whether the calibration no longer fits; null if unknown.")] = (
        None
    )
    drift: Annotated[
        DriftSummary | None, Field(description="Correction of drift; absent or null outside a calibrated viewing.")
    ] = None


class CalibrationUse(ResultPart):
    """Whether the viewer's calibration was used."""

    used: Annotated[bool, Field(description="Whether it corrects the gaze.")] = False
    reason: Annotated[str | None, Field(description="Why it is not used; null when it is.")] = None
    fitted: Annotated[str | None, Field(description="What was fitted: `nothing`, `offset` or `full`.")] = None


class OtherViewer(ResultPart):
    """Doubt that the viewer is the one who was calibrated. It finds few of those cases; see docs/calibration.md."""

    suspected: Annotated[bool, Field(description="Whether somebody else is suspected.")]
    log_likelihood_ratio: Annotated[
        float, Field(description="Logarithm of how much likelier the differences are for two people than for one.")
    ]
    threshold: Annotated[float, Field(description="Value that it exceeds for 1 % of same viewers.")]
    traits: Annotated[Count, Field(description="Number of quantities compared.")]


class MirroredImages(ResultPart):
    """Doubt that the images of a calibration are flipped as `camera.mirrored` says; see docs/calibration.md."""

    suspected: Annotated[bool, Field(description="Whether `camera.mirrored` seems to be wrong.")]
    declared: Annotated[bool, Field(description="`camera.mirrored` of most frames of the calibration.")]
    swapped_share: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="Horizontal misfit of gaze and targets with left and right swapped, as a share of the sum of "
            "that and the misfit without; small if the images are not as declared.",
        ),
    ]
    threshold: Annotated[float, Field(description="Share below which they are suspected.")]
    dots: Annotated[Count, Field(description="Number of targets compared.")]


class CalibrationSummary(CalibrationErrors, CalibrationUse):
    """Calibration of the viewer: whether it was used, and its cross-validated errors on its own targets."""

    validation: Annotated[
        CalibrationCheck | None, Field(description="Errors on validation targets; null without such targets.")
    ] = None
    refreshed: Annotated[
        bool | None,
        Field(
            description="Whether an earlier calibration was refreshed; false if it is gone or unusable, absent if the "
            "calibration session names none."
        ),
    ] = None
    refreshed_by_deg: Annotated[
        list[float | None] | None,
        Field(min_length=2, max_length=2, description="Change of the offset by the refresh, right and up, degrees."),
    ] = None
    other_viewer: Annotated[
        OtherViewer | None,
        Field(description="Comparison with the viewer of the calibration; absent with too few frames to compare."),
    ] = None
    mirrored: Annotated[
        MirroredImages | None,
        Field(description="Whether the images seem to be mirrored; absent if the targets do not tell."),
    ] = None

    def as_json(self) -> dict[str, Any]:
        """Return the summary as JSON values."""
        return self.model_dump(mode="json", exclude_unset=True)


class EstimateSummary(ResultPart):
    """Statistic with its 95 % interval."""

    value: float
    interval_95: Annotated[Interval | None, Field(description="Lower and upper end; null when it is unknown.")] = None
    interval_reliable: Annotated[
        bool, Field(description="Whether the session is long enough for a reliable interval.")
    ] = False
    frames: Annotated[Count, Field(description="Number of frames in the statistic.")] = 0


class LagSummary(ResultPart):
    """Constant delay of the gaze relative to the video that fits better than no delay."""

    lag_s: Annotated[float, Field(description="Delay of the gaze, seconds.")]
    auc: Annotated[float, Field(description="Shuffled AUC at this lag, 0 to 1.")]
    auc_at_zero: Annotated[float, Field(description="Shuffled AUC without a lag, 0 to 1.")]


class Statistics(ResultPart):
    """Agreement of the gaze with the saliency maps; without a scored frame, all but `final_score` are null."""

    final_score: Annotated[
        Percent, Field(description="Share of hits among the scored frames, percent; 0 without a scored frame.")
    ]
    chance_level: Annotated[float | None, Field(description="Expected score of random gaze, percent.")] = None
    lift_points: Annotated[float | None, Field(description="Score minus chance level, percentage points.")] = None
    interval_95: Annotated[Interval | None, Field(description="95 % interval of the score, percent.")] = None
    interval_reliable: Annotated[
        bool, Field(description="Whether the session is long enough for reliable intervals.")
    ] = False
    block_length_s: Annotated[float | None, Field(description="Block length of the bootstrap, seconds.")] = None
    effective_samples: Annotated[float | None, Field(description="Equivalent number of independent frames.")] = None
    lift: Annotated[EstimateSummary | None, Field(description="`lift_points` with its interval.")] = None
    nss: Annotated[EstimateSummary | None, Field(description="Normalised scanpath saliency; 0 is chance.")] = None
    auc: Annotated[EstimateSummary | None, Field(description="AUC with ties averaged, 0 to 1; 0.5 is chance.")] = None
    shuffled_auc: Annotated[
        EstimateSummary | None, Field(description="AUC against the viewer's own other gazes, 0 to 1; 0.5 is chance.")
    ] = None
    lag: Annotated[LagSummary | None, Field(description="Null when no lag stands out.")] = None

    @staticmethod
    def from_attention(attention: Attention | None) -> "Statistics":
        """Return the rounded statistics; of None those of a session without a scored frame."""
        if attention is None:
            names = ("chance_level", "lift_points", "interval_95", "block_length_s", "effective_samples")
            nothing: dict[str, Any] = dict.fromkeys((*names, "lift", "nss", "auc", "shuffled_auc", "lag"))
            return Statistics(final_score=0.0, interval_reliable=False, **nothing)
        score, lag = attention.final_score_percent, attention.lag
        return Statistics(
            final_score=round(score.value, 2),
            chance_level=round(attention.chance_level_percent, 2),
            lift_points=round(attention.lift_points.value, 2),
            interval_95=_interval(score, 2),
            interval_reliable=score.interval_reliable,
            block_length_s=round_finite(score.block_s, 3),
            effective_samples=round_finite(score.effective_samples, 1),
            lift=_summarise(attention.lift_points, 2),
            nss=_summarise(attention.nss, 4),
            auc=_summarise(attention.auc, 4),
            shuffled_auc=_summarise(attention.shuffled_auc, 4),
            lag=None
            if lag is None
            else LagSummary(lag_s=round(lag.lag_s, 4), auc=round(lag.auc, 4), auc_at_zero=round(lag.auc_at_zero, 4)),
        )


class AccuracyStatistics(Statistics):
    """The same statistics on maps blurred to the accuracy of the gaze."""

    accuracy_deg: Annotated[float, Field(description="Mean angular error of one frame, degrees.")]
    source: Annotated[
        Literal["calibration", "setting"] | str,
        Field(description="Source of the accuracy. Later versions may have others."),
    ]


class GazeTrace(ResultPart):
    """Values of each frame with a gaze: columns of equal length, null for no value."""

    frame_number: Annotated[list[int], Field(description="Frame numbers of the webcam, ascending.")] = []
    video_frame: Annotated[list[int], Field(description="Number of the video frame on screen, from 1.")] = []
    hit: Annotated[list[int | None], Field(description="1 for a hit, 0 for a miss.")] = []
    rank: Annotated[list[float | None], Field(description="Share of the map's pixels below the one at the gaze.")] = []
    nss: Annotated[list[float | None], Field(description="Normalised saliency at the gaze, standard deviations.")] = []
    chance: Annotated[list[float | None], Field(description="Share of the map's pixels that would hit, 0 to 1.")] = []
    shuffled: Annotated[list[float | None], Field(description="AUC against the viewer's other gazes, 0 to 1.")] = []


def _allow_absence(schema: dict[str, Any], names: set[str]) -> None:
    """Make the keys optional that are left out without a value."""
    schema["required"] = [name for name in schema.get("required", ()) if name not in names]


class ResultWarning(ResultPart):
    """Sign that the numbers may not mean what they seem to; it changes none of them."""

    model_config = ConfigDict(json_schema_extra=lambda schema: _allow_absence(schema, {"first_frame"}))

    code: Annotated[
        WarningCode | str,
        Field(description="Name of the finding; see docs/attention-score.md. Later versions may have others."),
    ]
    frames: Annotated[Count, Field(description="Number of frames concerned.")]
    detail: Annotated[str, Field(description="What was found and what to do, in plain English.")]
    first_frame: Annotated[
        int | None, Field(description="With `viewer_changed`: first frame with another viewer; absent otherwise.")
    ] = None


class SessionFacts(ResultPart):
    """Basis of the score of a session."""

    version: Annotated[int, Field(ge=1, description="Version of this format.")] = RESULT_VERSION
    video_id: Annotated[str, Field(description="Id of the video that was watched.")] = ""
    score_valid: Annotated[bool, Field(description="Whether `final_score` is meaningful.")]
    score_invalid_reason: Annotated[
        InvalidReason | str | None,
        Field(description="Null when the score is valid. Later versions may have other reasons."),
    ] = None
    coverage: Annotated[float, Field(ge=0, le=1, description="Scored frames / expected frames, 0 to 1.")]
    frames: FrameCounts = FrameCounts()
    lost: LostFrames = LostFrames()
    model_digest: Annotated[str | None, Field(description="SHA-256 of the gaze model's file, hexadecimal.")] = None
    eye_network_digest: Annotated[
        str | None,
        Field(description="SHA-256 of the eye network's file, hexadecimal; null if no frame went through it."),
    ] = None
    smoothing: Annotated[str, Field(description="`none` or `zero_lag`.")] = "none"
    calibration: Annotated[CalibrationSummary | None, Field(description="Null when no calibration was requested.")] = (
        None
    )


def _complete_schema(schema: dict[str, Any]) -> None:
    schema["examples"] = [RESULT_EXAMPLE]
    _allow_absence(schema, {"viewing_start_ms", "warnings"})


class SessionResult(Statistics, SessionFacts):
    """Score of a session with everything needed to judge it."""

    model_config = ConfigDict(json_schema_extra=_complete_schema)

    maps_digest: Annotated[str | None, Field(description="SHA-256 of the saliency maps; null if unknown.")] = None
    at_accuracy: Annotated[
        AccuracyStatistics | None,
        Field(description="The same statistics on maps blurred to the accuracy of the gaze; null when it is unknown."),
    ] = None
    trace: Annotated[GazeTrace | None, Field(description="Null without a gaze or without maps.")] = None
    viewing_start_ms: Annotated[
        int | None, Field(description="Start of the viewing, Unix time in ms; absent without session tokens.")
    ] = None
    warnings: Annotated[
        list[ResultWarning], Field(description="Doubts about what was sent or stored; absent without any.")
    ] = []

    @property
    def is_empty(self) -> bool:
        """Whether the session had no video frames."""
        return self.score_invalid_reason == "no_frames"

    def as_json(self) -> dict[str, Any]:
        """Return the result as JSON values; for a stored result exactly the stored keys."""
        values = _in_stored_order(self.model_dump(mode="json", exclude_unset=True))
        if values.get("at_accuracy"):
            values["at_accuracy"] = _in_stored_order(values["at_accuracy"])
        return values


def read_result(value: object) -> SessionResult:
    """Return a stored result of this or an older version.

    Raises:
        SessionStoreError: It is malformed.
    """
    try:
        return SessionResult.model_validate(value)
    except (ValidationError, OverflowError) as error:
        raise SessionStoreError("the session API holds a malformed result") from error


def _in_stored_order(values: dict[str, Any]) -> dict[str, Any]:
    """Return the keys in the order of version 1: without a score, `interval_reliable` comes second."""
    if values.get("chance_level") is not None or "interval_reliable" not in values:
        return values
    ordered: dict[str, Any] = {}
    for name, value in values.items():
        if name != "interval_reliable":
            ordered[name] = value
        if name == "final_score":
            ordered["interval_reliable"] = values["interval_reliable"]
    return ordered


def _summarise(estimate: Estimate | None, digits: int) -> EstimateSummary | None:
    if estimate is None:
        return None
    return EstimateSummary(
        value=round(estimate.value, digits),
        interval_95=_interval(estimate, digits),
        interval_reliable=estimate.interval_reliable,
        frames=estimate.frames,
    )


def _interval(estimate: Estimate, digits: int) -> list[float] | None:
    if estimate.low is None or estimate.high is None:
        return None
    return [round(estimate.low, digits), round(estimate.high, digits)]


def round_finite(value: float | None, digits: int) -> float | None:
    """Round a number; return None if it is not finite, which JSON cannot express."""
    return None if value is None or not math.isfinite(value) else round(value, digits)
