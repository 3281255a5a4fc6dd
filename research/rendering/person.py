"""People prepared for drawing: their shape, their appearance and their OpenGL buffers."""

from dataclasses import dataclass
from typing import Any

import moderngl
import numpy as np
from numpy.typing import NDArray

from research.rendering.appearance import Appearance, Solid, build_appearance, build_glasses
from research.rendering.coarse_head import build_coarse_head
from research.rendering.exposure import LitPoints, build_lit_points
from research.rendering.eye import fick_rotation
from research.rendering.head import Head, build_head
from research.rendering.identity import Identity
from research.rendering.mesh import halve
from research.rendering.programs import Programs, Surfacing
from research.rendering.topology import Extent

Triangles = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """A mesh of a person on the graphics device.

    Attributes:
        posed: Buffer of places and normals, shape (n, 6).
        surfaces: What to draw.
        shadows: What casts shadows.
        is_closed: Whether only its front sides can be seen.
    """

    posed: moderngl.Buffer
    surfaces: tuple[moderngl.VertexArray, ...]
    shadows: tuple[moderngl.VertexArray, ...]
    is_closed: bool


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """The parts of a person that do not change between scenes.

    Attributes:
        identity: The person.
        extent: How much of the body there is.
        head: Shape of the head.
        appearance: Surface of the head.
        glasses: Frame and lenses of their glasses, if they own any.
        skin: Mesh of the body, rewritten for each scene.
        hair: Mesh of the hair, rewritten for each scene; None if there is none.
        rest: Meshes that never change.
        paint: Texture on the skin.
        lit_points: Points from which the exposure is estimated.
        owned: Everything to release.
    """

    identity: Identity
    extent: Extent
    head: Head
    appearance: Appearance
    glasses: tuple[Solid, Solid] | None
    skin: Mesh
    hair: Mesh | None
    rest: tuple[Mesh, ...]
    paint: moderngl.Texture
    lit_points: LitPoints
    owned: tuple[moderngl.Buffer | moderngl.VertexArray | moderngl.Texture, ...]

    @property
    def meshes(self) -> tuple[Mesh, ...]:
        """All meshes."""
        return (self.skin, *((self.hair,) if self.hair is not None else ()), *self.rest)

    def upload(self, control_mm: NDArray[np.float64]) -> NDArray[np.float32]:
        """Write a pose to the meshes' buffers and return the fine vertices, head frame, shape (n, 3)."""
        posed = self.head.topology.surface.pose(control_mm)
        self.skin.posed.orphan()
        self.skin.posed.write(posed.tobytes())
        if self.hair is not None:
            shell = posed[self.appearance.hair_vertices]
            shell[:, :3] += shell[:, 3:] * self.appearance.hair_height_mm[:, None].astype(np.float32)
            self.hair.posed.orphan()
            self.hair.posed.write(shell.tobytes())
        return posed[:, :3]

    def release(self) -> None:
        """Release the buffers."""
        for part in self.owned:
            part.release()


