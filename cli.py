"""A launcher: `python cli.py` is `edgeseg`."""

from edgeseg.cli import main

if __name__ == "__main__":
    main()
