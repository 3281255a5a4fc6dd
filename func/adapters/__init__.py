"""The outside world behind the core's ports; only `func.bootstrap` names what is in here."""
