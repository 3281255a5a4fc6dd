"""Files that are written whole or not at all."""

import os
import stat

import pytest

from models.atomic_file import replace_file
from research.dataset.table import write_table
from tests.fakes.synthetic_table import make_table


def write_some_table(path):
    write_table(make_table(identities=1, frames=1, held_out=0), path)


def write_some_bytes(path):
    replace_file(path, b"new")


def test_a_file_is_replaced(tmp_path):
    (tmp_path / "file").write_bytes(b"old")

    replace_file(tmp_path / "file", b"new")

    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_failure_keeps_the_old_file_and_leaves_nothing_behind(tmp_path):
    (tmp_path / "file").write_bytes(b"old")

    with pytest.raises(TypeError):
        replace_file(tmp_path / "file", "not bytes")

    assert (tmp_path / "file").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


@pytest.mark.parametrize("write", [write_some_bytes, write_some_table])
def test_what_is_not_a_regular_file_is_never_replaced(tmp_path, write):
    os.mkfifo(tmp_path / "pipe")  # as /dev/null, which a test must not risk

    with pytest.raises(FileExistsError, match="pipe is not a regular file"):
        write(tmp_path / "pipe")

    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert list(tmp_path.iterdir()) == [tmp_path / "pipe"]


def test_a_link_to_something_else_is_never_replaced(tmp_path):
    (tmp_path / "link").symlink_to(os.devnull)

    with pytest.raises(FileExistsError, match="link is not a regular file"):
        replace_file(tmp_path / "link", b"new")

    assert (tmp_path / "link").is_symlink()
