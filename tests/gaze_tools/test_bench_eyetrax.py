import sys

import pytest
from click.testing import CliRunner

from gaze_tools.bench.eyetrax import (
    REQUIREMENT,
    EyetraxUnavailableError,
    explain_failure,
    install_eyetrax,
    run_eyetrax,
)
from gaze_tools.cli import main


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


def test_without_a_network_the_reason_is_not_that_the_version_does_not_exist():
    output = (
        "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(...)': /simple/eyetrax/\n"
        "ERROR: Could not find a version that satisfies the requirement eyetrax==0.4.0 (from versions: none)\n"
        "ERROR: No matching distribution found for eyetrax==0.4.0\n"
    )

    assert explain_failure(output) == "the package index cannot be reached."


def test_any_other_failure_is_explained_by_the_last_line_of_pip():
    assert explain_failure("Collecting eyetrax\nERROR: No space left on device\n") == "ERROR: No space left on device"


@pytest.mark.parametrize("command", ["all", "frame"])
def test_eyetrax_is_installed_before_mediapipe_cuts_the_process_off_from_the_network(command, monkeypatch):
    def fail():
        raise OSError("this came first")

    monkeypatch.setattr(f"gaze_tools.bench.{command}.prepare_eyetrax", fail)
    monkeypatch.setattr(f"gaze_tools.bench.{command}.start_upstream_services", None)

    result = CliRunner().invoke(main, ["bench", command])

    assert str(result.exception) == "this came first"
