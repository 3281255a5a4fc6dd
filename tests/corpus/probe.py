"""A process of its own that reads inputs as the function does and reports what each costs.

Peak memory is the process's own high-water mark (`VmHWM`): `ru_maxrss` would begin with the parent's.
"""

import json
import re
import struct
import subprocess
import sys
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

MAX_PIXELS = 3840 * 2160
"""As the settings have it."""


@dataclass(frozen=True)
class Cost:
    """What one input cost.

    Attributes:
        status: HTTP status of the answer; 200 for a frame that would be processed.
        cpu_s: CPU time of all threads.
        peak_mb: Memory above rest, at its highest up to here.
        checksum: Checksum of the decoded pixels; 0 without any.
    """

    status: int
    cpu_s: float
    peak_mb: float
    checksum: int


def measure(inputs, *, environ=None):
    """Return the cost of each input: pairs of a kind (`image`, `json`, `multipart`) and its bytes."""
    sent = b"".join(struct.pack(">10sI", kind.encode(), len(data)) + data for kind, data in inputs)
    done = subprocess.run(
        [sys.executable, "-m", "tests.corpus.probe"],
        input=sent,
        capture_output=True,
        timeout=600,
        check=False,
        env=environ,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")[-2000:]
    return [Cost(**json.loads(line)) for line in done.stdout.splitlines()]


def _main():
    from func.errors import RequestError
    from func.web.batch_request import ParsedBatch, parse_json_body, parse_multipart_body
    from func.web.images import decode_image
    from func.web.problems import PROBLEMS
    from tests.corpus.attacks import as_request
    from tests.http.image_files import make_image

    def read(kind, data):
        try:
            if kind != "image":
                parsed = parse_json_body(data) if kind == "json" else parse_multipart_body(data, "X")
                data = parsed.frames[0].image if isinstance(parsed, ParsedBatch) else parsed.image
            frame = None if data is None else decode_image(data, max_pixels=MAX_PIXELS)
        except RequestError as error:
            return PROBLEMS[type(error)].status, 0
        return 200, 0 if frame is None else zlib.crc32(frame)

    for suffix in (".jpg", ".png", ".webp"):
        assert read("json", as_request(make_image(suffix)))[0] == 200
    rest_kb = read_memory_kb("VmRSS")
    while header := sys.stdin.buffer.read(14):
        kind, size = struct.unpack(">10sI", header)
        data = sys.stdin.buffer.read(size)
        rest_kb = rest_kb if size < 2**20 else max(rest_kb, read_memory_kb("VmRSS"))
        started_s = time.process_time()
        status, checksum = read(kind.rstrip(b"\0").decode(), data)
        cpu_s = time.process_time() - started_s
        peak_mb = (read_memory_kb("VmHWM") - rest_kb) / 1024
        cost = {"status": status, "cpu_s": cpu_s, "peak_mb": peak_mb, "checksum": checksum}
        sys.stdout.write(json.dumps(cost) + "\n")


def read_memory_kb(name):
    return int(re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)[1])


if __name__ == "__main__":
    _main()
