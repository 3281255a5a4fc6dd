"""Decode saliency maps from MongoDB documents, whose three forms `saliency_store` describes."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from bson.errors import BSONError

from func.adapters.saliency_floats import decode_document
from gaze_core.errors import SaliencyMapError
from gaze_core.ports import UnusableMap, UsableMap
from gaze_core.saliency import MAX_MAP_PIXELS, check_map
from gaze_core.types import SaliencyMap

_MAX_CHUNKED_BYTES = 18 * MAX_MAP_PIXELS
"""In a BSON array, a float takes 9 bytes and its index at most 8 more."""


def read_map(frame_nums: tuple[int, ...], documents: Sequence[Mapping[str, Any]]) -> UsableMap | UnusableMap:
    """Return the map in the documents of one frame, or why it is unusable.

    Args:
        frame_nums: Frames that the map is valid for.
        documents: One document in form 1 or 3, or all documents in form 2.
    """
    try:
        return UsableMap(frame_nums, decode_map(documents))
    except SaliencyMapError as error:
        return UnusableMap(frame_nums, str(error))


def decode_map(documents: Sequence[Mapping[str, Any]]) -> SaliencyMap:
    """Return the map in the documents of one frame: one document in form 1 or 3, or all documents in form 2.

    Raises:
        SaliencyMapError: The map is unusable.
    """
    return _join_chunks(documents) if "chunk_index" in documents[0] else _decode(documents[0])


def read_frame_num(document: Mapping[str, Any]) -> int | None:
    """Return the frame number, which some writers store as a float; None if it is not an integer."""
    frame_num = document.get("frame_num")
    if isinstance(frame_num, float) and frame_num.is_integer():
        return int(frame_num)
    return frame_num if isinstance(frame_num, int) and not isinstance(frame_num, bool) else None


def _decode(document: Mapping[str, Any]) -> SaliencyMap:
    """Return the map of a document in form 1 or 3.

    Raises:
        SaliencyMapError: The map is unusable.
    """
    saliency_map = document.get("saliency_map")
    if "encoding" in document or "dtype" in document:
        return _inflate(document)
    if not isinstance(saliency_map, list | np.ndarray):
        raise SaliencyMapError("the document has an unknown form")
    try:
        return check_map(saliency_map)
    except (ValueError, TypeError, OverflowError) as error:
        raise SaliencyMapError("the rows of the map differ in length or contain values that are not numbers") from error


def _inflate(document: Mapping[str, Any]) -> SaliencyMap:
    """Return the map of a document in form 3.

    Raises:
        SaliencyMapError: The map is unusable.
    """
    if (document.get("encoding"), document.get("dtype")) != ("zlib", "uint8"):
        raise SaliencyMapError("the encoding is not supported; use zlib with uint8 pixels")
    height, width = document.get("height"), document.get("width")
    if not (isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0):
        raise SaliencyMapError("height and width must be positive integers")
    if height * width > MAX_MAP_PIXELS:
        raise SaliencyMapError(f"the map has {height * width} pixels, over the limit of {MAX_MAP_PIXELS}")
    compressed = document.get("saliency_map")
    if not isinstance(compressed, bytes):
        raise SaliencyMapError("the compressed map is not of type Binary")
    inflater = zlib.decompressobj()
    try:
        # One extra byte detects a map that is too long without inflating all of it.
        pixels = inflater.decompress(compressed, height * width + 1)
    except zlib.error as error:
        raise SaliencyMapError("the compressed map is corrupt") from error
    if len(pixels) != height * width or not inflater.eof or inflater.unused_data:
        raise SaliencyMapError(f"the compressed map does not have {height}×{width} pixels")
    return check_map(np.frombuffer(pixels, dtype=np.uint8).reshape(height, width))


def _join_chunks(documents: Sequence[Mapping[str, Any]]) -> SaliencyMap:
    """Return the map in the documents of one frame in form 2.

    Raises:
        SaliencyMapError: A chunk is missing or duplicated, or the map is unusable.
    """
    chunks: dict[int, bytes] = {}
    for document in documents:
        index, data = document["chunk_index"], document.get("data")
        if not isinstance(index, int) or not isinstance(data, bytes):
            raise SaliencyMapError("a chunk has no integer index or no data of type Binary")
        chunks[index] = data
    # Old writers count from 0 or 1. A missing first or last chunk makes the BSON invalid.
    if len(chunks) < len(documents) or max(chunks) - min(chunks) + 1 != len(chunks):
        raise SaliencyMapError("a chunk is missing or duplicated")
    if sum(map(len, chunks.values())) > _MAX_CHUNKED_BYTES:
        raise SaliencyMapError("the chunks are larger than any valid map")
    try:
        return _decode(decode_document(b"".join(chunks[index] for index in sorted(chunks))))
    except BSONError as error:
        raise SaliencyMapError("the joined chunks are not BSON") from error
