"""Shapes of heads: the base mesh's shape targets and their weights for a person."""

import numpy as np

# Pairs of opposite shape targets, and how strongly people differ in them (standard deviation of the weight).
_SYMMETRIC_SHAPES = (
    *(
        (f"nose/nose-{name}", 0.35)
        for name in (
            "curve-concave|convex",
            "flaring-decr|incr",
            "greek-decr|incr",
            "hump-decr|incr",
            "nostrils-angle-down|up",
            "nostrils-width-decr|incr",
            "point-down|up",
            "point-width-decr|incr",
            "scale-depth-decr|incr",
            "scale-horiz-decr|incr",
            "scale-vert-decr|incr",
            "septumangle-decr|incr",
            "volume-decr|incr",
            "width1-decr|incr",
            "width2-decr|incr",
            "width3-decr|incr",
            "base-down|up",
        )
    ),
    *(
        (f"mouth/mouth-{name}", 0.4)
        for name in (
            "angles-down|up",
            "cupidsbow-decr|incr",
            "lowerlip-height-decr|incr",
            "lowerlip-volume-decr|incr",
            "lowerlip-width-decr|incr",
            "scale-depth-decr|incr",
            "scale-horiz-decr|incr",
            "scale-vert-decr|incr",
            "trans-down|up",
            "upperlip-height-decr|incr",
            "upperlip-volume-decr|incr",
            "upperlip-width-decr|incr",
            "philtrum-volume-decr|incr",
            "laugh-lines-in|out",
        )
    ),
    *(
        (f"chin/chin-{name}", 0.4)
        for name in (
            "bones-decr|incr",
            "cleft-decr|incr",
            "height-decr|incr",
            "prognathism-decr|incr",
            "prominent-decr|incr",
            "width-decr|incr",
        )
    ),
    *(
        (f"forehead/forehead-{name}", 0.4)
        for name in (
            "nubian-decr|incr",
            "scale-vert-decr|incr",
            "temple-decr|incr",
            "trans-backward|forward",
        )
    ),
    *((f"eyebrows/eyebrows-{name}", 0.35) for name in ("angle-down|up", "trans-backward|forward", "trans-down|up")),
    *(
        (f"head/head-{name}", 0.3)
        for name in (
            "age-decr|incr",
            "fat-decr|incr",
            "scale-depth-decr|incr",
            "scale-horiz-decr|incr",
            "scale-vert-decr|incr",
            "angle-in|out",
            "back-scale-depth-decr|incr",
        )
    ),
    *((f"neck/neck-{name}", 0.4) for name in ("double-decr|incr", "scale-depth-decr|incr", "scale-horiz-decr|incr")),
)

_HEAD_FORMS = ("diamond", "invertedtriangular", "oval", "rectangular", "round", "square", "triangular")
_PAIRED_SHAPES = (
    *(
        (f"cheek/{{side}}-cheek-{name}", 0.4)
        for name in (
            "bones-decr|incr",
            "inner-decr|incr",
            "trans-down|up",
            "volume-decr|incr",
        )
    ),
    *(
        (f"eyes/{{side}}-eye-{name}", 0.4)
        for name in (
            "bag-decr|incr",
            "bag-height-decr|incr",
            "bag-in|out",
            "corner1-down|up",
            "corner2-down|up",
            "eyefold-angle-down|up",
            "eyefold-concave|convex",
            "eyefold-down|up",
            "height1-decr|incr",
            "height2-decr|incr",
            "height3-decr|incr",
            "push1-in|out",
            "push2-in|out",
            "trans-down|up",
        )
    ),
    *((f"ears/{{side}}-ear-{name}", 0.4) for name in ("scale-decr|incr", "wing-decr|incr", "rot-backward|forward")),
)

_ASYMMETRIC_SHAPES = tuple(
    f"asym/asym-{name}"
    for name in (
        "brown-1",
        "brown-2",
        "cheek-1",
        "cheek-2",
        "eye-1",
        "eye-2",
        "eye-3",
        "eye-4",
        "jaw-1",
        "jaw-2",
        "mouth-1",
        "mouth-2",
        "nose-1",
        "nose-2",
        "nose-3",
        "temple-1",
        "top-1",
    )
)


def sample_shape(
    rng: np.random.Generator, masculinity: float, age: float, ethnicity: tuple[float, float, float]
) -> tuple[tuple[str, float], ...]:
    """Return the names and weights of a person's shape targets."""
    shape: dict[str, float] = {}

    def add(name: str, weight: float) -> None:
        if abs(weight) > 1e-3:
            shape[name] = shape.get(name, 0.0) + float(weight)

    muscle, weight = rng.uniform(0.1, 0.9), rng.uniform(0.15, 0.95)
    for sex, sex_share in (("male", masculinity), ("female", 1 - masculinity)):
        for years, age_share in (("young", 1 - age), ("old", age)):
            for origin, share in zip(("african", "asian", "caucasian"), ethnicity, strict=True):
                add(f"macrodetails/{origin}-{sex}-{years}", sex_share * age_share * share)
            for muscles, muscle_share in _between("muscle", muscle):
                for fat, fat_share in _between("weight", weight):
                    add(
                        f"macrodetails/universal-{sex}-{years}-{muscles}-{fat}",
                        sex_share * age_share * muscle_share * fat_share,
                    )

    def add_pair(pair: str, weight: float) -> None:
        stem, _, positive = pair.rpartition("|")
        head, _, negative = stem.rpartition("-")
        add(f"{head}-{positive if weight > 0 else negative}", abs(weight))

    for pair, spread in _SYMMETRIC_SHAPES:
        add_pair(pair, np.clip(rng.normal(0, 0.55 * spread), -0.7, 0.7))
    for pair, spread in _PAIRED_SHAPES:
        common = rng.normal(0, 0.55 * spread)
        for side in ("l", "r"):
            add_pair(pair.format(side=side), np.clip(common + rng.normal(0, 0.06), -0.7, 0.7))
    epicanthus = np.clip(rng.normal(0.8 * ethnicity[1] - 0.2, 0.25), -0.5, 1.0)
    for side in ("l", "r"):
        add_pair(f"eyes/{side}-eye-epicanthus-out|in", epicanthus)
    for form in rng.choice(_HEAD_FORMS, 2, replace=False):
        add(f"head/head-{form}", rng.uniform(0, 0.35))
    for name in _ASYMMETRIC_SHAPES:
        add(f"{name}-{rng.choice(('l', 'r'))}", abs(rng.normal(0, 0.12)))
    return tuple(sorted(shape.items()))


def _between(name: str, value: float) -> tuple[tuple[str, float], tuple[str, float]]:
    """Split a value in 0..1 between the minimum, average and maximum targets."""
    if value < 0.5:
        return (f"min{name}", 1 - 2 * value), (f"average{name}", 2 * value)
    return (f"average{name}", 2 - 2 * value), (f"max{name}", 2 * value - 1)
