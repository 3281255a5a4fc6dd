"""The OpenGL programs and their uniforms."""

from enum import Enum
from functools import lru_cache

import moderngl
import numpy as np
from numpy.typing import ArrayLike, NDArray

from research.rendering import shaders

Uniform = float | tuple[float, ...]


class Surfacing(Enum):
    """What a mesh consists of, which selects its shader."""

    SKIN = "skin"
    CLOTH = "cloth"
    SKIN_AND_CLOTH = "skin and cloth"
    HAIR = "hair"


_SHARES: dict[Surfacing, dict[str, float]] = {
    Surfacing.SKIN: {"HAIR": 0.0, "CLOTH": 0.0},
    Surfacing.CLOTH: {"HAIR": 0.0, "CLOTH": 1.0},
    Surfacing.SKIN_AND_CLOTH: {"HAIR": 0.0},
    Surfacing.HAIR: {"HAIR": 1.0, "CLOTH": 0.0},
}


class Programs:
    """The compiled shaders.

    Attributes:
        surfaces: Programs of the body, hair and clothes.
        shadow: Program that draws into the shadow map.
        eye: Program of the eyes.
        plain: Program of lashes and glasses.
    """

    def __init__(self, gl: moderngl.Context) -> None:
        self.surfaces = {
            kind: gl.program(
                vertex_shader=shaders.SKIN_VERTEX, fragment_shader=_define(shaders.SKIN_FRAGMENT, _SHARES[kind])
            )
            for kind in Surfacing
        }
        self.shadow = gl.program(vertex_shader=shaders.SHADOW_VERTEX, fragment_shader=shaders.SHADOW_FRAGMENT)
        self.eye = gl.program(vertex_shader=shaders.EYE_VERTEX, fragment_shader=shaders.EYE_FRAGMENT)
        self.plain = gl.program(vertex_shader=shaders.PLAIN_VERTEX, fragment_shader=shaders.PLAIN_FRAGMENT)
        self._all = (*self.surfaces.values(), self.shadow, self.eye, self.plain)
        self._names = {program: frozenset(program) for program in self._all}

    def set(self, values: dict[str, ArrayLike], *programs: moderngl.Program) -> None:
        """Set uniforms in the given programs, or in all, wherever the compiler has kept them.

        Args:
            values: Numbers, vectors and square matrices by name.
            programs: The programs.
        """
        for name, value in values.items():
            array = np.asarray(value, dtype=np.float32)
            data = (array.T if array.ndim == 2 and array.shape[0] == array.shape[1] else array).tobytes()
            for program in programs or self._all:
                if name in self._names[program]:
                    program[name].write(data)  # type: ignore[union-attr]

    def bind(self, samplers: dict[str, int]) -> None:
        """Bind samplers to texture units in all programs."""
        for program in self._all:
            for name, unit in samplers.items():
                if name in self._names[program]:
                    program[name].value = unit  # type: ignore[union-attr]


def _define(fragment_shader: str, values: dict[str, float]) -> str:
    """Return a shader with constants, so that the compiler removes what it does not need.

    A software renderer executes both branches of every condition.
    """
    head, version, rest = fragment_shader.partition("#version 330\n")
    return head + version + "".join(f"#define {name} {value}\n" for name, value in values.items()) + rest


@lru_cache(maxsize=1)
def make_noise() -> NDArray[np.uint8]:
    """Return smooth, tileable noise with mean 128 in four independent channels, shape (64, 64, 64, 4)."""
    rng = np.random.default_rng(11)
    white = rng.normal(size=(64, 64, 64, 4))
    frequency = np.sqrt(sum(axis**2 for axis in np.meshgrid(*[np.fft.fftfreq(64) * 64] * 3, indexing="ij")))
    spectrum = np.fft.fftn(white, axes=(0, 1, 2)) * np.exp(-((frequency / 22) ** 2))[..., None]
    values = np.fft.ifftn(spectrum, axes=(0, 1, 2)).real
    noise: NDArray[np.uint8] = np.clip(128 + 46 * values / values.std(), 0, 255).astype(np.uint8)
    return noise
