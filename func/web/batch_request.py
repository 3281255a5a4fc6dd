"""Parse request bodies with one frame or several.

A request has several frames if it has a list `frames`. Fields are checked for all frames together: one that is invalid
refuses the request, because a program wrote it. Images are checked one by one: a broken one costs only its own frame.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from func.errors import BadRequestError, FieldProblem
from func.web.answer_warnings import warn_of_unknown_fields
from func.web.batch_schemas import (
    MAX_FRAMES,
    ONLY_PER_FRAME,
    ONLY_SHARED,
    BatchFrame,
    BatchMetadata,
    BatchRequest,
)
from func.web.image_text import read_image_part
from func.web.request import (
    ParsedFrame,
    decode_frame,
    parse_json,
    parse_shortened,
    read_json_frame,
    read_multipart_frame,
    read_parts,
    validate,
)
from func.web.schemas import FrameMetadata


@dataclass(frozen=True, slots=True)
class BatchEntry:
    """One frame of a request with several.

    Attributes:
        metadata: Fields of the frame, including the shared ones.
        image: Content of the image file, not yet checked; None for a last frame without an image.
        error: Why the image cannot be read; None if it may be.
    """

    metadata: FrameMetadata
    image: bytes | None
    error: BadRequestError | None = None


@dataclass(frozen=True, slots=True)
class ParsedBatch:
    """A request with several frames and valid fields.

    Attributes:
        frames: Frames in the order of the request, at least one.
        warnings: Warnings about parts of the request that have no effect.
    """

    frames: tuple[BatchEntry, ...]
    warnings: tuple[str, ...] = ()

    @property
    def metadata(self) -> FrameMetadata:
        """Fields of the first frame; those of the viewing are the same for all."""
        return self.frames[0].metadata

    def find_last(self) -> int | None:
        """Return the index of the frame that ends the session; None if none of them does."""
        return next((at for at, frame in enumerate(self.frames) if frame.metadata.last_frame), None)

    def drop_images(self) -> "ParsedBatch":
        """Return the same without images, which frees their memory."""
        return replace(self, frames=tuple(replace(frame, image=None) for frame in self.frames))


def parse_json_body(body: bytes) -> ParsedFrame | ParsedBatch:
    """Return the request in a JSON body.

    Raises:
        BadRequestError: The JSON is malformed, or fields are missing or invalid; the error lists them.
        PayloadTooLargeError: The fields other than the images are too large.
    """
    parsed = parse_shortened(body, "the body")
    if not has_frames(parsed.value):
        return read_json_frame(parsed)
    _check_places(parsed.value, outside=ONLY_PER_FRAME)
    request = validate(BatchRequest, parsed.value, "body")
    metadata = _merge(request, request.frames)
    entries = []
    for at, (frame, fields) in enumerate(zip(request.frames, metadata, strict=True)):
        try:
            image = (decode_frame(frame.frame, parsed) or None) if frame.frame else None
        except BadRequestError as error:
            problems = [replace(problem, field=f"frames.{at}.{problem.field}") for problem in error.fields]
            entries.append(BatchEntry(fields, None, BadRequestError(str(error), problems)))
        else:
            entries.append(BatchEntry(fields, image))
    _require_images(entries)
    return ParsedBatch(tuple(entries), tuple(warn_of_unknown_fields(parsed.value, BatchRequest)))


def parse_multipart_body(body: bytes, boundary: str) -> ParsedFrame | ParsedBatch:
    """Return the request in a multipart body: a part `metadata` (JSON) and a part `frame` (raw bytes) for each image.

    Args:
        body: Whole body.
        boundary: Boundary from the content type.

    Raises:
        BadRequestError: The multipart or JSON is malformed, or fields are missing or invalid; the error lists them.
        PayloadTooLargeError: The part `metadata` is too large.
    """
    metadata, images = read_parts(body, boundary)
    value = parse_json(metadata, "the part `metadata`")
    if not has_frames(value):
        return read_multipart_frame(value, images)
    _check_places(value, outside=ONLY_PER_FRAME, inside=(*ONLY_SHARED, "frame"))
    request = validate(BatchMetadata, value, "metadata")
    entries = [
        BatchEntry(fields, image)
        for fields, image in zip(_merge(request, request.frames), _assign_images(request.frames, images), strict=True)
    ]
    _require_images(entries)
    return ParsedBatch(tuple(entries), tuple(warn_of_unknown_fields(value, BatchMetadata)))


def has_frames(value: object) -> bool:
    """Return whether a request has several frames. A single frame with an unknown field `frames` does not."""
    if not isinstance(value, Mapping) or "frames" not in value:
        return False
    return isinstance(value["frames"], list) or "frame_number" not in value


def _check_places(value: object, *, outside: Sequence[str], inside: Sequence[str] = ONLY_SHARED) -> None:
    """Raise an error if fields stand inside or outside of `frames` where they have no meaning."""
    if not isinstance(value, Mapping):
        return
    problems = [FieldProblem(name, "must be in each of the `frames`") for name in outside if name in value]
    frames = value["frames"] if isinstance(value["frames"], list) else []
    for at, frame in enumerate(frames[:MAX_FRAMES]):
        for name in inside:
            if isinstance(frame, Mapping) and name in frame:
                where = "a part of its own" if name == "frame" else "outside `frames`"
                problems.append(FieldProblem(f"frames.{at}.{name}", f"must be {where}"))
    if problems:
        raise BadRequestError("fields are in the wrong place", problems)


def _merge(request: BatchRequest | BatchMetadata, frames: Sequence[BatchFrame]) -> list[FrameMetadata]:
    """Return the fields of each frame, after checks that concern several fields or frames."""
    merged = [request.merge(frame) for frame in frames]
    problems = list(_find_problems(merged))
    if problems:
        raise BadRequestError("fields are missing or invalid", problems)
    return merged


def _find_problems(frames: Sequence[FrameMetadata]) -> Iterator[FieldProblem]:
    first_by_number: dict[int, int] = {}
    last: int | None = None
    for at, frame in enumerate(frames):
        first = first_by_number.setdefault(frame.frame_number, at)
        if first != at:
            yield FieldProblem(f"frames.{at}.frame_number", f"must differ from that of frames.{first}")
        if frame.last_frame and last is not None:
            yield FieldProblem(f"frames.{at}.last_frame", f"must be true only once; frames.{last} has it")
        last = at if frame.last_frame and last is None else last
        if frame.calibration_use is not None and frame.calibration_target is None:
            yield FieldProblem(f"frames.{at}.calibration_use", "needs a calibration_target")


def _require_images(entries: Sequence[BatchEntry]) -> None:
    problems = [
        FieldProblem(f"frames.{at}.frame", "is required unless last_frame is true")
        for at, entry in enumerate(entries)
        if entry.image is None and entry.error is None and not entry.metadata.last_frame
    ]
    if problems:
        raise BadRequestError("a field is missing", problems)


def _assign_images(frames: Sequence[BatchFrame], parts: Sequence[bytes]) -> list[bytes | None]:
    """Return the image of each frame. A last frame may have an empty part `frame`, or none."""
    images = [read_image_part(part) if part.strip(b"\r\n") else None for part in parts]
    last = next((at for at, frame in enumerate(frames) if frame.last_frame), None)
    if last is not None and len(images) == len(frames) - 1:
        images.insert(last, None)
    if len(images) != len(frames):
        requirement = (
            f"must be there once for each of the {len(frames)} `frames`, in their order, not {len(parts)} times"
        )
        raise BadRequestError("parts are missing or surplus", [FieldProblem("frame", requirement)])
    return images
