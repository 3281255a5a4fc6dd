"""Draw docs/studio.png: the studio's score of the rendered sample person, and time the way to it.

    python -m tests.studio.screenshot [docs/studio.png] [--locale ko]

Starts `gaze serve` on free ports, calibrates the sample person on five targets, lets them watch the sample film, and
prints when each step was reached. Nobody real is shown.
"""

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
from PIL import Image
from playwright.sync_api import sync_playwright

from tests.running import ROOT
from tests.studio.browser import Page, find_browser

WIDTH_PX = 800
SCALE = 1.25
"""The image is 1000 pixels wide; a narrower page makes its text legible where the README shows it small."""


def main():
    """Take the screenshot and print the times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", nargs="?", type=Path, default=ROOT / "docs" / "studio.png")
    parser.add_argument("--locale", default="en-GB", help="language of the page")
    options = parser.parse_args()
    started_s = time.monotonic()
    with serve() as url, sync_playwright() as driver:
        print_time(started_s, "link printed")
        browser = driver.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        size = {"width": WIDTH_PX, "height": 720}
        studio = Page(browser.new_page(viewport=size, screen=size, device_scale_factor=SCALE, locale=options.locale))
        studio.page.goto(url)
        studio.wait_for('[data-view="start"]:not([hidden])')
        studio.take_sample_person()
        print_time(started_s, f"calibrated: {studio.calibrate()}")
        studio.start_film()
        print_time(started_s, f"score: {studio.await_score()}")
        result = studio.read_result()
        click.echo({name: result[name] for name in ("final_score", "chance_level", "interval_95", "coverage")})
        # Numbered circles are too small to read where the README shows the image.
        studio.wait_for("#show-fixations:enabled")
        studio.page.uncheck("#show-fixations")
        height_px = studio.page.evaluate(
            "document.getElementById('heat').getBoundingClientRect().bottom + window.scrollY + 8"
        )
        studio.page.screenshot(
            path=options.path,
            full_page=True,
            clip={"x": 0, "y": 0, "width": WIDTH_PX, "height": height_px},
            animations="disabled",
        )
        browser.close()
    # A palette makes the file a third as large.
    shrunk = Image.open(options.path).convert("RGB").quantize(256, method=Image.Quantize.MAXCOVERAGE)
    shrunk.save(options.path, optimize=True)


@contextlib.contextmanager
def serve():
    """Run `gaze serve` and yield the address of its page."""
    command = [sys.executable, "-m", "gaze_tools.cli", "serve", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (
        tempfile.TemporaryDirectory(prefix="screenshot-") as scratch,
        subprocess.Popen(command, cwd=scratch, env=environment, stdout=subprocess.PIPE, text=True) as process,
    ):
        try:
            yield next(filter(None, (re.search(r"http://localhost:\d+/", line) for line in process.stdout)))[0]
        finally:
            process.terminate()
            process.communicate()


def print_time(started_s, what):
    """Print the time since the start."""
    click.echo(f"{time.monotonic() - started_s:5.1f} s  {what}")


if __name__ == "__main__":
    main()
