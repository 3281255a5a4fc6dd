"""Build a table of rendered people: landmarks found in their images, and their true gaze.

    python -m research.dataset --identities 360 --frames-per-identity 18 --seed 2
    python -m research.dataset --identities 360 --calibrations 40 --seed 2 --out research/tables/calibration_table.npz

The second command builds the table on which calibration is measured: people of the test group fixate nine calibration
targets for ten frames each, shift in the chair, and fixate validation targets anywhere on the screen.

The arguments determine the plan. Every identity is one shard in `.cache/dataset/<digest>`, where the digest covers the
plan and the renderer's source; existing shards are reused. The table stores landmarks and ground truth, never features:
`research.training` computes those with `gaze_core`, so they cannot differ from the service's.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from research.dataset.plan import FRAMES_PER_CALIBRATION, Plan
from research.dataset.shards import CACHE, gather, make_shards
from research.dataset.table import TRAINING_TABLE_PATH, write_table


def main(arguments: Sequence[str] | None = None) -> None:
    """Build the table."""
    parser = argparse.ArgumentParser(prog="python -m research.dataset", description=__doc__.splitlines()[0])
    parser.add_argument("--identities", type=int, default=360, help="number of people")
    parser.add_argument("--frames-per-identity", type=int, default=18, help="images per person")
    parser.add_argument("--seed", type=int, default=2, help="random seed of the plan")
    parser.add_argument("--held-out", type=int, help="people in the test group (default: a sixth)")
    parser.add_argument(
        "--calibrations", type=int, default=0, help="render calibrations of this many people of the test group instead"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="number of processes")
    parser.add_argument("--out", type=Path, default=TRAINING_TABLE_PATH, help="file to write")
    options = parser.parse_args(arguments)
    held_out = options.identities // 6 if options.held_out is None else options.held_out
    frames = FRAMES_PER_CALIBRATION if options.calibrations else options.frames_per_identity
    plan = Plan(options.identities, frames, options.seed, held_out, calibrations=options.calibrations)
    folder = CACHE / plan.digest()
    make_shards(plan, folder, jobs=options.jobs)
    table = gather(plan, folder)
    write_table(table, options.out)
    share, size_mb = len(table) / plan.images, options.out.stat().st_size / 1e6
    print(f"face found in {len(table)} of {plan.images} images ({share:.2%}); wrote {options.out} ({size_mb:.2f} MB)")


if __name__ == "__main__":
    main()
