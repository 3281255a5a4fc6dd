"""Time the renderer: whole faces and eye regions of the same scenes, in one process.

    python -m research.dataset.bench

Preparing the people counts towards the rates, at the number of images per person that the data sets have.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import click
import cv2

from research.command_line import Command
from research.dataset.eye_images import EyePlan, render_person
from research.dataset.eye_placement import load_placement_model
from research.rendering.identity import sample_identity
from research.rendering.photograph import photograph
from research.rendering.renderer import Renderer
from research.rendering.sampling import NO_TARGET, sample_scene, sample_session
from research.rendering.topology import Extent

FACES_PER_PERSON, EYE_IMAGES_PER_PERSON = 18, 36
"""Images of each person in the data sets."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of wall-clock time and of CPU time; these differ on a busy machine or with a graphics device."""

    wall_s: float
    cpu_s: float

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.wall_s + other.wall_s, self.cpu_s + other.cpu_s)

    def __truediv__(self, count: int) -> "Cost":
        return Cost(self.wall_s / count, self.cpu_s / count)


@dataclass(frozen=True, slots=True)
class RenderCost:
    """What one kind of image costs.

    Attributes:
        person: Preparing one person.
        image: One image of a prepared person.
    """

    person: Cost
    image: Cost

    def of_image(self, images_per_person: int) -> Cost:
        """Return the cost of an image when each person is prepared for so many."""
        return self.person / images_per_person + self.image


@click.command(cls=Command)
@click.option("--people", default=6, show_default=True, help="Number of people.")
@click.option("--images-per-person", default=12, show_default=True, help="Images per person.")
@click.option("--seed", default=3, show_default=True, help="Random seed of the scenes.")
def main(*, people: int, images_per_person: int, seed: int) -> None:
    """Time the renderer: whole faces and eye regions of the same scenes, in one process."""
    cv2.setNumThreads(1)
    with Renderer() as renderer:
        faces, eyes = measure_costs(renderer, people, images_per_person, seed)
        click.echo(f"drawn by {renderer.device}; {people} people, {images_per_person} images of each")
    totals = []
    for name, cost, per_person in (
        ("whole faces", faces, FACES_PER_PERSON),
        ("pairs of eye images", eyes, EYE_IMAGES_PER_PERSON),
    ):
        total = cost.of_image(per_person)
        totals.append(total)
        click.echo(
            f"{name:<20} {1000 * cost.person.cpu_s:4.0f} ms CPU a person, {1000 * cost.image.cpu_s:5.1f} ms an image; "
            f"at {per_person} a person {1 / total.cpu_s:5.1f} images/s of CPU, {1 / total.wall_s:5.1f} by clock"
        )
    click.echo(f"eye images are {totals[0].cpu_s / totals[1].cpu_s:.1f} times as fast")


def measure_costs(renderer: Renderer, people: int, images_per_person: int, seed: int) -> tuple[RenderCost, RenderCost]:
    """Return the costs of whole faces and of pairs of eye images.

    Args:
        renderer: The renderer.
        people: Number of people.
        images_per_person: Images of each person and kind.
        seed: Random seed of the scenes.
    """
    plan = EyePlan(people + 1, images_per_person, seed, held_out=0)
    placement = load_placement_model()
    identities = [sample_identity(number, seed) for number in range(people + 1)]
    for identity in identities:  # loads what all people share
        for extent in Extent:
            renderer.person(identity, extent)
    prepared, drawn = dict.fromkeys(Extent, Cost(0.0, 0.0)), dict.fromkeys(Extent, Cost(0.0, 0.0))
    for number, identity in enumerate(identities[:people]):
        for extent in Extent:
            prepared[extent] += measure(renderer.person, identity, extent)
        drawn[Extent.EYES] += measure(render_person, plan, number, renderer, placement)
        for index in range(images_per_person):
            session_id = number * plan.sessions_per_person + index // plan.images_per_session
            session = sample_session(identity, session_id, seed)
            scene = sample_scene(session, identity, index % plan.images_per_session, NO_TARGET)
            drawn[Extent.BUST] += measure(photograph, renderer, scene, identity)
    images = people * images_per_person
    return (
        RenderCost(prepared[Extent.BUST] / people, drawn[Extent.BUST] / images),
        RenderCost(prepared[Extent.EYES] / people, drawn[Extent.EYES] / images),
    )


def measure(work: Callable[..., object], *arguments: object) -> Cost:
    """Return what a call costs."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    work(*arguments)
    return Cost(time.perf_counter() - wall_s, time.process_time() - cpu_s)


if __name__ == "__main__":
    main()
