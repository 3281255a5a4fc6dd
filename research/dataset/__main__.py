"""Makes the training table: pictures of people whose gaze is known, and the landmarks found in them.

    python -m research.dataset --identities 360 --frames-per-identity 18 --seed 2
    python -m research.dataset --identities 360 --calibrations 40 --seed 2 --out research/tables/calibration_table.npz

The second makes the table on which calibration is measured: people of the test group look at nine dots, ten frames
each, move, and look at places anywhere on the screen.

The plan follows from the arguments alone. Every identity is one shard in `.cache/dataset/<digest>`, where the digest
covers the plan and the renderer's source; finished shards are not made again. The table keeps landmarks and truth,
never features: `research.training` computes those with `gaze_core`, so that they cannot differ from the service's.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from research.dataset.plan import CHECKS, DOTS, FRAMES_PER_DOT, Plan
from research.dataset.shards import CACHE, gather, make_shards
from research.dataset.table import TRAINING_TABLE_PATH, write_table


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the table."""
    parser = argparse.ArgumentParser(prog="python -m research.dataset", description=__doc__.splitlines()[0])
    parser.add_argument("--identities", type=int, default=360, help="number of people")
    parser.add_argument("--frames-per-identity", type=int, default=18, help="pictures of each")
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--held-out", type=int, help="people of the test group; a sixth unless given")
    parser.add_argument("--calibrations", type=int, default=0, help="people of the test group who calibrate instead")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="number of processes")
    parser.add_argument("--out", type=Path, default=TRAINING_TABLE_PATH)
    options = parser.parse_args(arguments)
    held_out = options.identities // 6 if options.held_out is None else options.held_out
    frames = (DOTS + CHECKS) * FRAMES_PER_DOT if options.calibrations else options.frames_per_identity
    plan = Plan(options.identities, frames, options.seed, held_out, calibrations=options.calibrations)
    folder = CACHE / plan.digest()
    make_shards(plan, folder, jobs=options.jobs)
    table = gather(plan, folder)
    write_table(table, options.out)
    share, size_mb = len(table) / plan.images, options.out.stat().st_size / 1e6
    print(f"a face in {len(table)} of {plan.images} pictures ({share:.2%}); {options.out} has {size_mb:.2f} MB")


if __name__ == "__main__":
    main()
