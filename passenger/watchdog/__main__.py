"""Entry point of the watchdog."""

from passenger.watchdog.main import main

main()
