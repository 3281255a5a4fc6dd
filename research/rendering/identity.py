"""Appearance and anatomy of a person, sampled from one seed.

Colours are linear RGB reflectances in 0..1.
"""

from dataclasses import dataclass

import numpy as np

from research.rendering.eye import Eyeball, Kappa
from research.rendering.shape import sample_shape

Colour = tuple[float, float, float]

# From very light to very dark, sRGB; modelled on the Monk Skin Tone scale.
_SKIN_SRGB = (
    (246, 222, 208),
    (238, 203, 182),
    (224, 178, 150),
    (205, 153, 120),
    (176, 121, 86),
    (141, 91, 62),
    (104, 66, 46),
    (76, 48, 36),
    (56, 37, 30),
)

_HAIR_SRGB = {
    "black": (22, 19, 18),
    "dark brown": (48, 33, 25),
    "brown": (84, 58, 40),
    "light brown": (122, 91, 62),
    "blond": (176, 142, 96),
    "red": (128, 66, 38),
    "grey": (140, 138, 136),
    "white": (205, 203, 198),
}

_IRIS_SRGB = {
    "black": (44, 28, 20),
    "dark brown": (70, 42, 26),
    "brown": (104, 66, 38),
    "hazel": (118, 92, 54),
    "green": (104, 112, 76),
    "grey": (118, 128, 132),
    "blue": (96, 124, 150),
    "light blue": (134, 162, 184),
}


@dataclass(frozen=True, slots=True)
class Lids:
    """Resting position and motion of one person's lids.

    Attributes:
        fissure_width_mm: Distance between the inner and the outer corner.
        upper_mm: Distance from pupil centre to upper lid margin for a straight gaze, left and right eye.
        lower_mm: Distance from pupil centre to lower lid margin for a straight gaze, left and right eye.
        upper_gain: Rotation of the upper lid per degree of vertical eye rotation.
        lower_gain: Rotation of the lower lid per degree of vertical eye rotation.
        corners_mm: Distance of the line through the corners below the pupil centre for a straight gaze, left and right.
        peak_mm: Position of the highest point of the upper and of the lowest point of the lower margin, towards the
            temple from the pupil.
        bow: Exponents of the upper and the lower margin's arch 1 - |t|^n between corner (t = ±1) and peak (t = 0).
        shade: Darkness of the skin along the upper margin and at the outer corner, 0..1.
        crease_mm: Height of the upper lid's crease above the margin; 0 for a single fold.
        crease: Darkness of the crease, 0..1.
        make_up: Strength of liner and eye shadow, 0..1.
    """

    fissure_width_mm: float
    upper_mm: tuple[float, float]
    lower_mm: tuple[float, float]
    upper_gain: float
    lower_gain: float
    corners_mm: tuple[float, float]
    peak_mm: tuple[float, float]
    bow: tuple[float, float]
    shade: float
    crease_mm: float
    crease: float
    make_up: float


@dataclass(frozen=True, slots=True)
class Glasses:
    """A pair of glasses.

    Attributes:
        lens_width_mm: Width of one lens.
        lens_height_mm: Height of one lens.
        roundness: 1 for an ellipse, larger for a rounded rectangle (exponent of a superellipse).
        rim_mm: Thickness of the rim; below 0.6 nearly rimless.
        bridge_mm: Distance between the lenses.
        down_mm: Distance of the lenses' centres below the eyes.
        vertex_distance_mm: Distance from the cornea to the lens.
        colour: Colour of the frame.
        tint: Share of light that the lenses absorb.
        reflection: Strength of the lenses' reflections; coated lenses reflect 0.01.
    """

    lens_width_mm: float
    lens_height_mm: float
    roundness: float
    rim_mm: float
    bridge_mm: float
    down_mm: float
    vertex_distance_mm: float
    colour: Colour
    tint: float
    reflection: float


