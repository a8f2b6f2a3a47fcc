"""A launcher: `python cli.py` is `edgeseg`."""

from edgeseg.cli import program

if __name__ == "__main__":
    program()
