"""Draws scenes with OpenGL, in linear light, without a window.

A software renderer suffices (Mesa's llvmpipe through EGL); machines with the same Mesa produce the same images. Use a
`Renderer` in one thread only.
"""

import os
from collections import OrderedDict
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import moderngl
import numpy as np
from numpy.typing import ArrayLike, NDArray

from research.rendering.appearance import PAINT_BOX_MM, Solid, build_hand, build_lashes
from research.rendering.eye import CORNEA_RADIUS_MM, IRIS_PLANE_MM, REFRACTIVE_INDEX, SIDES
from research.rendering.head import Head
from research.rendering.identity import Identity
from research.rendering.person import Person, PersonMaker
from research.rendering.programs import Programs, make_noise
from research.rendering.projection import camera_projection, shadow_projection, unit
from research.rendering.scene import MAX_CATCHLIGHTS, Scene
from research.rendering.topology import Extent
from research.rendering.window import Window

Layer = NDArray[np.float32]
Lines = tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]

DEVICE_VARIABLE = "RENDER_DEVICE"
"""Environment variable with the number of the EGL device to draw on; by default EGL chooses."""

_SHADOW_MAP_PX = 512
_SAMPLES = 4
_MARGIN_SAMPLES = 32
_LASH_MM = 0.22
_TARGET_STEP_PX = 32
_KEPT_TARGETS = 24
_EYE_REACH_MM = (8.0, 15.0)
"""Smallest and largest distance of the lids' margins from the eye's centre."""


@dataclass(frozen=True, slots=True, eq=False)
class _Target:
    """Framebuffers of one size.

    Attributes:
        sampled: With several samples for each pixel.
        resolved: With one.
        owned: Everything to release; a framebuffer does not release what it consists of.
    """

    sampled: moderngl.Framebuffer
    resolved: moderngl.Framebuffer
    owned: tuple[moderngl.Framebuffer | moderngl.Renderbuffer, ...]