@dataclass(frozen=True, slots=True)
class Hair:
    """Hair of head, brows, face and lashes.

    Attributes:
        style: `bald`, `shaved`, `short` or `long`.
        colour: Colour of the hair.
        thickness_mm: Thickness of the hair on the head.
        hairline_mm: Height of the hairline above the average; far below for a fringe over the forehead.
        brow_colour: Colour of the brows.
        brow_density: Density of the brows, 0..1.5.
        brow_height_mm: Height of the brows above the average.
        brow_thickness_mm: Distance between lower and upper edge.
        beard: 0 (shaven) to 1 (full); stubble is about 0.3.
        lash_length_mm: Length of the upper lashes.
        lash_density: Density of the lashes, 0..1.5; high with mascara.
    """

    style: str
    colour: Colour
    thickness_mm: float
    hairline_mm: float
    brow_colour: Colour
    brow_density: float
    brow_height_mm: float
    brow_thickness_mm: float
    beard: float
    lash_length_mm: float
    lash_density: float


@dataclass(frozen=True, slots=True)
class Skin:
    """Appearance of the skin.

    Attributes:
        colour: Reflectance of the cheek.
        lips: Reflectance of the lips.
        redness: Redness of cheeks and nose, 0..1.
        under_eyes: Darkness of the skin below the eyes, 0..1.
        roughness: Depth of pores and wrinkles, 0..1.
        gloss: Strength of highlights, 0..1.
        spots: Number of freckles and moles.
    """

    colour: Colour
    lips: Colour
    redness: float
    under_eyes: float
    roughness: float
    gloss: float
    spots: int


@dataclass(frozen=True, slots=True)
class Identity:
    """One person.

    Attributes:
        identity_id: Number of the person.
        seed: Seed from which the person was sampled.
        shape: Names and weights of the shape targets.
        ethnicity: Shares of the macro targets African, Asian, Caucasian.
        ipd_mm: Distance between the eyes' centres of rotation.
        eyeball: Dimensions of both eyes.
        kappa: Angle kappa of the left and the right eye.
        lids: Resting position and motion of the lids.
        iris_colour: Reflectance of the iris at half its radius.
        sclera_colour: Reflectance of the sclera.
        skin: Appearance of the skin.
        hair: Hair of head, brows, face and lashes.
        glasses: None if the person never wears any.
        clothing: Reflectance of the clothes.
        collar_mm: How far below the chin's joint the clothes begin.
    """

    identity_id: int
    seed: int
    shape: tuple[tuple[str, float], ...]
    ethnicity: tuple[float, float, float]
    ipd_mm: float
    eyeball: Eyeball
    kappa: tuple[Kappa, Kappa]
    lids: Lids
    iris_colour: Colour
    sclera_colour: Colour
    skin: Skin
    hair: Hair
    glasses: Glasses | None
    clothing: Colour
    collar_mm: float


def sample_identity(identity_id: int, seed: int) -> Identity:
    """Return the person with this number; deterministic."""
    rng = np.random.default_rng([seed, identity_id, 1])
    male = float(rng.random() < 0.5)
    masculinity = float(np.clip(abs(male - abs(rng.normal(0, 0.12))), 0, 1))
    age = float(rng.beta(1.3, 1.8))  # 0: about twenty-five, 1: about eighty
    african, asian, caucasian = (float(share) for share in rng.dirichlet((0.45, 0.45, 0.45)))
    darkness = float(np.clip(0.78 * african + 0.34 * asian + 0.18 * caucasian + rng.normal(0, 0.14), 0, 1))
    hair = _sample_hair(rng, male=bool(male), age=age, light=caucasian)
    kappa_nasal, kappa_up = rng.normal(4.7, 1.7), rng.normal(1.5, 1.2)
    lids = _sample_lids(rng, age, asian, male=bool(male))
    skin = _sample_skin(rng, darkness, age)
    return Identity(
        identity_id=identity_id,
        seed=seed,
        shape=sample_shape(rng, masculinity, age, (african, asian, caucasian)),
        ethnicity=(african, asian, caucasian),
        ipd_mm=float(np.clip(rng.normal(62.0 + 2.0 * masculinity, 3.4), 53, 74)),
        eyeball=Eyeball(
            sclera_radius_mm=float(rng.normal(11.8, 0.25)),
            iris_diameter_mm=float(np.clip(rng.normal(11.7, 0.4), 10.6, 12.8)),
            pupil_diameter_mm=float(np.clip(rng.normal(3.8 - 1.0 * age, 0.8), 2.0, 6.0)),
        ),
        kappa=(
            Kappa(float(kappa_nasal + rng.normal(0, 0.5)), float(kappa_up + rng.normal(0, 0.4))),
            Kappa(float(kappa_nasal + rng.normal(0, 0.5)), float(kappa_up + rng.normal(0, 0.4))),
        ),
        lids=lids,
        iris_colour=_sample_iris(rng, caucasian),
        sclera_colour=_linear(np.array([186, 176, 170]) + rng.normal(0, 14) - age * np.array([10, 14, 22])),
        skin=skin,
        hair=hair,
        glasses=_sample_glasses(rng) if rng.random() < 0.32 else None,
        clothing=_linear(np.clip(rng.normal(0, 22, 3) + rng.uniform(15, 210), 8, 240)),
        collar_mm=float(rng.uniform(25, 75)),
    )


