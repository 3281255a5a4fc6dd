"""The OpenSSL inside the wheel of OpenCV: loaded with it, never called by what the function uses.

With lazy binding the dynamic linker resolves a function at its first call, and LD_DEBUG writes down each one.
"""

import os
import re
import subprocess
import sys

import pytest

USE_IMAGES = """
import cv2, numpy
image = numpy.full((64, 64, 3), 90, numpy.uint8)
for kind in (".jpg", ".png", ".webp"):
    done, content = cv2.imencode(kind, image)
    assert done and cv2.imdecode(content, cv2.IMREAD_COLOR_RGB).shape == image.shape
cv2.resize(image, (32, 32))
cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
cv2.dnn.blobFromImage(image)
"""
READ_A_URL = """
import socket, threading
import cv2
server = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=lambda: server.accept()[0].close(), daemon=True).start()
cv2.VideoCapture(f"https://127.0.0.1:{server.getsockname()[1]}/", cv2.CAP_FFMPEG)
"""
OPENSSL = {"libssl", "libcrypto"}


def list_calls(code, log_path):
    """Run code and return which libraries of the wheel called a function of its OpenSSL."""
    environment = {**os.environ, "LD_DEBUG": "bindings", "LD_DEBUG_OUTPUT": str(log_path)}
    code = f"import os, sys; sys.setdlopenflags(os.RTLD_LAZY)\n{code}"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)
    (log,) = log_path.parent.glob(f"{log_path.name}.*")
    bundled = r"\S*/opencv_python_headless\.libs/(\w+)-\S+"
    bindings = re.findall(rf"binding file {bundled} \[\d+\] to {bundled} ", log.read_text())
    assert ("libavcodec", "libavutil") in bindings  # the log says what we think it says
    return {caller for caller, callee in bindings if callee in OPENSSL} - OPENSSL


@pytest.mark.skipif(sys.platform != "linux", reason="LD_DEBUG is glibc's")
@pytest.mark.parametrize(
    ("code", "callers"), [(USE_IMAGES, set()), (READ_A_URL, {"libavformat"})], ids=["images", "URL"]
)
def test_only_reading_a_url_calls_it(tmp_path, code, callers):
    assert list_calls(code, tmp_path / "bindings") == callers
