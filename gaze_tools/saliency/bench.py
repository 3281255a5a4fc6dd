"""How fast saliency maps are made, on one core, as frames a second and as a ratio to decoding the same video.

Absolute numbers say as much about the machine as about the code; the ratios hold. Frames are decoded and mapped in
turn, so that a machine that grows slower does so for both. python -m gaze_tools.saliency.bench VIDEO [--size WxH]
"""

import time
import zlib
from pathlib import Path

import click
import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from gaze_tools.saliency.commands import Size
from gaze_tools.saliency.compute import default_size, open_video, probe_video
from gaze_tools.saliency.models import MODELS, make_model
from gaze_tools.saliency.writer import quantise


@click.command()
@click.argument("video", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--size", type=Size(), help="Of the maps.  [default: the video's shape, 480 wide at most]")
@click.option("--frames", type=click.IntRange(min=10), default=150, show_default=True, help="How many are mapped.")
def main(video: Path, size: tuple[int, int] | None, frames: int) -> None:
    """Measure how fast each model makes the maps of VIDEO."""
    cv2.setNumThreads(1)
    probed = probe_video(video)
    height, width = size or default_size(probed)
    models = {name: make_model(name) for name in MODELS}
    for model in models.values():
        model.start(height=height, width=width)
    spent_s = dict.fromkeys(("decoding", *models, "compressing"), 0.0)
    done = 0
    with open_video(video) as capture:
        while done < frames:
            started = time.process_time()
            ok, frame = capture.read()
            if not ok:
                break
            picture = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8)
            spent_s["decoding"] += time.process_time() - started
            for name, model in models.items():
                started = time.process_time()
                saliency_map = model.map_frame(picture)
                spent_s[name] += time.process_time() - started
            started = time.process_time()
            zlib.compress(quantise(saliency_map).tobytes(), 3)
            spent_s["compressing"] += time.process_time() - started
            done += 1
    table = Table(title=f"{done} frames of {probed.width}×{probed.height}, maps of {width}×{height}, processor time")
    for column in ("step", "ms a frame", "frames a second", "times decoding"):
        table.add_column(column, justify="left" if column == "step" else "right")
    for name, seconds in spent_s.items():
        each_s = max(seconds / done, 1e-9)
        ratio = seconds / max(spent_s["decoding"], 1e-9)
        table.add_row(name, f"{1000 * each_s:.2f}", f"{1 / each_s:.0f}", f"{ratio:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
