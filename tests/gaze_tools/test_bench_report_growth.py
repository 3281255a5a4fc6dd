"""The benchmark of reports, on a session of three seconds."""

from gaze_tools.bench.report_growth import measure_report


def test_a_report_is_written_and_its_files_are_measured():
    cost = measure_report(60, size=(36, 64))

    assert cost.frames == 60
    assert cost.cpu_s > 0
    assert cost.peak_bytes > 50e6
    assert cost.page_bytes > cost.largest_figure_bytes > 1000
    assert cost.trace_bytes > 60 * 200