def _sample_lids(rng: np.random.Generator, age: float, asian: float, *, male: bool) -> Lids:
    """Return lids as a face landmarker sees them in portraits of real adults (`research.realism`)."""
    upper, lower = np.clip(rng.normal(3.65 - 0.5 * age, 0.75), 2.0, 5.8), np.clip(rng.normal(5.3, 0.95), 3.4, 7.6)
    if rng.random() < 0.06:  # ptosis
        upper = rng.uniform(1.2, 2.6)
    corners = np.clip(rng.normal(4.9, 1.15), 1.5, 8.0)
    single_fold = rng.random() < 0.05 + 0.5 * asian
    return Lids(
        fissure_width_mm=float(np.clip(rng.normal(27.9, 1.5), 24.0, 32.0)),
        upper_mm=(float(upper + rng.normal(0, 0.2)), float(upper + rng.normal(0, 0.2))),
        lower_mm=(float(lower + rng.normal(0, 0.15)), float(lower + rng.normal(0, 0.15))),
        upper_gain=float(np.clip(rng.normal(0.85, 0.1), 0.6, 1.05)),
        lower_gain=float(np.clip(rng.normal(0.38, 0.1), 0.15, 0.6)),
        corners_mm=(float(corners + rng.normal(0, 0.25)), float(corners + rng.normal(0, 0.25))),
        peak_mm=(float(rng.normal(-0.7, 0.9)), float(rng.normal(1.2, 1.2))),
        bow=(float(np.clip(rng.normal(2.4, 0.25), 1.9, 3.2)), float(np.clip(rng.normal(2.5, 0.3), 1.9, 3.4))),
        shade=float(np.clip(rng.normal(0.75, 0.25), 0.05, 1.2)),
        crease_mm=0.0 if single_fold else float(np.clip(rng.normal(4.0, 1.5), 1.2, 8.0)),
        crease=float(rng.uniform(0.15, 0.9)),
        make_up=float(rng.uniform(0.2, 1.0)) if rng.random() < (0.03 if male else 0.4) else 0.0,
    )


def _sample_hair(rng: np.random.Generator, *, male: bool, age: float, light: float) -> Hair:
    if rng.random() < 0.25 + 0.75 * (1 - light):
        name = rng.choice(("black", "dark brown"), p=(0.7, 0.3))
    else:
        name = rng.choice(("dark brown", "brown", "light brown", "blond", "red"), p=(0.25, 0.3, 0.2, 0.18, 0.07))
    brow_name = name
    if rng.random() < np.clip(1.6 * age - 0.5, 0, 0.9):
        name = rng.choice(("grey", "white"), p=(0.7, 0.3))
    colour = _linear(np.array(_HAIR_SRGB[str(name)]) * rng.uniform(0.7, 1.05))
    brow = _linear(np.array(_HAIR_SRGB[str(brow_name)]) * rng.uniform(0.75, 1.05))
    styles = ("bald", "shaved", "short", "long")
    style = str(rng.choice(styles, p=(0.1, 0.15, 0.7, 0.05) if male else (0.01, 0.02, 0.37, 0.6)))
    bearded = male and rng.random() < 0.55
    return Hair(
        style=style,
        colour=colour,
        thickness_mm=float(rng.uniform(6, 26)),
        hairline_mm=float(
            rng.normal(0, 5) + (8 * age if male else 0) if rng.random() > 0.15 else rng.uniform(-48, -12)
        ),
        brow_colour=brow,
        brow_density=float(np.clip(rng.normal(0.85 if male else 0.75, 0.3), 0.1, 1.5)),
        brow_height_mm=float(rng.normal(-3.2 if male else -1.2, 2.2)),
        brow_thickness_mm=float(np.clip(rng.normal(8.0 if male else 6.0, 1.5), 3, 13)),
        beard=float(rng.beta(1.2, 1.5)) if bearded else float(0.1 * male * rng.random()),
        lash_length_mm=float(np.clip(rng.normal(7.5 if male else 9.0, 1.2), 4.5, 12)),
        lash_density=float(np.clip(rng.normal(0.9 if male else 1.2, 0.35), 0.2, 2.2)),
    )