class PersonMaker:
    """Prepares people for drawing."""

    def __init__(self, gl: moderngl.Context, programs: Programs) -> None:
        self._gl = gl
        self._programs = programs
        self._owned: list[moderngl.Buffer | moderngl.VertexArray | moderngl.Texture] = []

    def make(self, identity: Identity, extent: Extent) -> Person:
        """Return a person with uploaded buffers."""
        head = build_head(identity, extent)
        straight = np.stack([fick_rotation(0.0, 0.0)] * 2)
        control_mm, _ = head.move(straight, 1.0, {})
        appearance = build_appearance(head, control_mm)
        self._owned = []
        paint = self._gl.texture(appearance.paint.shape[1::-1], 4, appearance.paint.tobytes(), alignment=1)
        paint.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
        paint.build_mipmaps()
        paint.repeat_x = paint.repeat_y = False
        self._owned.append(paint)
        return Person(
            identity=identity,
            extent=extent,
            head=head,
            appearance=appearance,
            glasses=None if identity.glasses is None else build_glasses(head, identity.glasses),
            skin=self._skin(head, appearance),
            hair=self._hair(head, appearance),
            rest=(self._coarse_head(head),) if extent is Extent.EYES else (),
            paint=paint,
            lit_points=build_lit_points(head),
            owned=tuple(self._owned),
        )

    def _skin(self, head: Head, appearance: Appearance) -> Mesh:
        triangles = head.topology.surface.triangles
        dressed = (appearance.material[:, 1] >= 0)[triangles]
        parts = {
            Surfacing.SKIN: triangles[~dressed.any(axis=1)],
            Surfacing.CLOTH: triangles[dressed.all(axis=1)],
            Surfacing.SKIN_AND_CLOTH: triangles[dressed.any(axis=1) & ~dressed.all(axis=1)],
        }
        fixed = np.column_stack([appearance.rest_mm, appearance.albedo, appearance.material, appearance.open_sky])
        return self._mesh(fixed, parts, halve(head.topology.quads))

    def _hair(self, head: Head, appearance: Appearance) -> Mesh | None:
        shell = appearance.hair_vertices
        if not len(shell):
            return None
        count = len(shell)
        fixed = np.column_stack(
            [
                appearance.rest_mm[shell],
                np.tile(np.array(head.identity.hair.colour), (count, 1)),
                np.column_stack(
                    [np.ones(count), np.full(count, -50.0), np.zeros(count), appearance.material[shell, 3]]
                ),
                np.clip(appearance.open_sky[shell], 0.5, 1),
            ]
        )
        number = np.full(len(appearance.rest_mm), -1)
        number[shell] = np.arange(count)
        quads = number[head.topology.quads]
        casting = halve(quads[(quads >= 0).all(axis=1)])
        return self._mesh(fixed, {Surfacing.HAIR: appearance.hair_triangles}, casting, is_closed=False)

    def _coarse_head(self, head: Head) -> Mesh:
        coarse = build_coarse_head(head)
        parts = {Surfacing.SKIN: coarse.bare, Surfacing.HAIR: coarse.hairy}
        return self._mesh(coarse.fixed, parts, coarse.casting, coarse.posed)

    def _mesh(
        self,
        fixed: NDArray[np.float64],
        parts: dict[Surfacing, Triangles],
        casting: Triangles,
        posed: NDArray[np.float64] | None = None,
        *,
        is_closed: bool = True,
    ) -> Mesh:
        """Return a mesh.

        Args:
            fixed: Rest place, albedo, material and open sky of each vertex, shape (n, 11).
            parts: Triangles to draw.
            casting: Triangles that cast shadows.
            posed: Places and normals of a mesh that never changes, shape (n, 6).
            is_closed: Whether only its front sides can be seen.
        """
        if posed is None:
            posed_buffer = self._gl.buffer(reserve=len(fixed) * 24, dynamic=True)
        else:
            posed_buffer = self._gl.buffer(posed.astype("f4").tobytes())
        fixed_buffer = self._gl.buffer(fixed.astype("f4").tobytes())
        self._owned += [posed_buffer, fixed_buffer]
        content = [
            (posed_buffer, "3f 3f", "place_mm", "normal"),
            (fixed_buffer, "3f 3f 4f 1f", "rest_mm", "albedo", "material", "open_sky"),
        ]
        surfaces = tuple(
            self._array(self._programs.surfaces[kind], content, triangles)
            for kind, triangles in parts.items()
            if len(triangles)
        )
        content = [(posed_buffer, "3f 12x", "place_mm"), (fixed_buffer, "24x 4f 4x", "material")]
        shadows = (self._array(self._programs.shadow, content, casting),) if len(casting) else ()
        return Mesh(posed_buffer, surfaces, shadows, is_closed)

    def _array(
        self, program: moderngl.Program, content: list[tuple[Any, ...]], triangles: Triangles
    ) -> moderngl.VertexArray:
        faces = self._gl.buffer(triangles.astype("i4").tobytes())
        array = self._gl.vertex_array(program, content, faces, skip_errors=True)  # skips what the shader does not need
        self._owned += [faces, array]
        return array
