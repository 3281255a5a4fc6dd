"""How many pods, cores, writes and bytes a number of viewers needs, and what happens while they come.

python -m gaze_tools.capacity              the crowd: pods, waiting and refused frames minute by minute
python -m gaze_tools.capacity compare      the same crowd under other settings
python -m gaze_tools.capacity sweep        what 10 to 1,000,000 viewers need, neighbours included
python -m gaze_tools.capacity assumptions  every number that it rests on; each has a flag of its name
python -m gaze_tools.capacity measure      load two real functions on this machine and hold the formulas against them
python -m gaze_tools.capacity document     renew the tables and the plot of docs/capacity.md, except `measure`
"""

import argparse
import os
from dataclasses import fields
from pathlib import Path

from gaze_tools.capacity.assumptions import Assumptions, list_origins
from gaze_tools.capacity.document import CROWD, DOCUMENT, write_document
from gaze_tools.capacity.measurement import measure
from gaze_tools.capacity.simulation import KNATIVE_PLATFORM, KUBERNETES_PLATFORM, Crowd, simulate
from gaze_tools.capacity.tables import (
    tabulate_assumptions,
    tabulate_checks,
    tabulate_comparison,
    tabulate_crowd,
    tabulate_function,
    tabulate_measurement,
    tabulate_neighbours,
    tabulate_viewer,
)

PLATFORMS = {"knative": KNATIVE_PLATFORM, "kubernetes": KUBERNETES_PLATFORM}


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m gaze_tools.capacity", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = ("crowd", "compare", "sweep", "assumptions", "measure", "document")
    parser.add_argument("command", nargs="?", choices=commands, default="crowd")
    parser.add_argument("--viewers", type=float, default=CROWD.viewers, help="of the crowd (%(default)g)")
    parser.add_argument("--ramp-s", type=float, default=CROWD.ramp_s, help="in which they come, and go (%(default)g)")
    parser.add_argument("--hold-s", type=float, default=CROWD.hold_s, help="for which all watch (%(default)g)")
    parser.add_argument("--platform", choices=PLATFORMS, default="knative", help="(%(default)s)")
    parser.add_argument("--load-s", type=float, default=10.0, help="length of each measured load (%(default)g)")
    parser.add_argument("--logs", type=Path, default=Path("out/capacity"), help="of the measured processes")
    for name, value, origin in list_origins(Assumptions()):
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=type(value),
            default=value,
            help=f"{origin.meaning} (%(default)s)".replace("%,", "%%,"),
        )
    arguments = parser.parse_args()
    assumptions = Assumptions(**{entry.name: getattr(arguments, entry.name) for entry in fields(Assumptions)})
    crowd = Crowd(viewers=arguments.viewers, ramp_s=arguments.ramp_s, hold_s=arguments.hold_s)
    match arguments.command:
        case "crowd":
            simulation = simulate(assumptions, crowd, PLATFORMS[arguments.platform])
            print(tabulate_viewer(assumptions).render(), tabulate_crowd(simulation).render(), sep="\n\n")
            print(
                f"\nmost pods {simulation.peak_pods:,}; 503 per 100 frames {simulation.refused_percent:.1f}; "
                f"lost {simulation.lost_percent:.1f} %; pod hours {simulation.pod_hours:,.1f}"
            )
        case "compare":
            print(tabulate_comparison(assumptions, crowd).render())
        case "sweep":
            print(tabulate_function(assumptions).render(), tabulate_neighbours(assumptions).render(), sep="\n\n")
        case "assumptions":
            print(tabulate_assumptions(assumptions).render())
        case "measure":
            measurement = measure(arguments.logs, assumptions, duration_s=arguments.load_s)
            cores = len(os.sched_getaffinity(0))
            print(
                tabulate_measurement(measurement).render(),
                tabulate_checks(measurement, cores=cores).render(),
                sep="\n\n",
            )
        case "document":
            write_document(DOCUMENT)


if __name__ == "__main__":
    main()
