"""`python -m gaze_tools.deploy`, which `.ci/deploy` runs."""

import sys

from gaze_tools.deploy.command import main

sys.exit(main(sys.argv[1:]))
