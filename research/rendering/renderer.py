"""Draws scenes with OpenGL, in linear light, without a window.

A software renderer suffices (Mesa's llvmpipe through EGL); machines with the same Mesa produce the same images. Use a
`Renderer` in one thread only.
"""

import os
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Any, Self

import moderngl
import numpy as np
from numpy.typing import ArrayLike, NDArray

from research.rendering import shaders
from research.rendering.appearance import (
    PAINT_BOX_MM,
    Appearance,
    build_appearance,
    build_glasses,
    build_hand,
    build_lashes,
)
from research.rendering.eye import CORNEA_RADIUS_MM, IRIS_PLANE_MM, REFRACTIVE_INDEX, SIDES, fick_rotation
from research.rendering.head import Head, build_head
from research.rendering.identity import Identity
from research.rendering.mesh import Surface
from research.rendering.projection import camera_projection, shadow_projection, unit
from research.rendering.scene import MAX_CATCHLIGHTS, Scene

Layer = NDArray[np.float32]

_SHADOW_MAP_PX = 512
_SAMPLES = 4
_MARGIN_SAMPLES = 32
_LASH_MM = 0.22


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """The parts of a person that do not change between scenes.

    Attributes:
        identity: The person.
        head: Shape of the head.
        appearance: Surface of the head.
        buffers: OpenGL buffers by name.
    """

    identity: Identity
    head: Head
    appearance: Appearance
    buffers: dict[str, Any]


