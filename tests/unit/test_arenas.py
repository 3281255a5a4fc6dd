"""Memory arenas of glibc."""

import os
import platform
import subprocess
import sys

import pytest

COUNT_ARENAS = """
import ctypes, sys, tempfile, threading
from func.arenas import limit_arenas
limit_arenas(eval(sys.argv[1]))
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
barrier = threading.Barrier(8)
def allocate():
    barrier.wait()
    for _ in range(200):
        libc.malloc(5000)  # outside Python's lock
    barrier.wait()
threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
with tempfile.NamedTemporaryFile() as file:
    stream = ctypes.c_void_p(libc.fopen(file.name.encode(), b"w"))
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    print(file.read().count(b"<heap nr="))
"""


@pytest.fixture(autouse=True)
def _glibc():
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("arenas are glibc's")


def count_arenas(environ):
    """Return the number of arenas after eight threads have allocated, where the function sees this environment."""
    clean = {name: value for name, value in os.environ.items() if name not in {"MALLOC_ARENA_MAX", "GLIBC_TUNABLES"}}
    ended = subprocess.run(
        [sys.executable, "-c", COUNT_ARENAS, repr(environ)], capture_output=True, text=True, check=True, env=clean
    )
    return int(ended.stdout)


def test_a_process_has_two_arenas():
    assert count_arenas({}) == 2


@pytest.mark.parametrize("environ", [{"MALLOC_ARENA_MAX": "8"}, {"GLIBC_TUNABLES": "glibc.malloc.arena_max=8"}])
def test_a_limit_in_the_environment_is_left_as_it_is(environ):
    assert count_arenas(environ) > 2
