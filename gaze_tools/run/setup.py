"""The viewer's screen, camera and video position as options of a command; the function has defaults for all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from func.web.schemas import CameraPart, RequestPart, ScreenPart, ViewportPart
from gaze_core.types import Camera, Screen

Command = TypeVar("Command", bound=Callable[..., Any])

_PARTS: Mapping[str, type[RequestPart]] = {"screen": ScreenPart, "camera": CameraPart, "viewport": ViewportPart}


@dataclass(frozen=True, slots=True)
class Setup:
    """Fields of a request that describe the viewer's screen and camera.

    Attributes:
        screen: Given fields of `screen`.
        camera: Given fields of `camera`.
        viewport: Given fields of `viewport`.
    """

    screen: Mapping[str, Any] = field(default_factory=dict)
    camera: Mapping[str, Any] = field(default_factory=dict)
    viewport: Mapping[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Check the values as the function does.

        Raises:
            ValueError: One of them is refused.
        """
        for name, part in _PARTS.items():
            try:
                part.model_validate(dict(getattr(self, name)))
            except ValidationError as error:
                where, problem = ".".join(map(str, error.errors()[0]["loc"])), error.errors()[0]["msg"]
                raise ValueError(f"{name} {where}: {problem}") from error

    def over(self, other: "Setup") -> "Setup":
        """Return the fields of both; those of this setup count where both have one."""
        return Setup(*({**getattr(other, name), **getattr(self, name)} for name in _PARTS))

    def as_fields(self, *, with_viewport: bool = True) -> dict[str, Any]:
        """Return the fields of a request."""
        names = [name for name in _PARTS if name != "viewport" or with_viewport]
        return {name: dict(getattr(self, name)) for name in names if getattr(self, name)}


class Numbers(click.ParamType[tuple[float, ...]]):
    """Numbers with a separator between them, such as `344x194`."""

    def __init__(self, count: int, separator: str, example: str) -> None:
        """Prepare to read.

        Args:
            count: Number of numbers.
            separator: Text between two of them.
            example: Example for the message.
        """
        self.name = example
        self._count, self._separator = count, separator

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:  # noqa: ANN401
        """Return the numbers."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(float(text) for text in str(value).lower().replace("×", "x").split(self._separator))
        except ValueError:
            numbers = ()
        if len(numbers) != self._count:
            self.fail(f"{value!r} is not of the form {self.name}", param, ctx)
        return numbers


def setup_options(command: Command) -> Command:
    """Add the options that `read_setup` reads."""
    screen, camera = Screen(), Camera()
    for option in reversed(
        [
            click.option(
                "--screen-mm",
                type=Numbers(2, "x", "344x194"),
                metavar="WxH",
                help="Size of the screen without its frame, such as 344x194.  "
                f"[default: {screen.width_mm:g}x{screen.height_mm:g}, a 15.6-inch laptop]",
            ),
            click.option(
                "--screen-px",
                type=Numbers(2, "x", "1920x1080"),
                metavar="WxH",
                help=f"Resolution of the screen.  [default: {screen.width_px}x{screen.height_px}]",
            ),
            click.option(
                "--fov-deg",
                type=float,
                help="Vertical field of view of the camera; docs/recordings.md says how to measure it.  "
                f"[default: {camera.vertical_fov_deg:g}]",
            ),
            click.option(
                "--camera-offset-mm",
                type=Numbers(2, ",", "0,8"),
                metavar="X,Y",
                help="Lens to the right of and above the middle of the screen's top edge, as the viewer sees it.  "
                f"[default: {camera.offset_x_mm:g},{camera.offset_y_mm:g}]",
            ),
            click.option(
                "--tilt-deg", type=float, help="Upward tilt of the camera relative to the screen.  [default: 0]"
            ),
            click.option("--mirrored", is_flag=True, help="The images are flipped left to right, like a mirror image."),
            click.option(
                "--viewport",
                type=Numbers(4, ",", "0,0,1,1"),
                metavar="X,Y,W,H",
                help="Left, top, width and height of the film on the screen, as shares of the screen.  "
                "[default: 0,0,1,1, the whole screen]",
            ),
        ]
    ):
        command = option(command)
    return command


def read_setup(options: dict[str, Any]) -> Setup:
    """Take the options of `setup_options` out of a command's options and return them, checked.

    Raises:
        click.UsageError: The function would refuse a value.
    """
    screen: dict[str, Any] = {}
    camera: dict[str, Any] = {}
    viewport: dict[str, Any] = {}
    if size_mm := options.pop("screen_mm"):
        screen |= {"width_mm": size_mm[0], "height_mm": size_mm[1]}
    if size_px := options.pop("screen_px"):
        screen |= {"width_px": round(size_px[0]), "height_px": round(size_px[1])}
    if (fov_deg := options.pop("fov_deg")) is not None:
        camera["vertical_fov_deg"] = fov_deg
    if offset_mm := options.pop("camera_offset_mm"):
        camera |= {"offset_x_mm": offset_mm[0], "offset_y_mm": offset_mm[1]}
    if (tilt_deg := options.pop("tilt_deg")) is not None:
        camera["tilt_deg"] = tilt_deg
    if options.pop("mirrored"):
        camera["mirrored"] = True
    if place := options.pop("viewport"):
        viewport = dict(zip(("x", "y", "width", "height"), place, strict=True))
    setup = Setup(screen, camera, viewport)
    try:
        setup.check()
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    return setup