class Renderer:
    """Draws people; caches the last one."""

    def __init__(self) -> None:
        os.environ.setdefault("LP_NUM_THREADS", "1")
        self._gl = moderngl.create_context(standalone=True, backend="egl")  # type: ignore[arg-type]
        gl = self._gl
        self._skin = gl.program(vertex_shader=shaders.SKIN_VERTEX, fragment_shader=shaders.SKIN_FRAGMENT)
        self._shadow = gl.program(vertex_shader=shaders.SHADOW_VERTEX, fragment_shader=shaders.SHADOW_FRAGMENT)
        self._eye = gl.program(vertex_shader=shaders.EYE_VERTEX, fragment_shader=shaders.EYE_FRAGMENT)
        self._plain = gl.program(vertex_shader=shaders.PLAIN_VERTEX, fragment_shader=shaders.PLAIN_FRAGMENT)
        noise = gl.texture3d((64, 64, 64), 1, _noise().tobytes(), dtype="f1", alignment=1)
        noise.filter = (moderngl.LINEAR, moderngl.LINEAR)
        noise.use(0)
        depth = gl.depth_texture((_SHADOW_MAP_PX, _SHADOW_MAP_PX))
        depth.compare_func = "<="
        depth.repeat_x = depth.repeat_y = False
        depth.use(2)
        self._shadow_target = gl.framebuffer(depth_attachment=depth)
        self._targets: dict[tuple[int, int], tuple[moderngl.Framebuffer, moderngl.Framebuffer]] = {}
        self._person: Person | None = None
        ball, faces = _ball()
        self._ball = (gl.buffer(ball.astype("f4").tobytes()), gl.buffer(faces.astype("i4").tobytes()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the OpenGL context."""
        self._gl.release()

    def person(self, identity: Identity) -> Person:
        """Return a person with uploaded buffers."""
        if self._person is None or self._person.identity != identity:
            if self._person is not None:
                for buffer in self._person.buffers.values():
                    buffer.release()
            self._person = self._prepare(identity)
        return self._person

    def draw(self, scene: Scene, identity: Identity) -> tuple[Layer, Layer]:
        """Return the person in linear light, premultiplied, shape (h, w, 3), and their coverage 0..1, shape (h, w).

        Args:
            scene: The scene to draw.
            identity: The person in it.

        Raises:
            ValueError: The scene belongs to another identity.
        """
        if scene.identity_id != identity.identity_id:
            raise ValueError("the scene belongs to another identity")
        person = self.person(identity)
        head = person.head
        rotations = scene.eye_rotations(head)
        fine_mm, margins = head.pose(rotations, scene.openness, dict(scene.expression))
        normals = head.topology.surface.normals(fine_mm)

        target = self._target(scene)
        self._write_light(scene)
        self._write_pose(scene, head)
        meshes = self._upload(person, fine_mm, normals)

        self._shadow_target.use()
        self._shadow_target.clear()
        self._gl.enable(moderngl.DEPTH_TEST)
        for array, _ in meshes:
            array["shadow"].render()
        target.use()
        target.clear(0.0, 0.0, 0.0, 0.0, depth=1.0)
        self._gl.front_face = "cw"  # OpenGL sees the image upside down
        for array, closed in meshes:
            if closed:
                self._gl.enable(moderngl.CULL_FACE)
            array["skin"].render()
            self._gl.disable(moderngl.CULL_FACE)
        self._draw_eyes(scene, person, rotations, margins)
        self._draw_details(scene, person, fine_mm)
        for array, _ in meshes:
            for part in array.values():
                part.release()

        size = (scene.image_height_px, scene.image_width_px)
        resolved = self._resolved(scene)
        self._gl.copy_framebuffer(resolved, target)
        pixels = np.frombuffer(resolved.read(components=4, dtype="f2"), np.float16).reshape(*size, 4).astype(np.float32)
        return pixels[..., :3], np.clip(pixels[..., 3], 0.0, 1.0)

    def _prepare(self, identity: Identity) -> Person:
        head = build_head(identity)
        straight = np.stack([fick_rotation(0.0, 0.0)] * 2)
        rest_mm, _ = head.pose(straight, 1.0, {})
        appearance = build_appearance(head, rest_mm)
        surface: Surface = head.topology.surface
        fixed = np.concatenate(
            [appearance.rest_mm, appearance.albedo, appearance.material, appearance.open_sky[:, None]], axis=1
        )
        shell = appearance.hair_vertices
        hair_material = np.tile([1.0, -50.0, 0.0, 1.0], (len(shell), 1))
        hair_material[:, 3] = appearance.material[shell, 3]
        hair_colour = np.tile(np.array(identity.hair.colour), (len(shell), 1))
        hair_fixed = np.concatenate(
            [appearance.rest_mm[shell], hair_colour, hair_material, np.clip(appearance.open_sky[shell, None], 0.5, 1)],
            axis=1,
        )
        gl = self._gl
        paint = gl.texture(appearance.paint.shape[1::-1], 4, appearance.paint.tobytes(), alignment=1)
        paint.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
        paint.build_mipmaps()
        paint.repeat_x = paint.repeat_y = False
        buffers: dict[str, Any] = {
            "paint": paint,
            "fixed": gl.buffer(fixed.astype("f4").tobytes()),
            "triangles": gl.buffer(surface.triangles.tobytes()),
        }
        if len(shell):
            buffers["hair fixed"] = gl.buffer(hair_fixed.astype("f4").tobytes())
            buffers["hair triangles"] = gl.buffer(appearance.hair_triangles.tobytes())
        return Person(identity, head, appearance, buffers)

    def _target(self, scene: Scene) -> moderngl.Framebuffer:
        size = (scene.image_width_px, scene.image_height_px)
        if size not in self._targets:
            gl = self._gl
            self._targets[size] = (
                gl.framebuffer(
                    [gl.renderbuffer(size, 4, samples=_SAMPLES, dtype="f2")],
                    gl.depth_renderbuffer(size, samples=_SAMPLES),
                ),
                gl.framebuffer([gl.renderbuffer(size, 4, dtype="f2")]),
            )
        return self._targets[size][0]

    def _resolved(self, scene: Scene) -> moderngl.Framebuffer:
        return self._targets[scene.image_width_px, scene.image_height_px][1]

    def _write_light(self, scene: Scene) -> None:
        lighting = scene.lighting
        to_screen = -np.array(scene.origin_mm) * np.array([1.0, 0.55, 1.0])
        values: dict[str, ArrayLike] = {
            "key_direction": unit(lighting.key_direction),
            "key": lighting.key,
            "sky": lighting.sky,
            "ground": lighting.ground,
            "screen_direction": unit(to_screen),
            "screen_light": lighting.screen,
            "rim_direction": unit(lighting.rim_direction),
            "rim": lighting.rim,
            "up": (0.0, -1.0, 0.0),
        }
        for program in (self._skin, self._eye, self._plain):
            for name, value in values.items():
                _set(program, name, tuple(np.asarray(value, dtype=np.float64).tolist()))

        lamps = np.zeros((2, MAX_CATCHLIGHTS, 4))
        for index, lamp in enumerate(lighting.catchlights[:MAX_CATCHLIGHTS]):
            lamps[0, index] = *unit(lamp.direction), lamp.radius
            lamps[1, index, :2] = lamp.brightness, lamp.squareness
        self._eye["catchlights"].write(lamps[0].astype("f4").tobytes())  # type: ignore[union-attr]
        self._eye["catchlight_shapes"].write(lamps[1].astype("f4").tobytes())  # type: ignore[union-attr]

    def _write_pose(self, scene: Scene, head: Head) -> None:
        rotation, origin = scene.head_rotation, np.array(scene.origin_mm)
        angle = np.radians(scene.trunk_yaw_deg)
        trunk = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
        trunk_mm = rotation @ head.neck_mm + origin - trunk @ head.neck_mm
        projection = camera_projection(scene)
        shadow = shadow_projection(origin + rotation @ np.array([0.0, 20.0, 40.0]), scene.lighting.key_direction)
        for program in (self._skin, self._shadow, self._eye, self._plain):
            _write(program, "head_rotation", rotation)
            _write(program, "trunk_rotation", trunk)
            _set(program, "head_mm", tuple(origin.tolist()))
            _set(program, "trunk_mm", tuple(trunk_mm.tolist()))
            _write(program, "projection", projection)
            _write(program, "shadow_projection", shadow)

    def _upload(
        self, person: Person, fine_mm: NDArray[np.float64], normals: NDArray[np.float64]
    ) -> list[tuple[dict[str, Any], bool]]:
        appearance, skin, buffers = person.appearance, self._skin, person.buffers
        _set(skin, "noise", 0)
        _set(skin, "paint", 1)
        _set(skin, "shadow_map", 2)
        buffers["paint"].use(1)
        _set(skin, "paint_box", PAINT_BOX_MM)
        _set(skin, "crown_mm", tuple(appearance.crown_mm.tolist()))
        _set(skin, "gloss", person.identity.skin.gloss)
        _set(skin, "roughness", person.identity.skin.roughness)
        _set(skin, "cloth_colour", person.identity.clothing)
        parts = [(fine_mm, normals, "fixed", "triangles")]
        shell = appearance.hair_vertices
        if len(shell):
            raised = fine_mm[shell] + normals[shell] * appearance.hair_height_mm[:, None]
            parts.append((raised, normals[shell], "hair fixed", "hair triangles"))
        meshes = []
        for places, directions, fixed, triangles in parts:
            moving = self._gl.buffer(np.concatenate([places, directions], axis=1).astype("f4").tobytes())
            names = ("rest_mm", "albedo", "material", "open_sky")
            arrays = {
                "skin": self._gl.vertex_array(
                    skin,
                    [(moving, "3f 3f", "place_mm", "normal"), (buffers[fixed], "3f 3f 4f 1f", *names)],
                    buffers[triangles],
                ),
                "shadow": self._gl.vertex_array(
                    self._shadow,
                    [(moving, "3f 12x", "place_mm"), (buffers[fixed], "24x 4f 4x", "material")],
                    buffers[triangles],
                ),
                "moving": moving,
            }
            meshes.append((arrays, fixed == "fixed"))
        return meshes

    def _draw_eyes(
        self,
        scene: Scene,
        person: Person,
        rotations: NDArray[np.float64],
        margins: tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...],
    ) -> None:
        eye, identity, eyeball = self._eye, person.identity, person.identity.eyeball
        for name, value in (
            ("noise", 0),
            ("shadow_map", 2),
            ("cornea_centre_mm", eyeball.cornea_centre_mm),
            ("cornea_radius_mm", CORNEA_RADIUS_MM),
            ("sclera_centre_mm", eyeball.sclera_centre_mm),
            ("sclera_radius_mm", eyeball.sclera_radius_mm),
            ("limbus_mm", eyeball.limbus_mm),
            ("iris_plane_mm", IRIS_PLANE_MM),
            ("iris_radius_mm", eyeball.iris_diameter_mm / 2),
            ("pupil_radius_mm", eyeball.pupil_diameter_mm / 2),
            ("refractive_index", REFRACTIVE_INDEX),
            ("image_px", (float(scene.image_width_px), float(scene.image_height_px))),
            ("iris_colour", identity.iris_colour),
            ("sclera_colour", identity.sclera_colour),
        ):
            _set(eye, name, value)
        vertices, faces = self._ball
        array = self._gl.vertex_array(eye, [(vertices, "3f", "place_mm")], faces)
        for index, rig in enumerate(person.head.lids):
            centre = scene.head_rotation @ person.head.eyes_mm[index] + np.array(scene.origin_mm)
            _set(eye, "centre", tuple(centre.tolist()))
            _write(eye, "eye_rotation", scene.head_rotation @ rotations[index])
            _set(eye, "side", SIDES[index])
            _set(eye, "seed", float(identity.identity_id % 97) + 0.37 * index)
            knots = np.linspace(rig.knots_mm[0], rig.knots_mm[-1], _MARGIN_SAMPLES)
            lines = np.stack([np.interp(knots, rig.knots_mm, line) for line in margins[index]], axis=1)
            _write(eye, "margins", lines.T)
            _set(eye, "knot_first_mm", float(knots[0]))
            _set(eye, "knot_last_mm", float(knots[-1]))
            array.render()
        array.release()

    def _draw_details(self, scene: Scene, person: Person, fine_mm: NDArray[np.float64]) -> None:
        """Draw lashes and glasses."""
        gl, plain, identity = self._gl, self._plain, person.identity
        gl.enable(moderngl.BLEND)
        gl.blend_func = moderngl.ONE, moderngl.ONE_MINUS_SRC_ALPHA
        hair = identity.hair
        pixel_mm = scene.origin_mm[2] / scene.focal_px
        width_mm = max(_LASH_MM, 0.8 * pixel_mm)  # thinner ones would fall between the samples
        lashes = build_lashes(person.head, fine_mm, hair, width_mm, identity.seed + identity.identity_id)
        dark = tuple(0.5 * part for part in hair.brow_colour)
        self._draw_plain(*lashes, albedo=dark, opacity=0.75 * _LASH_MM / width_mm, shine=0.0)
        if scene.wears_glasses and identity.glasses is not None:
            frame, lenses = build_glasses(person.head, identity.glasses)
            self._draw_plain(
                frame.places_mm, frame.normals, frame.triangles, albedo=identity.glasses.colour, opacity=1.0, shine=0.04
            )
            _set(plain, "tint", identity.glasses.tint)
            self._draw_plain(
                lenses.places_mm,
                lenses.normals,
                lenses.triangles,
                albedo=(0.0, 0.0, 0.0),
                opacity=1.0,
                shine=identity.glasses.reflection,
                lens=1.0,
            )
        if scene.hand is not None:
            *fingertips, turn_deg = scene.hand
            hand = build_hand((fingertips[0], fingertips[1], fingertips[2]), turn_deg)
            self._draw_plain(
                hand.places_mm, hand.normals, hand.triangles, albedo=identity.skin.colour, opacity=1.0, shine=0.01
            )
        gl.disable(moderngl.BLEND)

    def _draw_plain(
        self,
        places_mm: NDArray[np.float64],
        normals: NDArray[np.float64],
        triangles: NDArray[np.int32],
        *,
        albedo: tuple[float, ...],
        opacity: float,
        shine: float,
        lens: float = 0.0,
    ) -> None:
        if not len(triangles):
            return
        for name, value in (("albedo", albedo), ("opacity", opacity), ("shine", shine), ("lens", lens)):
            _set(self._plain, name, value)
        vertices = self._gl.buffer(np.concatenate([places_mm, normals], axis=1).astype("f4").tobytes())
        faces = self._gl.buffer(triangles.astype("i4").tobytes())
        array = self._gl.vertex_array(self._plain, [(vertices, "3f 3f", "place_mm", "normal")], faces)
        array.render()
        for part in (array, vertices, faces):
            part.release()


def _set(program: moderngl.Program, name: str, value: float | tuple[float, ...]) -> None:
    """Set a uniform unless the compiler removed it."""
    if name in program:
        program[name].value = value  # type: ignore[union-attr]


def _write(program: moderngl.Program, name: str, matrix: NDArray[np.float64]) -> None:
    if name in program:
        program[name].write(matrix.T.astype("f4").tobytes())  # type: ignore[union-attr]


@lru_cache(maxsize=1)
def _noise() -> NDArray[np.uint8]:
    """Return smooth, tileable noise with mean 128, shape (64, 64, 64)."""
    rng = np.random.default_rng(11)
    white = rng.normal(size=(64, 64, 64))
    frequency = np.sqrt(sum(axis**2 for axis in np.meshgrid(*[np.fft.fftfreq(64) * 64] * 3, indexing="ij")))
    spectrum = np.fft.fftn(white) * np.exp(-((frequency / 22) ** 2))
    values = np.fft.ifftn(spectrum).real
    noise: NDArray[np.uint8] = np.clip(128 + 46 * values / values.std(), 0, 255).astype(np.uint8)
    return noise


@lru_cache(maxsize=1)
def _ball() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return vertices and faces of the front of a sphere that encloses the eye, head frame about the eye's centre."""
    radius_mm, rings, sectors = 13.9, 16, 32
    tilt, turn = np.meshgrid(
        np.linspace(0, np.radians(100), rings), np.linspace(0, 2 * np.pi, sectors, endpoint=False), indexing="ij"
    )
    places = radius_mm * np.stack([np.sin(tilt) * np.cos(turn), np.sin(tilt) * np.sin(turn), -np.cos(tilt)], axis=-1)
    index = np.arange(rings * sectors).reshape(rings, sectors)
    a, b = index[:-1], index[1:]
    c, d = np.roll(b, -1, axis=1), np.roll(a, -1, axis=1)
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    return places.reshape(-1, 3), faces
