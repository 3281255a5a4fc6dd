"""Entry point of `python -m research.realism`."""

from research.realism.report import main

main()
