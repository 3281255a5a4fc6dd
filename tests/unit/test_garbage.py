"""The garbage collector while the process starts."""

import gc

import pytest

from func.garbage import keep_all_objects


@pytest.fixture(autouse=True)
def _unfreeze():
    yield
    gc.enable()
    gc.unfreeze()


def test_the_collector_pauses_in_the_block_only():
    with keep_all_objects():
        assert not gc.isenabled()

    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    with keep_all_objects():
        pass

    assert not gc.isenabled()


def test_objects_of_the_block_are_exempt():
    before = gc.get_freeze_count()
    with keep_all_objects():
        kept = [[] for _ in range(1000)]

    assert gc.get_freeze_count() >= before + len(kept)


def test_the_collector_runs_again_after_a_failure():
    with pytest.raises(ValueError, match="broken"), keep_all_objects():
        raise ValueError("broken")

    assert gc.isenabled()
