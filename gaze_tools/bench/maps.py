"""The command `gaze bench maps`."""

import time
import zlib
from pathlib import Path

import click
import cv2

from gaze_tools.bench.tables import make_table, print_wide
from gaze_tools.film import open_film
from gaze_tools.saliency.compute import default_size, probe_video
from gaze_tools.saliency.film_faces import look_for_faces
from gaze_tools.saliency.models import MODELS, make_model
from gaze_tools.saliency.options import Size
from gaze_tools.saliency.pixels import quantise


@click.command()
@click.argument("video", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--size", type=Size(), help="Size of the maps.  [default: aspect ratio of the video, at most 480 wide]")
@click.option("--frames", type=click.IntRange(min=10), default=150, show_default=True, help="Number of frames.")
def maps(video: Path, size: tuple[int, int] | None, frames: int) -> None:
    """Time each saliency model on the frames of VIDEO.

    The models run without faces; the search for faces is a step of its own. Prints CPU time on one core, and ratios to
    decoding the same frames.
    """
    cv2.setNumThreads(1)
    probed = probe_video(video)
    height, width = size or default_size(probed)
    models = {name: make_model(name, faces=False) for name in MODELS}
    for model in models.values():
        model.start(height=height, width=width)
    search = look_for_faces()
    spent_s = dict.fromkeys(("decoding", *models, *([] if search is None else ["faces"]), "compressing"), 0.0)
    done = 0
    with open_film(video) as film:
        decoded = iter(film)
        while done < frames:
            started = time.process_time()
            frame = next(decoded, None)
            if frame is None:
                break
            image = frame.rgb()
            spent_s["decoding"] += time.process_time() - started
            for name, model in models.items():
                started = time.process_time()
                saliency_map = model.map_frame(image)
                spent_s[name] += time.process_time() - started
            if search is not None:
                started = time.process_time()
                search.find(image)
                spent_s["faces"] += time.process_time() - started
            started = time.process_time()
            zlib.compress(quantise(saliency_map).tobytes(), 3)
            spent_s["compressing"] += time.process_time() - started
            done += 1
    title = f"{done} frames of {probed.width}×{probed.height}, maps of {width}×{height}, CPU time"
    table = make_table(title, "step", "ms per frame", "frames/s", "ratio to decoding")
    for name, seconds in spent_s.items():
        each_s = max(seconds / done, 1e-9)
        ratio = seconds / max(spent_s["decoding"], 1e-9)
        table.add_row(name, f"{1000 * each_s:.2f}", f"{1 / each_s:.0f}", f"{ratio:.2f}")
    print_wide(table)
