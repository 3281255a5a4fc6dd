"""Eight requests at once to the whole handler, in a process of its own: its peak memory above rest."""

import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.corpus.probe import read_memory_kb

CLIENTS = 8


def measure_crowd(bodies):
    """Return the peak in MB above rest; the bodies, pairs of a kind and its bytes, are sent in turn by all clients."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.corpus.crowd"],
        input=pickle.dumps(bodies),
        capture_output=True,
        timeout=120,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")[-2000:]
    return json.loads(done.stdout)["peak_mb"]


def _main():
    from tests.corpus.attacks import as_request
    from tests.http.conftest import World
    from tests.http.image_files import make_image

    # The server's thread for each request, and both landmarkers busy with others' frames.
    world = World(THREADS="12", LANDMARKERS="2", LANDMARKER_WAIT_S="60")
    world.landmarker.paints = False  # it would take more memory than the function
    types = {"json": "application/json", "multipart": "multipart/form-data; boundary=X"}

    def post(kind, body):
        return world.client.post("/gaze", data=body, content_type=types[kind]).status_code

    for suffix in (".jpg", ".png", ".webp"):
        post("json", as_request(make_image(suffix)))
    bodies = pickle.load(sys.stdin.buffer)
    rest_kb = read_memory_kb("VmRSS")
    statuses = []
    with ThreadPoolExecutor(CLIENTS) as clients:
        for _ in range(2):
            for kind, body in bodies:
                statuses += clients.map(post, [kind] * CLIENTS, [body] * CLIENTS)
    peak_mb = (read_memory_kb("VmHWM") - rest_kb) / 1024
    json.dump({"peak_mb": peak_mb, "statuses": sorted(set(statuses))}, sys.stdout)


if __name__ == "__main__":
    _main()
