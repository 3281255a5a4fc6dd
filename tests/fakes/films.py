"""Films of a bright square on grey, written with PyAV."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

TIME_BASE = Fraction(1, 90_000)


def write_film(
    path,
    times_s,
    *,
    codec="libx264",
    size=(32, 48),
    pixels="yuv420p",
    time_base=TIME_BASE,
    options=None,
    audio_s=None,
    audio_codec="aac",
    pixel_aspect=None,
):
    """Write a frame for each time; the square moves to the right. `audio_s` adds silence of that length from 0 on."""
    height, width = size
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.codec_context.time_base = time_base
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        sound = None if audio_s is None else container.add_stream(audio_codec, rate=48_000)
        for number, time_s in enumerate(times_s):
            image = np.full((height, width, 3), 60, dtype=np.uint8)
            left = 3 * number % (width - 8)
            image[8:16, left : left + 8] = [255, 200, 20]
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = round(time_s / time_base), time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            for start in range(0, int(audio_s * 48_000), 1024):
                silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
                silence.sample_rate, silence.pts, silence.time_base = 48_000, start, Fraction(1, 48_000)
                container.mux(sound.encode(silence))
            container.mux(sound.encode(None))
    return Path(path)


def copy_film(source, target, *, without=(), options=None, rotation_deg=None):
    """Copy the packets of a film except some, counted from 0."""
    with av.open(str(source)) as old, av.open(str(target), "w", options=options or {}) as new:
        stream = old.streams.video[0]
        copied = new.add_stream_from_template(stream)
        if rotation_deg is not None:
            copied.set_display_rotation(rotation_deg)
        for number, packet in enumerate(old.demux(stream)):
            if packet.dts is not None and number not in without:
                packet.stream = copied
                new.mux(packet)
    return Path(target)
