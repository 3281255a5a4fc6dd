"""Lets `python -m models.realism` make the report."""

from models.realism.report import main

main()
