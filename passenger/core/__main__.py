"""`python -m passenger.core`: started by the watchdog only, with a CoreLaunch on an inherited descriptor."""

from passenger.core.main import main

if __name__ == "__main__":
    main()
