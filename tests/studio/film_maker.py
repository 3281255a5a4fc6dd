"""Films in many forms, whose frames show their own number: as black and white stripes, the lowest bit on the left."""

from fractions import Fraction

import av
import numpy as np

BITS = 8
WIDTH_PX, HEIGHT_PX = 160, 96


def draw(number, *, width=WIDTH_PX, height=HEIGHT_PX):
    """Return the image of a frame, RGB. One stripe moves, so that no map is flat."""
    image = np.full((height, width, 3), 60, dtype=np.uint8)
    stripe = width // BITS
    for bit in range(BITS):
        image[: height // 2, bit * stripe : (bit + 1) * stripe] = 235 if number >> bit & 1 else 20
    left = 3 * number % (width - 20)
    image[height * 2 // 3 :, left : left + 16] = (220, 120, 40)
    return image


def read_number(image):
    """Return the number that an image shows."""
    height, width = image.shape[:2]
    stripe = width / BITS
    middles = [image[height // 4, int((bit + 0.5) * stripe)].mean() > 128 for bit in range(BITS)]
    return sum(1 << bit for bit, is_set in enumerate(middles) if is_set)


def make_film(
    path,
    *,
    codec="libx264",
    pixel_format="yuv420p",
    container=None,
    times_ms=None,
    frames=50,
    fps=25,
    sound=None,
    sound_hz=48000,
    options=None,
    width=WIDTH_PX,
    height=HEIGHT_PX,
    rotation=None,
):
    """Write a film; `times_ms` are the presentation times of its frames, `sound` the codec of a tone."""
    times_ms = [1000 * number // fps for number in range(frames)] if times_ms is None else times_ms
    with av.open(str(path), "w", format=container) as film:
        stream = film.add_stream(codec, rate=fps, options=options or {})
        is_turned = rotation is not None and rotation % 180 != 0
        stream.width, stream.height = (height, width) if is_turned else (width, height)
        stream.pix_fmt = pixel_format
        if codec not in {"mpeg1video", "mpeg2video", "mpeg4"}:
            stream.codec_context.time_base = Fraction(1, 1000)
            stream.time_base = Fraction(1, 1000)
        tone = film.add_stream(sound, rate=sound_hz) if sound else None
        for number, time_ms in enumerate(times_ms, start=1):
            image = draw(number, width=width, height=height)
            if rotation:
                image = np.rot90(image, rotation // 90)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            base = stream.codec_context.time_base or Fraction(1, 1000)
            frame.pts, frame.time_base = round(Fraction(time_ms, 1000) / base), base
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
        if tone is not None:
            _add_tone(film, tone, times_ms[-1] / 1000)
    return path


def make_sound(path, *, codec="aac", seconds=2.0):
    """Write a file with nothing but a tone."""
    with av.open(str(path), "w") as film:
        _add_tone(film, film.add_stream(codec, rate=48000), seconds)
    return path


def _add_tone(film, stream, seconds):
    layout = stream.codec_context.layout.name if stream.codec_context.layout else "stereo"
    resampler = av.AudioResampler(
        stream.codec_context.format.name,
        layout,
        stream.codec_context.sample_rate,
        stream.codec_context.frame_size or 1024,
    )
    moments = np.arange(int(48000 * seconds))
    wave = (8000 * np.sin(2 * np.pi * 440 * moments / 48000)).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]).T.reshape(1, -1).copy(), format="s16", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
    for part in (*resampler.resample(frame), *resampler.resample(None)):
        film.mux(stream.encode(part))
    film.mux(stream.encode(None))
