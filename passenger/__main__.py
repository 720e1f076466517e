"""`python -m passenger` is the `passenger` command."""

from passenger.cli.main import main

if __name__ == "__main__":
    main()
