"""Small video files, encoded for a test."""

from fractions import Fraction

import av
import numpy as np

GREY = np.full((48, 64, 3), 128, dtype=np.uint8)


def write_video(path, images, *, times_ms=None, codec="mpeg4"):
    """Write RGB images with presentation times in ms, by default 50 ms apart; return the path."""
    times_ms = [50 * number for number in range(len(images))] if times_ms is None else times_ms
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=20)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for image, time_ms in zip(images, times_ms, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