class Renderer:
    """Draws people; caches the last one of each extent."""

    def __init__(self) -> None:
        os.environ.setdefault("LP_NUM_THREADS", "1")
        device = os.environ.get(DEVICE_VARIABLE)
        options = {} if device is None else {"device_index": int(device)}
        self._gl = moderngl.create_context(standalone=True, backend="egl", **options)  # type: ignore[arg-type]
        gl = self._gl
        self._programs = Programs(gl)
        self._programs.bind({"noise": 0, "paint": 1, "shadow_map": 2})
        self._maker = PersonMaker(gl, self._programs)
        noise = gl.texture3d((64, 64, 64), 4, make_noise().tobytes(), dtype="f1", alignment=1)
        noise.filter = (moderngl.LINEAR, moderngl.LINEAR)
        noise.use(0)
        depth = gl.depth_texture((_SHADOW_MAP_PX, _SHADOW_MAP_PX))
        depth.compare_func = "<="
        depth.repeat_x = depth.repeat_y = False
        depth.use(2)
        self._shadow_target = gl.framebuffer(depth_attachment=depth)
        self._targets: OrderedDict[tuple[int, int], _Target] = OrderedDict()
        self._people: dict[Extent, Person] = {}
        corners = gl.buffer(np.array([[0, 0], [1, 0], [0, 1], [1, 1]], dtype="f4").tobytes())
        self._eye_array = gl.vertex_array(self._programs.eye, [(corners, "2f", "corner")])
        self._plain_vertices = gl.buffer(reserve=1 << 20, dynamic=True)
        self._plain_faces = gl.buffer(reserve=1 << 18, dynamic=True)
        self._plain_array = gl.vertex_array(
            self._programs.plain, [(self._plain_vertices, "3f 3f", "place_mm", "normal")], self._plain_faces
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def device(self) -> str:
        """Name of the device that draws."""
        return str(self._gl.info["GL_RENDERER"])

    def close(self) -> None:
        """Release the OpenGL context."""
        self._gl.release()

    def person(self, identity: Identity, extent: Extent = Extent.BUST) -> Person:
        """Return a person with uploaded buffers."""
        person = self._people.get(extent)
        if person is None or person.identity != identity:
            if person is not None:
                person.release()
            self._people[extent] = person = self._maker.make(identity, extent)
        return person

    def draw(
        self, scene: Scene, identity: Identity, window: Window | None = None, extent: Extent = Extent.BUST
    ) -> tuple[Layer, Layer]:
        """Return the person in linear light, premultiplied, shape (h, w, 3), and their coverage 0..1, shape (h, w).

        Args:
            scene: The scene to draw.
            identity: The person in it.
            window: Part of the image to draw; None draws all of it.
            extent: Part of the person to draw.

        Raises:
            ValueError: The scene belongs to another identity.
        """
        if scene.identity_id != identity.identity_id:
            raise ValueError("the scene belongs to another identity")
        window = window or Window.of_image(scene.image_width_px, scene.image_height_px)
        person = self.person(identity, extent)
        rotations = scene.eye_rotations(person.head)
        control_mm, margins = person.head.move(rotations, scene.openness, dict(scene.expression))
        fine_mm = person.upload(control_mm)
        self._write_light(scene)
        self._write_pose(scene, person.head, window)
        self._write_person(person)

        self._draw_shadows(person)
        target, resolved = self._target(window)
        target.use()
        target.viewport = (0, 0, window.width_px, window.height_px)
        target.clear(0.0, 0.0, 0.0, 0.0, depth=1.0)
        self._gl.front_face = "cw"  # OpenGL sees the image upside down
        for mesh in person.meshes:
            if mesh.is_closed:
                self._gl.enable(moderngl.CULL_FACE)
            for array in mesh.surfaces:
                array.render()
            self._gl.disable(moderngl.CULL_FACE)
        self._draw_eyes(scene, person, window, rotations, margins)
        self._draw_details(scene, person, fine_mm)

        self._gl.copy_framebuffer(resolved, target)
        data = resolved.read(viewport=(window.width_px, window.height_px), components=4, dtype="f2")
        pixels = np.frombuffer(data, np.float16).reshape(window.height_px, window.width_px, 4).astype(np.float32)
        return pixels[..., :3], np.clip(pixels[..., 3], 0.0, 1.0)

    def _target(self, window: Window) -> tuple[moderngl.Framebuffer, moderngl.Framebuffer]:
        """Return framebuffers at least as large as the window, the first with several samples for each pixel."""
        step = _TARGET_STEP_PX
        size = -(-window.width_px // step) * step, -(-window.height_px // step) * step
        if size not in self._targets:
            gl = self._gl
            colour = gl.renderbuffer(size, 4, samples=_SAMPLES, dtype="f2")
            depth = gl.depth_renderbuffer(size, samples=_SAMPLES)
            resolved = gl.renderbuffer(size, 4, dtype="f2")
            framebuffers = gl.framebuffer([colour], depth), gl.framebuffer([resolved])
            self._targets[size] = _Target(*framebuffers, owned=(*framebuffers, colour, depth, resolved))
            if len(self._targets) > _KEPT_TARGETS:
                for part in self._targets.popitem(last=False)[1].owned:
                    part.release()
        self._targets.move_to_end(size)
        target = self._targets[size]
        return target.sampled, target.resolved

    def _write_light(self, scene: Scene) -> None:
        lighting = scene.lighting
        to_screen = -np.array(scene.origin_mm) * np.array([1.0, 0.55, 1.0])
        self._programs.set(
            {
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
        )

        lamps = np.zeros((2, MAX_CATCHLIGHTS, 4))
        for index, lamp in enumerate(lighting.catchlights[:MAX_CATCHLIGHTS]):
            lamps[0, index] = *unit(lamp.direction), lamp.radius
            lamps[1, index, :2] = lamp.brightness, lamp.squareness
        self._programs.set({"catchlights": lamps[0], "catchlight_shapes": lamps[1]}, self._programs.eye)

    def _write_pose(self, scene: Scene, head: Head, window: Window) -> None:
        rotation, origin = scene.head_rotation, np.array(scene.origin_mm)
        angle = np.radians(scene.trunk_yaw_deg)
        trunk = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
        self._programs.set(
            {
                "head_rotation": rotation,
                "trunk_rotation": trunk,
                "head_mm": origin,
                "trunk_mm": rotation @ head.neck_mm + origin - trunk @ head.neck_mm,
                "projection": camera_projection(scene, window),
                "shadow_projection": shadow_projection(
                    origin + rotation @ np.array([0.0, 20.0, 40.0]), scene.lighting.key_direction
                ),
                "image_px": (window.width_px, window.height_px),
            }
        )

    def _write_person(self, person: Person) -> None:
        skin, eyeball = person.identity.skin, person.identity.eyeball
        person.paint.use(1)
        self._programs.set(
            {
                "paint_box": PAINT_BOX_MM[person.extent],
                "crown_mm": person.appearance.crown_mm,
                "gloss": skin.gloss,
                "roughness": skin.roughness,
                "cloth_colour": person.identity.clothing,
            },
            *self._programs.surfaces.values(),
        )
        self._programs.set(
            {
                "cornea_centre_mm": eyeball.cornea_centre_mm,
                "cornea_radius_mm": CORNEA_RADIUS_MM,
                "sclera_centre_mm": eyeball.sclera_centre_mm,
                "sclera_radius_mm": eyeball.sclera_radius_mm,
                "limbus_mm": eyeball.limbus_mm,
                "iris_plane_mm": IRIS_PLANE_MM,
                "iris_radius_mm": eyeball.iris_diameter_mm / 2,
                "pupil_radius_mm": eyeball.pupil_diameter_mm / 2,
                "refractive_index": REFRACTIVE_INDEX,
                "iris_colour": person.identity.iris_colour,
                "sclera_colour": person.identity.sclera_colour,
            },
            self._programs.eye,
        )

    def _draw_shadows(self, person: Person) -> None:
        self._shadow_target.use()
        self._shadow_target.clear()
        self._gl.enable(moderngl.DEPTH_TEST)
        for mesh in person.meshes:
            for array in mesh.shadows:
                array.render()

    def _draw_eyes(
        self, scene: Scene, person: Person, window: Window, rotations: NDArray[np.float64], margins: Lines
    ) -> None:
        for index, rig in enumerate(person.head.lids):
            knots = np.linspace(rig.knots_mm[0], rig.knots_mm[-1], _MARGIN_SAMPLES)
            lines = np.stack([np.interp(knots, rig.knots_mm, line) for line in margins[index]], axis=1)
            box = _box_around(_opening(scene, person.head, index, knots, lines), window)
            values: dict[str, ArrayLike] = {
                "box": box,
                "centre": scene.head_rotation @ person.head.eyes_mm[index] + np.array(scene.origin_mm),
                "eye_rotation": scene.head_rotation @ rotations[index],
                "side": SIDES[index],
                "seed": float(person.identity.identity_id % 97) + 0.37 * index,
                "margins": lines,
                "knot_first_mm": float(knots[0]),
                "knot_last_mm": float(knots[-1]),
            }
            self._programs.set(values, self._programs.eye)
            self._eye_array.render(moderngl.TRIANGLE_STRIP)

    def _draw_details(self, scene: Scene, person: Person, fine_mm: NDArray[np.float32]) -> None:
        """Draw lashes and glasses."""
        gl, identity = self._gl, person.identity
        gl.enable(moderngl.BLEND)
        gl.blend_func = moderngl.ONE, moderngl.ONE_MINUS_SRC_ALPHA
        hair = identity.hair
        pixel_mm = scene.origin_mm[2] / scene.focal_px
        width_mm = max(_LASH_MM, 0.8 * pixel_mm)  # thinner ones would fall between the samples
        lashes = build_lashes(
            person.head, fine_mm.astype(np.float64), hair, width_mm, identity.seed + identity.identity_id
        )
        dark = tuple(0.5 * part for part in hair.brow_colour)
        self._draw_plain(Solid(*lashes), albedo=dark, opacity=0.75 * _LASH_MM / width_mm, shine=0.0)
        if scene.wears_glasses and identity.glasses is not None and person.glasses is not None:
            frame, lenses = person.glasses
            self._draw_plain(frame, albedo=identity.glasses.colour, opacity=1.0, shine=0.04)
            self._programs.set({"tint": identity.glasses.tint}, self._programs.plain)
            self._draw_plain(lenses, albedo=(0.0, 0.0, 0.0), opacity=1.0, shine=identity.glasses.reflection, lens=1.0)
        if scene.hand is not None:
            *fingertips, turn_deg = scene.hand
            hand = build_hand((fingertips[0], fingertips[1], fingertips[2]), turn_deg)
            self._draw_plain(hand, albedo=identity.skin.colour, opacity=1.0, shine=0.01)
        gl.disable(moderngl.BLEND)

    def _draw_plain(
        self, solid: Solid, *, albedo: tuple[float, ...], opacity: float, shine: float, lens: float = 0.0
    ) -> None:
        if not len(solid.triangles):
            return
        self._programs.set({"albedo": albedo, "opacity": opacity, "shine": shine, "lens": lens}, self._programs.plain)
        vertices = np.concatenate([solid.places_mm, solid.normals], axis=1).astype("f4")
        for buffer, data in ((self._plain_vertices, vertices), (self._plain_faces, solid.triangles.astype("i4"))):
            buffer.orphan()
            buffer.write(data.tobytes())
        self._plain_array.render(vertices=solid.triangles.size)


def _opening(
    scene: Scene, head: Head, index: int, across_mm: NDArray[np.float64], margins: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return points in the image around an eye's opening, shape (n, 2)."""
    places = []
    for reach in _EYE_REACH_MM:
        radius = np.sqrt(np.maximum(reach**2 - across_mm**2, 4.0))[:, None]
        x = np.repeat(SIDES[index] * across_mm[:, None], 2, axis=1)
        places.append(np.stack([x, -radius * np.sin(margins), -radius * np.cos(margins)], axis=-1).reshape(-1, 3))
    in_camera = (np.concatenate(places) + head.eyes_mm[index]) @ scene.head_rotation.T + np.array(scene.origin_mm)
    pixels = scene.project(in_camera)
    margin = 2.0 + scene.focal_px / scene.origin_mm[2]
    return np.array([pixels.min(axis=0) - margin, pixels.max(axis=0) + margin])


def _box_around(points_px: NDArray[np.float64], window: Window) -> NDArray[np.float64]:
    """Return left, top, right and bottom of points in normalised device coordinates, shape (4,)."""
    corner, size = np.array([window.left_px, window.top_px]), np.array([window.width_px, window.height_px])
    return np.asarray(((points_px - corner) / size * 2 - 1).ravel())
