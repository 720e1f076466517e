"""Passenger in Python: one TOML file, one command, nginx in front, a watchdog behind."""

__version__ = "0.1.0"
