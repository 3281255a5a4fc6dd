"""Answers to frames, from stored records and results."""

from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Strict, ValidationError, model_validator

from func.session.result import SessionResult
from func.web.field_types import as_pair
from func.web.schemas import CompletedAnswer, FrameAnswer, GazeAnswer, HeadPoseAnswer, RequestPart
from gaze_core.types import GazePoint, Validity


class AnsweredRecord(RequestPart):
    """Fields of a stored record that its answer contains."""

    gaze: Annotated[tuple[float, float] | None, BeforeValidator(as_pair)] = None
    validity: Annotated[Validity, Strict(False)]
    head_pose_deg: HeadPoseAnswer | None = None
    distance_mm: float | None = None
    flags: list[str] | None = None

    @model_validator(mode="after")
    def _check_gaze_fits_validity(self) -> Self:
        if (self.gaze is None) == (self.validity is Validity.OK):
            raise ValueError("must have a gaze if and only if validity is ok")
        return self


def read_answered(record: object) -> AnsweredRecord | None:
    """Return what an answer contains of a stored record; None if another service or version wrote it differently."""
    try:
        return AnsweredRecord.model_validate(record)
    except (ValidationError, OverflowError):
        return None


def answer_frame(
    session_id: str,
    frame_number: int,
    stored: AnsweredRecord,
    *,
    corrected: GazePoint | None = None,
    calibrated: bool | None = None,
    warnings: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the answer for a stored record.

    Args:
        session_id: Session id.
        frame_number: Frame number.
        stored: Result of `read_answered` for the stored record.
        corrected: Calibrated point of gaze; None to answer with the stored one.
        calibrated: Whether a calibration was applied; None if the request has no calibration session.
        warnings: Warnings for the client.
    """
    gaze = None
    if stored.gaze is not None:
        point = corrected or GazePoint(*stored.gaze)
        gaze = GazeAnswer(x=round(point.x, 6), y=round(point.y, 6), on_screen=point.on_screen)
    answer = FrameAnswer(
        session_id=session_id,
        frame_number=frame_number,
        gaze=gaze,
        validity=stored.validity,
        head_pose_deg=stored.head_pose_deg,
        distance_mm=None if stored.distance_mm is None else round(stored.distance_mm, 1),
        calibrated=calibrated,
        flags=stored.flags or None,
        warnings=list(warnings) or None,
    )
    left_out = {name for name in ("calibrated", "flags", "warnings") if getattr(answer, name) is None}
    return answer.model_dump(mode="json", exclude=left_out)


def answer_completed(session_id: str, result: SessionResult, warnings: Sequence[str] = ()) -> dict[str, Any]:
    """Return the answer to a last frame."""
    answer = CompletedAnswer(
        session_id=session_id, final_score=result.final_score, result=result, warnings=list(warnings) or None
    )
    values = answer.model_dump(mode="json", exclude={"result", "warnings"}) | {"result": result.as_json()}
    return values | ({"warnings": list(warnings)} if warnings else {})
