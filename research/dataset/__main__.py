"""Build a table of rendered people: landmarks found in their images, and their true gaze.

    python -m research.dataset --identities 360 --frames-per-identity 18 --seed 2
    python -m research.dataset --identities 360 --calibrations 40 --seed 2 --out research/tables/calibration_table.npz

The second command builds the table on which calibration is measured: people of the test group fixate nine calibration
targets for ten frames each, shift in the chair, and fixate validation targets anywhere on the screen.

The arguments determine the plan. Every identity is one shard in `.cache/dataset/<digest>`, where the digest covers the
plan and the renderer's source; existing shards are reused. The table stores landmarks and ground truth, never features:
`research.training` computes those with `gaze_core`, so they cannot differ from the service's.

The shards also contain the eye images, and the table the answers of the eye network. With a new network, the same
command reads the images again, without rendering.
"""

import os
from pathlib import Path

import click

from func.adapters.eye_network_opencv import OpencvEyeNetwork
from models import EYE_NETWORK_PATH
from research.command_line import Command
from research.dataset.plan import FRAMES_PER_CALIBRATION, Plan
from research.dataset.shards import CACHE, gather, make_shards
from research.dataset.table import TRAINING_TABLE_PATH, write_table


@click.command(cls=Command)
@click.option("--identities", default=360, show_default=True, help="Number of people.")
@click.option("--frames-per-identity", default=18, show_default=True, help="Images per person.")
@click.option("--frames-per-session", default=40, show_default=True, help="Maximum images per person and session.")
@click.option("--seed", default=2, show_default=True, help="Random seed of the plan.")
@click.option("--held-out", type=int, help="People in the test group.  [default: a sixth]")
@click.option("--calibrations", default=0, help="Render calibrations of this many people of the test group instead.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=lambda: os.cpu_count() or 1,
    show_default="one per CPU",
    help="Number of processes.",
)
@click.option(
    "--network",
    "network_path",
    type=click.Path(path_type=Path),
    default=EYE_NETWORK_PATH,
    help="Eye network that reads the eye images.",
)
@click.option("--out", type=click.Path(path_type=Path), default=TRAINING_TABLE_PATH, help="File to write.")
def main(
    *,
    identities: int,
    frames_per_identity: int,
    frames_per_session: int,
    seed: int,
    held_out: int | None,
    calibrations: int,
    jobs: int,
    network_path: Path,
    out: Path,
) -> None:
    """Build a table of rendered people: landmarks found in their images, and their true gaze.

    Ctrl-C loses only the people being rendered; the same command resumes.
    """
    held_out = identities // 6 if held_out is None else held_out
    frames = FRAMES_PER_CALIBRATION if calibrations else frames_per_identity
    plan = Plan(identities, frames, seed, held_out, frames_per_session=frames_per_session, calibrations=calibrations)
    folder = CACHE / plan.digest()
    network = OpencvEyeNetwork(network_path)
    make_shards(plan, folder, jobs=jobs)
    table = gather(plan, folder, network)
    write_table(table, out)
    share, size_mb = len(table) / plan.images, out.stat().st_size / 1e6
    click.echo(f"face found in {len(table)} of {plan.images} images ({share:.2%}); wrote {out} ({size_mb:.2f} MB)")


if __name__ == "__main__":
    main()
