"""Lets `python -m research.realism` make the report."""

from research.realism.report import main

main()