def _sample_skin(rng: np.random.Generator, darkness: float, age: float) -> Skin:
    place = darkness * (len(_SKIN_SRGB) - 1)
    low = min(int(place), len(_SKIN_SRGB) - 2)
    srgb = np.array(_SKIN_SRGB[low]) * (1 - place + low) + np.array(_SKIN_SRGB[low + 1]) * (place - low)
    srgb = srgb * rng.normal(1, 0.03) * np.array([1.0, rng.normal(1, 0.025), rng.normal(1, 0.04)])
    lips = srgb * np.array([0.88, 0.68, 0.68]) * rng.normal(1, 0.06)
    if rng.random() < 0.15:
        lips = np.array([150, 30, 45]) * rng.uniform(0.6, 1.2)
    return Skin(
        colour=_linear(srgb),
        lips=_linear(lips),
        redness=float(rng.beta(2, 3)) * (1 - 0.6 * darkness),
        under_eyes=float(rng.beta(1.5, 2.5)),
        roughness=float(np.clip(0.25 + 0.6 * age + rng.normal(0, 0.12), 0.05, 1)),
        gloss=float(np.clip(rng.normal(0.45, 0.2), 0.05, 1)),
        spots=int(rng.integers(0, 10)) + (int(rng.integers(60, 300)) if rng.random() < 0.12 else 0),
    )


def _sample_iris(rng: np.random.Generator, caucasian: float) -> Colour:
    if rng.random() < 0.15 + 0.85 * caucasian:
        name = rng.choice(tuple(_IRIS_SRGB), p=(0.02, 0.12, 0.22, 0.14, 0.1, 0.1, 0.2, 0.1))
    else:
        name = rng.choice(("black", "dark brown", "brown"), p=(0.3, 0.5, 0.2))
    return _linear(np.array(_IRIS_SRGB[str(name)]) * rng.uniform(0.7, 1.05))


def _sample_glasses(rng: np.random.Generator) -> Glasses:
    dark = rng.random() < 0.6
    return Glasses(
        lens_width_mm=float(rng.uniform(46, 56)),
        lens_height_mm=float(rng.uniform(28, 46)),
        roundness=float(rng.uniform(2.0, 4.5)),
        rim_mm=float(rng.choice((0.5, 1.0, 1.6, 2.4, 3.2, 4.5))),
        bridge_mm=float(rng.uniform(15, 20)),
        down_mm=float(rng.uniform(0, 6)),
        vertex_distance_mm=float(rng.uniform(11, 16)),
        colour=_linear(rng.uniform(10, 45, 3) if dark else rng.uniform(40, 190, 3)),
        tint=float(rng.choice((0.02, 0.05, 0.12, 0.25))),
        reflection=float(rng.choice((0.012, 0.03, 0.07, 0.14))),
    )


def _linear(srgb: object) -> Colour:
    """Convert 8-bit sRGB to linear reflectance."""
    values = np.clip(np.asarray(srgb, dtype=np.float64) / 255, 0.005, 0.99) ** 2.2
    return float(values[0]), float(values[1]), float(values[2])
