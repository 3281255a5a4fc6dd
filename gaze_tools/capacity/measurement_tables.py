"""Tables of a measurement."""

from gaze_tools.capacity.measurement import Measurement, check_predictions
from gaze_tools.markdown import MarkdownTable


def tabulate_checks(measurement: Measurement, *, cores: int) -> MarkdownTable:
    """Return predictions of the formulas next to the measurements."""
    rows = [
        (check.name, f"{check.predicted:.2f}", f"{check.measured:.2f}", f"{check.ratio:.2f}")
        for check in check_predictions(measurement, cores=cores)
    ]
    return MarkdownTable(("quantity", "predicted", "measured", "ratio"), rows)


def tabulate_measurement(measurement: Measurement) -> MarkdownTable:
    """Return the measured values, by the option that takes them."""
    alone, store, scoring = measurement.alone, measurement.store, measurement.scoring
    rows = [
        ("--frame-cpu-ms", f"{1000 * alone.cpu_per_frame_s('function'):.1f}"),
        ("--detect-ms", f"{1000 * measurement.detect_s:.1f}"),
        ("--scoring-cpu-ms", f"{1000 * scoring.cpu_s / scoring.frames:.2f}"),
        ("duration per frame of scoring a session, ms", f"{1000 * scoring.duration_s / scoring.frames:.2f}"),
        ("--session-cpu-ms", f"{1000 * alone.cpu_per_frame_s('session API'):.1f}"),
        ("--database-cpu-ms", f"{1000 * alone.cpu_per_frame_s('database'):.1f}"),
        ("--request-bytes", f"{store.request_bytes:.0f}"),
        ("--record-bytes", f"{store.record_bytes:.0f}"),
        ("--stored-bytes", f"{store.stored_bytes:.0f}"),
        ("--map-bytes", f"{store.map_bytes:.0f}"),
        ("--writes-per-frame", f"{store.writes:.2f}"),
        ("writes per frame if every frame describes screen and camera", f"{store.writes_described:.2f}"),
        ("--reads-per-frame", f"{store.reads:.2f}"),
        (
            "start of a function: duration and CPU time, s",
            f"{measurement.start.duration_s:.1f}, {measurement.start.cpu_s:.1f}",
        ),
        ("frames of the first load", f"{alone.frames}"),
    ]
    return MarkdownTable(("option", "measured"), rows)
