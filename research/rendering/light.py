"""Sampling of light, background and camera optics."""

import math

import numpy as np

from research.rendering.scene import Backdrop, Catchlight, Lighting, Optics, triple


def sample_light(rng: np.random.Generator) -> tuple[Lighting, Backdrop, float, float]:
    """Return light, background, electrons at full scale, and the share of face metering."""
    warmth = rng.normal(0, 0.12)
    tone = np.array([1 + warmth, 1.0, 1 - 1.3 * warmth])
    kind = rng.choice(("room", "window", "lamp", "screen", "backlit"), p=(0.38, 0.24, 0.14, 0.1, 0.14))
    around, height = rng.uniform(-1.4, 1.4), rng.uniform(-0.1, 1.2)
    key, sky, screen, wall, window = {
        "room": (rng.uniform(0.1, 0.5), rng.uniform(0.3, 0.6), rng.uniform(0, 0.12), rng.uniform(0.15, 0.8), 0.0),
        "window": (rng.uniform(0.5, 1.2), rng.uniform(0.1, 0.4), rng.uniform(0, 0.1), rng.uniform(0.1, 0.6), 0.0),
        "lamp": (rng.uniform(0.4, 0.9), rng.uniform(0.05, 0.2), rng.uniform(0, 0.2), rng.uniform(0.05, 0.3), 0.0),
        "screen": (rng.uniform(0, 0.1), rng.uniform(0.03, 0.12), rng.uniform(0.2, 0.6), rng.uniform(0.02, 0.15), 0.0),
        "backlit": (
            rng.uniform(0.02, 0.3),
            rng.uniform(0.15, 0.35),
            rng.uniform(0, 0.15),
            rng.uniform(0.3, 1.2),
            rng.uniform(1.0, 4.0),
        ),
    }[str(kind)]
    electrons = {"room": 6000, "window": 16000, "lamp": 3500, "screen": 1100, "backlit": 9000}[str(kind)]
    cool = np.array([0.85, 0.97, 1.15])
    lighting = Lighting(
        key_direction=(math.sin(around) * math.cos(height), -math.sin(height), -math.cos(around) * math.cos(height)),
        key=triple(key * tone),
        sky=triple(sky * (0.5 * tone + 0.5)),
        ground=triple(sky * rng.uniform(0.3, 0.7) * np.array([1.05, 1.0, 0.92])),
        screen=triple(screen * cool),
        rim_direction=(float(rng.choice((-1, 1)) * rng.uniform(0.5, 1)), -0.3, float(rng.uniform(0.3, 1))),
        rim=triple((rng.uniform(0, 0.3) + 0.25 * window) * np.ones(3)),
        catchlights=_sample_catchlights(rng),
    )
    backdrop = Backdrop(
        seed=int(rng.integers(1 << 31)),
        brightness=float(wall),
        window=float(window),
        blur_px=float(rng.uniform(0.5, 5)),
    )
    metering = rng.uniform(0.05, 0.4) if kind == "backlit" else rng.uniform(0.2, 0.95)
    return lighting, backdrop, float(electrons * rng.lognormal(0, 0.5)), float(metering)


def _sample_catchlights(rng: np.random.Generator) -> tuple[Catchlight, ...]:
    """Return up to three lamps, windows or flashes in front of the person; a quarter of the people have none."""
    lights = []
    for _ in range(int(rng.choice((0, 1, 2, 3), p=(0.25, 0.4, 0.25, 0.1)))):
        kind = rng.choice(("flash", "lamp", "window"), p=(0.25, 0.4, 0.35))
        spread, radius, brightness, square = {
            "flash": (6.0, rng.uniform(0.03, 0.09), rng.uniform(25, 90), rng.uniform(0, 1) > 0.6),
            "lamp": (35.0, rng.uniform(0.04, 0.15), rng.uniform(12, 60), rng.uniform(0, 1) > 0.8),
            "window": (35.0, rng.uniform(0.1, 0.28), rng.uniform(3, 18), rng.uniform(0, 1) > 0.25),
        }[str(kind)]
        sideways, up = math.radians(rng.normal(0, spread)), math.radians(rng.normal(0.5 * spread, 0.7 * spread))
        lights.append(
            Catchlight(
                direction=(math.sin(sideways) * math.cos(up), -math.sin(up), -math.cos(sideways) * math.cos(up)),
                radius=float(radius),
                brightness=float(brightness),
                squareness=float(square),
            )
        )
    return tuple(lights)


def sample_optics(rng: np.random.Generator, electrons: float, metering: float) -> Optics:
    """Return the optics of a camera.

    Args:
        rng: Random generator.
        electrons: Electrons at full scale.
        metering: Share of the exposure metering that goes by the face.
    """
    return Optics(
        electrons=electrons,
        read_noise=float(rng.uniform(3, 12)),
        exposure=float(rng.uniform(0.13, 0.32)),
        face_metering=metering,
        white_balance=(float(rng.normal(1, 0.06)), float(rng.normal(1, 0.08))),
        contrast=float(rng.uniform(0, 0.6)),
        saturation=float(rng.uniform(0.7, 1.3)),
        defocus_px=float(np.clip(rng.gamma(2.0, 0.35), 0.25, 1.6)),
        motion_px=0.0,
        motion_angle_deg=0.0,
        sharpening=float(rng.uniform(0, 0.9)),
        denoising=float(rng.uniform(0, 0.9)),
        vignetting=float(rng.uniform(0, 0.35)),
        distortion=float(rng.normal(0, 0.012)),
        jpeg_quality=int(rng.integers(50, 96)),
        seed=0,
    )


def vary_optics(rng: np.random.Generator, optics: Optics) -> Optics:
    """Return the optics of one frame; 12 % of the frames have motion blur."""
    moving = rng.random() < 0.12
    return Optics(
        electrons=optics.electrons,
        read_noise=optics.read_noise,
        exposure=optics.exposure * float(rng.normal(1, 0.03)),
        face_metering=optics.face_metering,
        white_balance=optics.white_balance,
        contrast=optics.contrast,
        saturation=optics.saturation,
        defocus_px=optics.defocus_px,
        motion_px=float(rng.uniform(1, 4)) if moving else 0.0,
        motion_angle_deg=float(rng.uniform(0, 180)),
        sharpening=optics.sharpening,
        denoising=optics.denoising,
        vignetting=optics.vignetting,
        distortion=optics.distortion,
        jpeg_quality=optics.jpeg_quality,
        seed=int(rng.integers(1 << 31)),
    )
