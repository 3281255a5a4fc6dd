import sys

import pytest

from gaze_tools.bench.eyetrax import REQUIREMENT, EyetraxUnavailableError, install_eyetrax, run_eyetrax


def test_an_environment_that_is_there_is_not_installed_again(tmp_path):
    (tmp_path / "installed").write_text(REQUIREMENT)

    assert install_eyetrax(tmp_path) == tmp_path / "bin" / "python"


def test_an_environment_without_eyetrax_says_what_is_missing(tmp_path):
    with (
        pytest.raises(EyetraxUnavailableError, match=r"EyeTrax does not run: .*No module named 'eyetrax'"),
        run_eyetrax(sys.executable, tmp_path / "bundle", [b"jpeg"]),
    ):
        pass


def test_a_failed_installation_is_a_sentence_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.executable", str(tmp_path / "no-python"))

    with pytest.raises(EyetraxUnavailableError, match=r"EyeTrax cannot be installed: .*no-python"):
        install_eyetrax(tmp_path / "environment")
